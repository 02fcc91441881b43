"""Long compilations are told of; XLA's alarm about them is not passed on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumbar_jax import compile_watch
from lumbar_jax.compiler_chatter import without_alarm

ROOT = Path(__file__).resolve().parents[1]
# As XLA writes them (xla/service/slow_operation_alarm.cc).
ALARM = """\
E1129 16:35:11.015461    2031 slow_operation_alarm.cc:73]
********************************
[Compiling module jit_train_step] Very slow compile? If you want to file a \
bug, run with envvar XLA_FLAGS=--xla_dump_to=/tmp/foo and attach the results.
********************************
"""
ENDED = """\
2026-01-02 03:04:05.1: E external/xla/xla/service/slow_operation_alarm.cc:140] \
The operation took 2m41.23s

********************************
[Compiling module jit_train_step] Very slow compile? If you want to file a \
bug, run with envvar XLA_FLAGS=--xla_dump_to=/tmp/foo and attach the results.
********************************
"""
FOLDING = """\
E1129 16:35:11.015461    2031 slow_operation_alarm.cc:73]
Constant folding an instruction is taking > 2s:

  %pad.27 = f32[512,512]{1,0} pad(...)
"""
OURS = "Very slow compile? we ask\n********\n"
REAL = "E1129 16:35:12.0 2031 cuda_dnn.cc:1] Could not create cudnn handle\n"


@pytest.mark.parametrize(
  ("text", "left"),
  [
    (ALARM, ""),
    (ENDED, ""),
    (REAL, REAL),
    (REAL + ALARM + REAL + ENDED + "end", REAL + REAL + "end"),
    (FOLDING + REAL, FOLDING + REAL),
    (ALARM[:100] + "\n" + REAL, ALARM[:100] + "\n" + REAL),
    (OURS, OURS),
  ],
)
def test_only_the_alarm_is_dropped(text, left):
  found = "".join(without_alarm(text.splitlines(keepends=True)))
  assert found == left


def test_last_words_of_a_crash_are_passed_on():
  program = f"""
import os
from lumbar_jax.compiler_chatter import Filter
one = Filter()
one.start()
os.write(2, {ALARM!r}.encode())
os.write(2, b"one \\xff word\\n")
one.stop()
os.write(2, b"unfiltered\\n")
one.start()
os.write(2, {ALARM!r}.encode())
os.write(2, b"last words")
os._exit(3)
"""
  done = subprocess.run(
    [sys.executable, "-c", program],
    cwd=ROOT,
    env={**os.environ, "PYTHONPATH": str(ROOT)},
    capture_output=True,
    timeout=60,
    check=False,
  )
  assert done.returncode == 3
  assert done.stderr == b"one \xff word\nunfiltered\nlast words"


@pytest.fixture
def said(monkeypatch):
  lines = []
  monkeypatch.setattr(
    compile_watch.logging,
    "info",
    lambda text, *values: lines.append(text % values),
  )
  return lines


def test_a_long_compilation_is_announced_and_timed(monkeypatch, said):
  now = [100.0]
  monkeypatch.setattr(compile_watch.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(compile_watch, "_cache", lambda: "/home/x/cache")
  watch = compile_watch.Watch()
  watch.begin("train_step")
  for seconds in (1, 2, 5, 10, 25, 30, 46):
    watch.look(100.0 + seconds)
  now[0] = 161.0
  watch.end()
  watch.look(200.0)
  assert len(said) == 4
  assert "compiling the train step: takes up to" in said[0]
  assert "/home/x/cache" in said[0]
  assert said[1:] == [
    "still compiling the train step, 25 s so far",
    "still compiling the train step, 46 s so far",
    "compiled the train step in 1 min 1 s",
  ]


def test_a_program_that_is_slowly_loaded_was_not_compiled(monkeypatch, said):
  now = [0.0]
  monkeypatch.setattr(compile_watch.time, "monotonic", lambda: now[0])
  watch = compile_watch.Watch()
  watch.begin("_scores")
  watch.look(6.0)
  watch.found()
  now[0] = 7.0
  watch.end()
  last = "found in the cache: the network's forward pass in 7 s"
  assert said[1:] == [last]


def test_what_comes_from_the_cache_is_not_told_of(said):
  watch = compile_watch.Watch()
  watch.begin("train_step")
  watch.look(compile_watch.time.monotonic() + 1)
  watch.end()
  watch.end()  # (one that was not begun here)
  assert said == []


def test_jax_tells_when_it_compiles(monkeypatch, said):
  """Holds JAX's events to what is read of them."""
  import jax
  import jax.numpy as jnp

  events = []

  class Spy(compile_watch.Watch):
    def begin(self, name):
      events.append(compile_watch.words(name))

    def end(self):
      events.append("end")

    def run(self):
      pass

  monkeypatch.setattr(compile_watch, "_watch", None)
  monkeypatch.setattr(compile_watch, "Watch", Spy)
  listeners = []
  for name in (
    "register_scalar_listener",
    "register_event_listener",
    "register_event_duration_secs_listener",
  ):
    real = getattr(jax.monitoring, name)
    monkeypatch.setattr(
      jax.monitoring,
      name,
      lambda f, real=real: (listeners.append(f), real(f)),
    )
  compile_watch.start()

  def train_step(x):
    return x * 2 + 1

  jax.jit(train_step)(jnp.ones(3))
  jax.monitoring.unregister_scalar_listener(listeners[0])
  jax.monitoring.unregister_event_listener(listeners[1])
  jax.monitoring.unregister_event_duration_listener(listeners[2])
  place = events.index("the train step")
  assert events[place + 1] == "end"
