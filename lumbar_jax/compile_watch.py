"""Says that XLA compiles, while it does: minutes that would else be silent.

JAX tells when it begins to compile a program and when it has done so. What
comes from the cache of compiled programs is there within a second or two, and
nothing is said of it.
"""

import dataclasses
import threading
import time
from typing import Any

import jax
from absl import logging

from lumbar_jax import timing
from lumbar_jax.compiler_chatter import Filter
from lumbar_jax.progress import duration

_EVENT = "/jax/core/compile/backend_compile_duration"
_FOUND = "/jax/compilation_cache/cache_hits"
PATIENCE_S = 5.0  # before anything is said
EVERY_S = 20.0  # between two words of the same compilation
_POLL_S = 0.5
_ALARM_S = 60.0  # XLA's alarm comes after 120

# What users call the programs that take long.
_WORDS = {
  "train_step": "the train step",
  "eval_step": "the validation step",
  "create": "the network's first weights",
  "_scores": "the network's forward pass",
  "forward": "the network's forward pass",
}


@dataclasses.dataclass
class _Compilation:
  name: str
  start: float
  said: float | None = None  # when something was said of it last
  verb: str = "compiled"


class Watch:
  """Follows the compilations of this process, and speaks while one is long."""

  def __init__(self):
    """Nothing is being compiled."""
    self._lock = threading.Lock()
    self._running: dict[int, _Compilation] = {}  # by thread
    self._busy = threading.Event()
    self._filter = Filter()

  def begin(self, name: str) -> None:
    """This thread begins to compile a program."""
    with self._lock:
      one = _Compilation(words(name), time.monotonic())
      self._running[threading.get_ident()] = one
    self._busy.set()

  def found(self) -> None:
    """This thread has found its program in the cache."""
    with self._lock:
      one = self._running.get(threading.get_ident())
      if one is not None:
        one.verb = "found in the cache:"

  def end(self) -> None:
    """This thread has compiled its program, or failed to."""
    with self._lock:
      one = self._running.pop(threading.get_ident(), None)
      if not self._running:
        self._busy.clear()
        self._filter.stop()
    if one is not None and one.said is not None:
      took = duration(time.monotonic() - one.start)
      logging.info("%s %s in %s", one.verb, one.name, took)

  def look(self, now: float) -> None:
    """Says what is to be said at a time (`time.monotonic`)."""
    with self._lock:
      for one in self._running.values():
        if now - one.start >= _ALARM_S:
          self._filter.start()
        if one.said is None and now - one.start >= PATIENCE_S:
          one.said = now
          logging.info("%s", announcement(one.name, _cache()))
        elif one.said is not None and now - one.said >= EVERY_S:
          one.said = now
          spent = duration(now - one.start)
          logging.info("still compiling %s, %s so far", one.name, spent)

  def run(self) -> None:
    """Looks on, for ever."""
    while True:
      self._busy.wait()
      time.sleep(_POLL_S)
      self.look(time.monotonic())


def words(name: str) -> str:
  """Returns what a user would call a program that JAX calls `name`."""
  plain = name.removeprefix("jit_").removeprefix("jit(").rstrip(")")
  return _WORDS.get(plain, f"program {plain!r}")


def announcement(name: str, folder: str | None) -> str:
  """Returns what is said before a long compilation goes on.

  Args:
    name: the program.
    folder: where it will be kept; None: nowhere.
  """
  kept = (
    f"once on this machine: kept for the next process in {folder}"
    if folder
    else "and each time anew: --compile_cache=DIR would keep it"
  )
  return f"compiling {name}: takes up to one or two minutes, {kept}"


def _cache() -> str | None:
  return jax.config.jax_compilation_cache_dir


_watch: Watch | None = None


def start() -> None:
  """Follows all compilations of this process from now on; once is enough."""
  global _watch
  if _watch is not None:
    return
  _watch = watch = Watch()

  def begun(event: str, _value: Any, **details: Any) -> None:
    if event == _EVENT:
      watch.begin(str(details.get("fun_name", "")))

  def ended(event: str, seconds: float, **_details: Any) -> None:
    if event == _EVENT:
      timing.note_compiling(seconds)
      watch.end()

  def happened(event: str, **_details: Any) -> None:
    if event == _FOUND:
      watch.found()

  jax.monitoring.register_scalar_listener(begun)
  jax.monitoring.register_event_listener(happened)
  jax.monitoring.register_event_duration_secs_listener(ended)
  threading.Thread(target=watch.run, name="compile_watch", daemon=True).start()
