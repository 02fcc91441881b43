"""Times the ways to batch stacked members: loop, map and vmap.

  python experiments/time_batching.py [--network=U1] [--width=64] [--members=3]

Prints, for each way, the time of r stacked members over r times the time of one
(repeats interleaved, medians): below 1 stacking pays, above 1 it costs. Input
and weights are random. `ensembles.members.MEASURED` holds what was found.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import jax
import numpy as np
from absl import app, flags

from lumbar_jax import models
from lumbar_jax.ensembles import members

_NETWORK = flags.DEFINE_string("network", "U1", "name of a network")
_WIDTH = flags.DEFINE_integer("width", 64, "channels of the first level")
_MEMBERS = flags.DEFINE_integer("members", 3, "stacked members")
_SIZE = flags.DEFINE_integer("size", 256, "rows and columns of a patch")
_BATCH = flags.DEFINE_integer("batch", 1, "patches in a batch")
_REPEATS = flags.DEFINE_integer("repeats", 5, "interleaved repeats")


def _timed(work) -> float:
  start = time.perf_counter()
  jax.block_until_ready(work())
  return time.perf_counter() - start


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  net = models.build(_NETWORK.value, 12, width=_WIDTH.value)
  images = jax.random.normal(
    jax.random.key(0), (_BATCH.value, *[_SIZE.value] * 2, 2)
  )
  init = jax.jit(net.init)
  trees = [
    dict(init(jax.random.key(seed), images)) for seed in range(_MEMBERS.value)
  ]
  stacked = members.place(members.stack(trees), None)
  ways = {
    "single": lambda: members.forward_jit(net, False, trees[0], images),
    **{
      name: lambda name=name: members.apply_stacked(
        net, stacked, images, batching=name
      )
      for name in members.BATCHINGS
    },
  }
  times: dict[str, list[float]] = {name: [] for name in ways}
  for turn in range(_REPEATS.value + 1):
    for name, work in ways.items():
      seconds = _timed(work)
      if turn:  # the first one compiles
        times[name].append(seconds)
  _report(times)


def _report(times: dict[str, list[float]]) -> None:
  device, count = jax.devices()[0].device_kind, _MEMBERS.value
  print(
    f"{count} x {_NETWORK.value}, width {_WIDTH.value}, batch {_BATCH.value}, "
    f"{_SIZE.value} x {_SIZE.value}; {device}, jax {jax.__version__}"
  )
  single = np.array(times.pop("single"))
  print(f"one member alone: {np.median(single):.3f} s")
  for name, found in times.items():
    ratio = np.median(np.array(found) / (count * single))
    print(f"{name:5} {np.median(found):.3f} s, {ratio:.2f} of {count} singles")


if __name__ == "__main__":
  app.run(main)
