"""Lets every network overfit four synthetic patches with its own settings.

  python experiments/overfit_topologies.py [--only=REGEX]

A network that cannot learn four patches by heart is wired wrongly, whatever its
forward pass says. The patches are the phantom's: two channels, all twelve
classes, 64 x 64 pixels of 2.4 mm. Paper 002's networks see the T2w alone, and
pixels of .6 mm: most of their maps have an eighth of the patch's size, from
which no finer border could be interpolated. DANet's has a 32nd, so that it is
its authors' version that is trained. Optimizer, learning rate, activation and
dropout (FCN has .5 while it trains) are each network's own, Table 3 of paper
000 or paper 002's section 4.2; the loss is cross-entropy, nothing is augmented.
The networks are narrow, and BatchNorm's momentum is .9: with .99 the running
statistics would lag behind these few steps.

A network passes when its pixel accuracy in evaluation (running statistics, no
dropout) exceeds .95 within the bound. A line for each: steps, that accuracy,
the last step's own (statistics of its batch, dropout on), seconds. Then
`N passed, N failed`; exits 1 if one failed.
"""

import dataclasses
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import numpy as np
from absl import app, flags

from lumbar_jax import anatomy, config, models
from lumbar_jax.data import phantom
from lumbar_jax.data.normalisation import normalise
from lumbar_jax.training.losses import make_loss
from lumbar_jax.training.optimizers import make_optimizer
from lumbar_jax.training.state import create_state
from lumbar_jax.training.steps import make_eval_step, make_train_step

_ONLY = flags.DEFINE_string("only", "", "regular expression of names")
_WIDTH = flags.DEFINE_integer("width", 8, "channels of the first level")
_SIZE = flags.DEFINE_integer("size", 64, "rows and columns of a patch")
_STEPS = flags.DEFINE_integer("steps", 1500, "most steps of a network")
_ACCURACY = flags.DEFINE_float("accuracy", 0.95, "to be exceeded")
_EVERY = flags.DEFINE_integer("every", 25, "steps between two evaluations")

# At the width of all, TransUNet's last decoder would have two channels.
LEAST_WIDTH = {"TransUNet": 32}
FIELDS_MM = {"000": 153.6, "002": 38.4}  # from T12 to the sacrum; a disc
CHANNELS = {"000": 2, "002": 1}
SCHEME = anatomy.SCHEMES["midas12"]

# The other variants of paper 002's networks differ in options alone.
_TWINS = (
  *("DANet", "Inf-Net_official", "DenseASPP_official", "MiniSeg_official"),
  "PSANet_official",
)
NAMES = [name for name in models.names() if name not in _TWINS]


def four_patches(paper: str = "000") -> dict[str, np.ndarray]:
  """Returns the four middle slices of a phantom whose channels agree."""
  preset = phantom.get_preset("tiny")
  size, spacing_mm = _SIZE.value, FIELDS_MM[paper] / _SIZE.value
  grid = {"matrix_px": (size,), "pixel_spacing_mm": (spacing_mm, spacing_mm)}
  session = phantom.simulate(
    preset,
    patient_index=0,
    motion=phantom.Motion(),
    t2w=dataclasses.replace(preset.t2w, **grid),
    t1w=dataclasses.replace(preset.t1w, **grid),
  )
  table = SCHEME.lookup(anatomy.PHANTOM)
  images = [normalise(x, "volume") for x in (session.t2w, session.t1w)]
  labels = anatomy.map_labels(session.labels, table, "the phantom")
  start = len(labels) // 2 - 2
  return {
    "images": np.stack(images[: CHANNELS[paper]], axis=-1)[start : start + 4],
    "labels": labels[start : start + 4].astype(np.int32),
  }


def _own_settings(name: str):
  """Returns a network, its optimizer, and a config without augmentation."""
  settings = config.default()
  settings.augmentation.update(
    rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0, flip=0.0
  )
  net = models.build(
    name,
    SCHEME.num_classes,
    _SIZE.value,
    width=max(_WIDTH.value, LEAST_WIDTH.get(name, 0)),
    batchnorm_momentum=0.9,
  )
  row = models.topology(name)
  return net, make_optimizer(row.optimizer, row.learning_rate), settings


def _accuracy(sums) -> float:
  return float(np.trace(sums.confusion) / sums.num_pixels)


def functions(net, optimizer, settings, batch):
  """Returns a fresh state and the compiled step and evaluation of a batch."""
  loss = make_loss(settings.training)
  step = make_train_step(net, optimizer, loss, settings.augmentation)
  evaluate = make_eval_step(net, loss)
  create = jax.jit(
    lambda key: create_state(net, optimizer, key, 0, batch["images"].shape[1:])
  )
  # Optimising what runs once would take longer than compiling the step.
  quick = {"xla_backend_optimization_level": 0}
  key = jax.random.key(0)
  state = create.lower(key).compile(quick)(key)
  # One call a step: XLA for CPUs runs a convolution inside a loop (lax.scan)
  # seven times slower.
  step = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
  evaluate = jax.jit(evaluate).lower(state.variables, batch).compile(quick)
  return state, step, evaluate


def train(state, step, evaluate, batch):
  """Returns steps taken, accuracy in evaluation, the last step's own."""
  accuracy, taken = 0.0, 0
  while taken < _STEPS.value and not accuracy > _ACCURACY.value:
    for _ in range(_EVERY.value):
      state, sums = step(state, batch)
    taken += _EVERY.value
    accuracy = _accuracy(evaluate(state.variables, batch))
  return taken, accuracy, _accuracy(sums)


def overfit(name: str, batch) -> tuple[bool, str]:
  """Trains a network; returns whether it passed, and its line."""
  started = time.perf_counter()
  net, optimizer, settings = _own_settings(name)
  compiled = functions(net, optimizer, settings, batch)
  begun = time.perf_counter()
  steps, accuracy, last = train(*compiled, batch)
  done = time.perf_counter()
  row = models.topology(name)
  return accuracy > _ACCURACY.value, (
    f"{name} ({row.optimizer} {row.learning_rate:g}, {row.activation}): "
    f"{steps} steps, accuracy {accuracy:.4f} (last step {last:.4f}), "
    f"{begun - started:.0f} s to compile, {done - begun:.0f} s to train"
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  batches = {paper: four_patches(paper) for paper in FIELDS_MM}
  passed = failed = 0
  for name in NAMES:
    if not re.search(_ONLY.value, name):
      continue
    paper = "000" if name in models.names("000") else "002"
    good, line = overfit(name, batches[paper])
    print("ok  " if good else "FAIL", line, flush=True)
    passed, failed = passed + good, failed + (not good)
  print(f"{passed} passed, {failed} failed")
  if not passed + failed:
    print(f"no network matches --only={_ONLY.value}", file=sys.stderr)
  sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
  app.run(main)
