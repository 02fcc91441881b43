"""Times every network on this machine: building, compiling, running.

  python experiments/time_topologies.py [--only=REGEX] [--width=64] [--size=256]

Prints a markdown table, a row for each network. Build: to trace and lower
forward pass and train step. Times of running are medians over the repeats. U1
runs beside each network, turn by turn, and "/ U1" is the median of the turns'
ratios, so that what else the machine does falls on both. Synthetic input.
"""

import operator
import re
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import jax
import numpy as np
from absl import app, flags

from lumbar_jax import config, models
from lumbar_jax.timing import interleave
from lumbar_jax.training.engine import make_engine
from lumbar_jax.training.optimizers import make_optimizer

_ONLY = flags.DEFINE_string("only", "", "regular expression of names")
_WIDTH = flags.DEFINE_integer("width", 64, "channels of the first level")
_SIZE = flags.DEFINE_integer("size", 256, "rows and columns of a patch")
_BATCH = flags.DEFINE_integer("batch", 1, "patches in a batch")
_REPEATS = flags.DEFINE_integer("repeats", 3, "timed turns")

CLASSES, CHANNELS = 12, 2
REFERENCE = "U1"


def seconds(call) -> tuple[float, object]:
  """Returns how long a call takes, and its result."""
  start = time.perf_counter()
  result = jax.block_until_ready(call())
  return time.perf_counter() - start, result


def warm_up() -> None:
  """Pays what the first trace of a process costs, so that no network does."""
  net = models.build(REFERENCE, CLASSES, width=2)
  image = jax.ShapeDtypeStruct((1, 32, 32, CHANNELS), np.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), image)
  jax.jit(net.apply).lower(variables, image)


class Timed:
  """A network with its compiled forward pass and train step."""

  def __init__(self, name: str):
    settings, row = config.default(), models.topology(name)
    settings.data.patch_size = size = _SIZE.value
    settings.training.batch_size = batch = _BATCH.value
    self.net = models.build(name, CLASSES, size, width=_WIDTH.value)
    optimizer = make_optimizer(row.optimizer, row.learning_rate)
    engine = make_engine(self.net, optimizer, settings)
    rng = np.random.default_rng(0)
    shape = (batch, size, size)
    images = rng.standard_normal((*shape, CHANNELS), np.float32)
    labels = rng.integers(0, CLASSES, shape, np.int32)
    self.batch = jax.device_put({"images": images, "labels": labels})
    # What runs once need not be optimised.
    quick = {"xla_backend_optimization_level": 0}
    key = jax.random.key(0)
    self.state = engine.create.lower(key, 0).compile(quick)(key, 0)
    self._compile(engine)

  def _compile(self, engine) -> None:
    variables, images = self.state.variables, self.batch["images"]
    forward = jax.jit(lambda v, x: self.net.apply(v, x).logits)
    a, lowered = seconds(lambda: forward.lower(variables, images))
    b, step = seconds(lambda: engine.train_step.lower(self.state, self.batch))
    self.build_s = a + b
    self.compile_forward_s, self._forward = seconds(lowered.compile)
    self.compile_step_s, self._step = seconds(step.compile)

  def forward(self) -> None:
    """Makes a forward pass."""
    images = self.batch["images"]
    jax.block_until_ready(self._forward(self.state.variables, images))

  def step(self) -> None:
    """Takes a train step."""
    self.state, sums = self._step(self.state, self.batch)
    jax.block_until_ready((self.state, sums))


def compare(ours: Timed, reference: Timed, what: str) -> tuple[float, float]:
  """Returns the median seconds, and the median ratio to the reference."""
  ways = {"reference": getattr(reference, what), "ours": getattr(ours, what)}
  times = interleave(ways, _REPEATS.value)
  ratios = map(operator.truediv, times["ours"], times["reference"])
  return statistics.median(times["ours"]), statistics.median(ratios)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}\n")
  print("| network | build s | compile forward s | compile step s ", end="")
  print("| forward s | / U1 | train step s | / U1 |")
  print("|---|---|---|---|---|---|---|---|", flush=True)
  warm_up()
  reference = Timed(REFERENCE)
  for name in models.names():
    if not re.search(_ONLY.value, name):
      continue
    ours = reference if name == REFERENCE else Timed(name)
    forward, step = (compare(ours, reference, w) for w in ("forward", "step"))
    print(
      f"| {name} | {ours.build_s:.1f} | {ours.compile_forward_s:.1f} "
      f"| {ours.compile_step_s:.1f} | {forward[0]:.2f} | {forward[1]:.2f} "
      f"| {step[0]:.2f} | {step[1]:.2f} |",
      flush=True,
    )


if __name__ == "__main__":
  app.run(main)
