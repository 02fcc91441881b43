"""Trains with 1, 2, 4 and 8 processes on this machine's cores, and kills some.

  python experiments/measure_distributed.py [--counts=1,2,4,8] [--steps=16]
  python experiments/measure_distributed.py --kill

The first prints a markdown table: time of a step of the same global batch by
the clock, and computing time of all processes together (which other work on the
machine hardly changes); of an all-reduce as large as the gradients; of a
checkpoint; and how far losses and weights are from those of one process. All
processes share the same cores, so what exceeds one process' computing time is
the cost of being several. The optimizer is plain gradient descent, which does
not blow rounding up (Adam divides by the root of a gradient that may be nothing
but rounding).

The second kills one of four processes without warning, then process 0, tells
one of two to stop by SIGTERM, and lets fewer processes go on each time.

Synthetic patches: random intensities around each class' own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import numpy as np
from absl import app, flags

from lumbar_jax.training.writers import read_metrics

_COUNTS = flags.DEFINE_list("counts", ["1", "2", "4", "8"], "processes")
_STEPS = flags.DEFINE_integer("steps", 16, "timed steps")
_WIDTH = flags.DEFINE_integer("width", 8, "channels of U1's first level")
_SIZE = flags.DEFINE_integer("size", 64, "rows and columns of a patch")
_BATCH = flags.DEFINE_integer("batch", 16, "patches in a batch of all")
_KILL = flags.DEFINE_bool("kill", False, "kill processes instead of timing")

_WORKER = Path(__file__).with_name("distributed_worker.py")
EPOCHS = 3  # of the worker's training


def start(what: str, folder: Path, count: int) -> list[subprocess.Popen]:
  """Starts some processes of one CPU device each."""
  folder.mkdir(parents=True, exist_ok=True)
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    host = f"127.0.0.1:{found.getsockname()[1]}"
  names = ("steps", "width", "size", "batch")
  common = [f"--{name}={flags.FLAGS[name].value}" for name in names]
  common += [f"--work={what}", f"--folder={folder}"]
  places = [[f"--place={host},{count},{i}"] for i in range(count)]
  return [
    subprocess.Popen(
      [sys.executable, _WORKER, *common, *place],
      stderr=subprocess.PIPE,
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
      text=True,
    )
    for place in (places if count > 1 else [[]])
  ]


def finish(processes: list[subprocess.Popen]) -> list[str]:
  """Waits for all; returns what they said.

  Raises:
    RuntimeError: one failed.
  """
  said = [process.communicate()[1] for process in processes]
  if any(process.returncode for process in processes):
    raise RuntimeError("\n".join(text[-2000:] for text in said))
  return said


def weights_of(path: Path) -> list[np.ndarray]:
  with np.load(path) as file:
    return list(file.values())


def table(folder: Path) -> None:
  """Prints times and differences for each number of processes."""
  print(
    "| processes | step ms | all cores' ms | over one ms | all-reduce ms "
    "| checkpoint ms | losses: relative difference, first to largest "
    "| weights: largest difference |"
  )
  print("|---:|---:|---:|---:|---:|---:|---:|---:|")
  first = None
  for text in _COUNTS.value:
    place = folder / text
    finish(start("time", place, int(text)))
    found = json.loads((place / "found.json").read_text())
    found["weights"] = weights_of(place / "weights.npz")
    first = first or found
    losses = np.abs(np.array(found["losses"]) / first["losses"] - 1)
    apart = max(
      float(np.abs(a - b).max())
      for a, b in zip(found["weights"], first["weights"], strict=True)
    )
    print(
      f"| {text} | {found['step_ms']:.1f} | {found['cpu_ms']:.1f} "
      f"| {found['cpu_ms'] - first['cpu_ms']:+.1f} "
      f"| {found['reduce_ms']:.1f} | {found['save_ms']:.0f} "
      f"| {losses[0]:.0e} to {losses.max():.0e} | {apart:.1e} |",
      flush=True,
    )
  print(f"\n{first['num_parameters']} parameters")


def interrupted(
  folder: Path, count: int, victim: int, sign: int, then: int
) -> None:
  """Ends one of some processes in the second epoch; others go on."""
  processes = start("train", folder, count)
  while not read_metrics(folder):
    if processes[0].poll() is not None:
      raise RuntimeError(processes[0].communicate()[1][-2000:])
    time.sleep(0.01)
  processes[victim].send_signal(sign)
  began = time.monotonic()
  said = [process.communicate()[1] for process in processes]
  took = time.monotonic() - began
  name, codes = signal.Signals(sign).name, [p.returncode for p in processes]
  print(f"\n{name} to process {victim} of {count}: all ended in {took:.1f} s")
  print(f"exit codes {codes}; a survivor's last words:")
  other = said[(victim + 1) % count].strip().splitlines()
  print("\n".join(f"    {line}" for line in other[-2:]))
  if not all(codes):
    raise RuntimeError("a process went on as if nothing had happened")
  finish(start("train", folder, then))
  print(f"{then} processes went on to the end")


def compare(folder: Path, wanted: Path) -> None:
  """Prints how far a run's curve is from another's."""
  lines, others = read_metrics(folder), read_metrics(wanted)
  if len(lines) != EPOCHS:
    raise RuntimeError(f"{len(lines)} epochs in {folder}")
  apart = max(
    abs(line[name] / other[name] - 1)
    for line, other in zip(lines, others, strict=True)
    for name in ("train/loss", "val/loss")
  )
  print(f"losses differ by at most {apart:.1e} of those of one process")


def kill(folder: Path) -> None:
  """Kills and stops processes; compares with an uninterrupted one."""
  finish(start("train", folder / "whole", 1))
  for number, (count, victim, sign, then) in enumerate(
    ((4, 3, signal.SIGKILL, 2), (4, 0, signal.SIGKILL, 1),
     (2, 1, signal.SIGTERM, 4))
  ):  # fmt: skip
    interrupted(folder / str(number), count, victim, sign, then)
    compare(folder / str(number), folder / "whole")


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  print(f"{os.cpu_count()} cores, jax {jax.__version__}\n", flush=True)
  with tempfile.TemporaryDirectory() as folder:
    (kill if _KILL.value else table)(Path(folder))


if __name__ == "__main__":
  app.run(main)
