"""Times a network's train step and forward pass on this machine.

  python experiments/time_network.py [--name=U1] [--width=64] [--size=256]

Prints the median over repeats for one patch; compilation apart.
"""

import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import jax
import numpy as np
from absl import app, flags

from lumbar_jax import config as config_lib
from lumbar_jax import models
from lumbar_jax.evaluation.scorers import make_scorer
from lumbar_jax.training import engine as engine_lib
from lumbar_jax.training.optimizers import make_optimizer

_NAME = flags.DEFINE_string("name", "U1", "network")
_WIDTH = flags.DEFINE_integer("width", 64, "channels of the first level")
_SIZE = flags.DEFINE_integer("size", 256, "rows and columns of a patch")
_CLASSES = flags.DEFINE_integer("classes", 12, "classes")
_BATCH = flags.DEFINE_integer("batch", 1, "patches in a batch")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed repeats")


def timed(call) -> tuple[float, float]:
  """Returns seconds of the first call, and the median of the others."""
  seconds = []
  for _ in range(_REPEATS.value + 1):
    start = time.perf_counter()
    jax.block_until_ready(call())
    seconds.append(time.perf_counter() - start)
  return seconds[0], statistics.median(seconds[1:])


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  config, size, batch = config_lib.default(), _SIZE.value, _BATCH.value
  config.data.patch_size, config.training.batch_size = size, batch
  net = models.build(_NAME.value, _CLASSES.value, width=_WIDTH.value)
  row = models.topology(_NAME.value)
  optimizer = make_optimizer(row.optimizer, row.learning_rate)
  engine = engine_lib.make_engine(net, optimizer, config)
  state = engine.create(jax.random.key(0), 0)
  rng = np.random.default_rng(0)
  shape = (batch, size, size)
  images = rng.normal(size=(*shape, 2)).astype(np.float32)
  labels = rng.integers(0, _CLASSES.value, shape).astype(np.int32)
  scorer = make_scorer(net, state.variables)

  def step():
    nonlocal state
    state, sums = engine.train_step(state, {"images": images, "labels": labels})
    return sums

  print(jax.devices()[0].device_kind, "jax", jax.__version__)
  for name, call in (("forward", lambda: scorer(images)), ("train step", step)):
    first, median = timed(call)
    print(
      f"{_NAME.value} m={_WIDTH.value} {name}: {median / batch:.3f} s a patch "
      f"of {size} x {size} (batch {batch}); first call {first:.1f} s",
      flush=True,
    )


if __name__ == "__main__":
  app.run(main)
