"""The real command in a process of its own: exit code, words, no traceback."""

import subprocess
import sys
from pathlib import Path

from corpus import harness, masks, pixels
from corpus.entry import Family, refused

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Family("process", commands=())


def _flags(w) -> list[str]:
  values = {
    "source": "manifest",
    "manifest": w.table,
    "scheme": "spider",
    "channels": "T2w",
    "test_fraction": "0.0",
    "num_folds": 2,
  }
  return [f"--config.data.{name}={value}" for name, value in values.items()]


def _launch(*flags) -> harness.Seen:
  """Runs launch.py; its lines are what was seen."""
  done = subprocess.run(
    [sys.executable, str(ROOT / "launch.py"), *map(str, flags)],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    timeout=120,
    check=False,
  )
  seen = harness.Seen(lines=done.stdout.splitlines())
  if "Traceback" in done.stdout or done.returncode not in (0, 2):
    seen.crash = done.stdout
  if done.returncode:
    seen.errors = seen.lines
  return seen


def _doctor(w):
  config = f"--config={ROOT / 'configs/tiny.py'}"
  return _launch("--mode=doctor", config, *_flags(w))


def _prepare(w):
  config = f"--config={ROOT / 'configs/tiny.py'}"
  workdir = f"--workdir={w.workdir}"
  return _launch("--mode=prepare", config, workdir, *_flags(w))


def _predict(w):
  return _launch(
    "--mode=predict",
    *(f"--workdir={w.run_folder}", f"--input={w.data / 'nothing'}"),
    f"--output={w.output}",
  )


def _command(function, entry):
  def make(w):
    entry.make(w)
    w.process = function

  return make


def _entry(family, name):
  return next(e for e in family.entries if e.name.endswith(f"/{name}"))


PROCESSES.add(
  "doctor_rgb",
  "--mode=doctor on colours (RGB)",
  _command(_doctor, _entry(pixels.PIXELS, "rgb")),
  refused("RGB"),
  doctor=refused("RGB"),
)
PROCESSES.add(
  "prepare_255",
  "--mode=prepare on masks of 0 and 255",
  _command(_prepare, _entry(masks.MASKS, "0_255")),
  refused("255"),
  training=refused("255"),
)


def _nothing(w):
  w.culprit, w.process = w.data / "nothing", _predict


PROCESSES.add(
  "predict_nothing",
  "--mode=predict on an --input that is not there",
  _nothing,
  refused("no such"),
  predict=refused("no such"),
)
