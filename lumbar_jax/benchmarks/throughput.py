"""Training with the whole pipeline: patches a second, and the device's rest.

The fold trainer itself runs: grain reads patches from memory-mapped studies,
sends them, and the step augments them and trains. Turns of it alternate with
turns of the same step on a batch that lies on the device already; what the
first takes longer, the device waits.
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lumbar_jax.benchmarks import records, subjects
from lumbar_jax.benchmarks.cases import Case, of_networks
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.benchmarks.timing import summary
from lumbar_jax.benchmarks.train_step import fresh_state
from lumbar_jax.data.pipeline import PatchSource
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.runs import Run
from lumbar_jax.training import sharding
from lumbar_jax.training.engine import Engine, make_engine
from lumbar_jax.training.loop import FoldTrainer
from lumbar_jax.training.networks import build_optimizer

PEER = "the step alone"


def cases(config: Any) -> Iterator[Case]:
  """Returns a case for each network, type and batch size."""
  chosen = config.benchmark
  return of_networks(
    *("throughput", measure, chosen.train_networks),
    *(chosen.dtypes, chosen.train_batches),
  )


def _source(run: Run, scratch: Path, num_patches: int) -> PatchSource:
  """Returns at least so many patches of studies of noise, memory-mapped."""
  chosen, data = run.config.benchmark, run.config.data
  size = chosen.slice_px
  shape = (chosen.num_slices, size, size)
  rng = np.random.default_rng(0)
  image = rng.standard_normal((*shape, len(data.channels)), np.float32)
  mask = rng.integers(0, run.scheme.num_classes, shape, np.uint8)
  for name, array in (("image", image), ("mask", mask)):
    np.save(scratch / f"{name}.npy", array)
  image, mask = (
    np.load(scratch / f"{name}.npy", mmap_mode="r")
    for name in ("image", "mask")
  )
  study = PreparedStudy(
    *("study", "patient", "", image, mask, mask, shape[1:], (4.0, 1.0, 1.0)),
    info={},
  )
  one = PatchSource([study], data.patch_size, data.patch_stride)
  count = -(-num_patches // len(one))
  studies = [dataclasses.replace(study, name=f"{i}") for i in range(count)]
  return PatchSource(studies, data.patch_size, data.patch_stride)


def _engine(run: Run) -> Engine:
  """Returns a run's engine on one device, its initial weights drawn quickly."""
  batch = run.config.training.batch_size
  mesh = sharding.make_mesh(batch, jax.devices()[:1])
  variables = subjects.random_variables(run)
  net, optimizer = subjects.network(run), build_optimizer(run)
  engine = make_engine(net, optimizer, run.config, mesh)
  return engine.replace(create=lambda *_: fresh_state(run, mesh, variables))


def _turns(
  trainer: FoldTrainer, step: Any, placed: Any, num_steps: int, repeats: int
) -> tuple[list[float], list[float]]:
  """Returns seconds a step of the pipeline's turns and of the step's alone.

  Args:
    trainer: the whole pipeline.
    step: its compiled step, (state, batch) -> (state, sums).
    placed: a batch on the device.
    num_steps: of a turn.
    repeats: turns that count.
  """
  pipeline = trainer.steps()
  piped, alone = [], []
  for turn in range(repeats + 1):
    for _ in range(num_steps):  # what was read ahead meanwhile is used up
      next(pipeline)
    jax.block_until_ready(trainer.state)
    start = time.perf_counter()
    for _ in range(num_steps):
      next(pipeline)
    jax.block_until_ready(trainer.state)
    middle = time.perf_counter()
    for _ in range(num_steps):
      trainer.state, sums = step(trainer.state, placed)
    jax.block_until_ready((trainer.state, sums))
    end = time.perf_counter()
    if turn:  # the first one compiles
      piped.append((middle - start) / num_steps)
      alone.append((end - middle) / num_steps)
  pipeline.close()
  return piped, alone


def measure(
  config: Any, scratch: Path, case: str, name: str, dtype: str, batch: int
) -> list[Record]:
  """Measures the seconds of a step in training, and of the step alone."""
  chosen = config.benchmark
  run = subjects.make_run(config, scratch, name, dtype)
  run.config.training.update(batch_size=batch, num_epochs=1, tensorboard=False)
  run.config.training.checkpoint_every_steps = 0
  engine, num_steps = _engine(run), chosen.num_steps
  needed = 2 * num_steps * (chosen.repeats + 1)
  source = _source(run, scratch, batch * needed)
  trainer = FoldTrainer(
    *(engine, run.config, run.scheme, (source, source), scratch / "fold", 0),
    quiet=True,
  )
  data = subjects.random_batch(config, run.scheme.num_classes, batch)
  placed = sharding.put_batch(data, engine.mesh)
  piped, alone = _turns(
    trainer, engine.train_step, placed, num_steps, chosen.repeats
  )
  found = summary(piped, {PEER: alone})
  rate, idle = batch / found["ours_s"], max(0.0, 1 - 1 / found["ratio"])
  note = f"{rate:.3g} patches/s, the device idle {idle:.1%}"
  more = dict(patches_per_s=rate, idle_share=idle, note=note)
  return [records.make(case, found, **more)]
