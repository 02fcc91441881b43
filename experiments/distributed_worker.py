"""One of the processes that `measure_distributed.py` starts; see there.

python experiments/distributed_worker.py --work=train --folder=OUT
"""

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import numpy as np
import optax
from absl import app, flags

from lumbar_jax import anatomy, distributed, logs, models, stopping
from lumbar_jax import config as config_lib
from lumbar_jax.data.pipeline import PatchSource, train_batches
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.training import sharding
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.engine import make_engine
from lumbar_jax.training.loop import FoldTrainer

_WORK = flags.DEFINE_enum("work", "train", ["time", "train"], "what to do")
_PLACE = flags.DEFINE_list("place", [], "HOST:PORT,N,I; empty: work alone")
_FOLDER = flags.DEFINE_string("folder", None, "what is written", required=True)
_STEPS = flags.DEFINE_integer("steps", 16, "timed steps")
_WIDTH = flags.DEFINE_integer("width", 8, "channels of U1's first level")
_SIZE = flags.DEFINE_integer("size", 64, "rows and columns of a patch")
_BATCH = flags.DEFINE_integer("batch", 16, "patches in a batch of all")

SCHEME = anatomy.MIDAS12
EPOCHS = 3
_WARM_UP = 2  # steps that compile and connect


def settings():
  """Returns the config of all cases."""
  config = config_lib.default()
  config.data.update(patch_size=_SIZE.value, num_workers=1)
  config.training.update(
    batch_size=_BATCH.value, num_epochs=EPOCHS, tensorboard=False
  )
  config.training.checkpoint_every_steps = 2
  return config


def make_source(num_patches: int, seed: int) -> PatchSource:
  """Returns random patches of one study."""
  rng, size = np.random.default_rng(seed), _SIZE.value
  mask = rng.integers(0, SCHEME.num_classes, (num_patches, size, size))
  image = mask[..., None] + rng.normal(0, 1, (*mask.shape, 2))
  mask = mask.astype(np.uint8)
  study = PreparedStudy(
    *("a", "a", "", image.astype(np.float32), mask, mask, (size, size)),
    *((1.0, 1.0, 1.0), {}),
  )
  return PatchSource([study], size, size)


def build(config):
  """Returns the compiled functions."""
  net = models.build(
    "U1", SCHEME.num_classes, width=_WIDTH.value, batchnorm_momentum=0.9
  )
  return make_engine(net, optax.sgd(0.05), config)


def time_steps(folder: Path) -> None:
  """Times steps; the main process writes what it saw."""
  config = settings()
  engine = build(config)
  share = sharding.process_share(engine.mesh)
  steps = _WARM_UP + _STEPS.value
  source = make_source(steps * _BATCH.value, seed=0)
  batches, _ = train_batches(
    source, _BATCH.value // share[1], seed=0, epoch=0, shard=share
  )
  state, losses, times, work = engine.create(jax.random.key(0), 0), [], [], []
  for batch in batches:
    batch.pop("studies")
    distributed.barrier("step")
    start, begun = time.perf_counter(), time.process_time()
    on_devices = sharding.put_batch(batch, engine.mesh)
    state, sums = engine.train_step(state, on_devices)
    losses.append(float(sums.loss))
    times.append(time.perf_counter() - start)
    work.append(time.process_time() - begun)
  all_work = sum(map(np.array, distributed.gather(work)))
  found = {
    "step_ms": 1e3 * float(np.median(times[_WARM_UP:])),
    "cpu_ms": 1e3 * float(np.median(all_work[_WARM_UP:])),
    "reduce_ms": 1e3 * time_reduce(engine.mesh, state.params),
    "save_ms": 1e3 * time_save(folder, state),
    "losses": losses,
    "num_parameters": sum(x.size for x in jax.tree.leaves(state.params)),
  }
  if distributed.is_main():
    leaves = [np.asarray(x) for x in jax.tree.leaves(state.params)]
    np.savez(folder / "weights.npz", *leaves)
    (folder / "found.json").write_text(json.dumps(found))


def time_reduce(mesh, params) -> float:
  """Returns the seconds of an all-reduce of the gradients' size."""
  size = sum(x.size for x in jax.tree.leaves(params))
  parts = np.ones((mesh.size // distributed.count(), size), np.float32)
  parts = jax.make_array_from_process_local_data(sharding.split(mesh), parts)
  whole = sharding.replicated(mesh)
  work = jax.jit(lambda x: x.sum(0), out_shardings=whole)
  times = []
  for _ in range(_WARM_UP + 5):
    distributed.barrier("reduce")
    start = time.perf_counter()
    jax.block_until_ready(work(parts))
    times.append(time.perf_counter() - start)
  return float(np.median(times[_WARM_UP:]))


def time_save(folder: Path, state) -> float:
  """Returns the seconds of a checkpoint."""
  checkpoints = Checkpoints(
    folder / "checkpoints", together=distributed.count() > 1
  )
  times = []
  for step in range(4):
    start = time.perf_counter()
    checkpoints.save_latest(step, state, {"epoch": 0})
    times.append(time.perf_counter() - start)
  checkpoints.close()
  return float(np.median(times[1:]))


def make_trainer(folder: Path) -> FoldTrainer:
  """Returns a trainer of all devices, three epochs of six steps."""
  sources = (
    make_source(6 * _BATCH.value, seed=1),
    make_source(_BATCH.value + 3, seed=2),
  )
  config = settings()
  return FoldTrainer(build(config), config, SCHEME, sources, folder, 0)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  logs.setup()
  folder = Path(_FOLDER.value)
  work = {"time": time_steps, "train": lambda f: make_trainer(f).run()}
  if not _PLACE.value:
    stopping.listen()
    work[_WORK.value](folder)
    return
  host, count, index = _PLACE.value
  with distributed.joined(host, int(count), int(index)):
    work[_WORK.value](folder)


if __name__ == "__main__":
  app.run(main)
