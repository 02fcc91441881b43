"""A tiny training and prediction that one process does, or several together.

python tests/distributed_job.py FOLDER HOST:PORT NUM_PROCESSES PROCESS_ID ENDING
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import jax
import nibabel as nib
import numpy as np
from absl import flags
from flax import linen as nn

from lumbar_jax import anatomy, distributed, runs
from lumbar_jax import config as config_lib
from lumbar_jax.data.pipeline import PatchSource
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.studies import Study
from lumbar_jax.inference.predict import predict_studies
from lumbar_jax.models.unet import Outputs
from lumbar_jax.training import sharding
from lumbar_jax.training.engine import make_engine
from lumbar_jax.training.loop import FoldTrainer
from lumbar_jax.training.optimizers import make_optimizer

SCHEME = anatomy.SPIDER
SIZE, BATCH, EPOCHS, STEPS = 16, 4, 2, 5  # 22 training patches: 2 are left over
STUDIES = 5
# {name: (which process, -1 the last, the signal that it gets)}
ENDINGS = {
  "killed": (-1, signal.SIGKILL),
  "headless": (0, signal.SIGKILL),
  "told": (-1, signal.SIGTERM),
}


class Small(nn.Module):
  """What has to see the whole batch, or draw its own random numbers."""

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.Conv(8, (3, 3), use_bias=False)(images)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.Dropout(0.2, deterministic=not train)(nn.relu(x))
    return Outputs(nn.Conv(SCHEME.num_classes, (1, 1))(x))


def patches(num_slices: int, seed: int) -> PatchSource:
  """Returns one patch a slice, of classes that show in the intensities."""
  rng = np.random.default_rng(seed)
  shape = (num_slices, SIZE, SIZE)
  mask = rng.integers(0, SCHEME.num_classes, shape).astype(np.uint8)
  image = (mask + rng.normal(0, 0.3, shape))[..., None].astype(np.float32)
  study = PreparedStudy(
    *("a", "a", "", image, mask, mask, shape[1:], (1.0, 1.0, 1.0), {})
  )
  return PatchSource([study], SIZE, SIZE)


def trainer(folder: Path, *, epochs: int = EPOCHS, devices=None) -> FoldTrainer:
  """Returns a trainer of all devices, or of some."""
  config = config_lib.default()
  config.data.update(channels=("T2w",), num_workers=0, patch_size=SIZE)
  config.training.update(
    batch_size=BATCH,
    num_epochs=epochs,
    tensorboard=False,
    checkpoint_every_steps=3,
  )
  engine = make_engine(
    Small(),
    make_optimizer("adam", 0.01),
    config,
    sharding.make_mesh(BATCH, devices),
  )
  # The last validation batch has no patch for the last process.
  sources = patches(22, seed=1), patches(5, seed=2)
  return FoldTrainer(engine, config, SCHEME, sources, folder, 0)


def write_images(folder: Path) -> None:
  """Writes the studies that `predict` looks for."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  for number in range(STUDIES):
    values = rng.integers(0, 99, (2, SIZE, SIZE)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), folder / f"{number}.nii.gz")


def predict(folder: Path) -> tuple[dict[str, str], list[str]]:
  """Returns ({study: status}, studies of this process)."""
  config = config_lib.default()
  config.data.update(scheme="spider", channels=("T2w",), num_folds=2)
  config.data.update(patch_size=SIZE, patch_stride=SIZE)
  with distributed.main_first("run"):
    run = runs.open_run(folder / "run", config)
  images = sorted((folder / "images").glob("*.nii.gz"))
  own = []
  results = predict_studies(
    run,
    [Study(p.name.split(".")[0], "", {"T2w": p}) for p in images],
    folder / "predicted",
    labelling="MAP",
    overlays=False,
    scorer=lambda x: np.full((*x.shape[:3], SCHEME.num_classes), 0.25),
    on_study=lambda result: own.append(result.name),
  )
  return {result.name: result.status for result in results}, own


def end(folder: Path, ending: str) -> None:
  """Trains, and gives one process a signal in the second epoch."""
  which, sign = ENDINGS[ending]
  victim = which % distributed.count()
  for number, _ in enumerate(trainer(folder / ending).steps()):
    if number == STEPS + 3 and distributed.index() == victim:
      os.kill(os.getpid(), sign)
    if number >= STEPS + 3:
      time.sleep(1.5)  # word of it takes longer than such a step


def main(
  folder: Path, coordinator: str, count: int, index: int, ending: str
) -> None:
  """Does it all if it is to be killed at the end, else only the ending."""
  with distributed.joined(coordinator, count, index):
    if ending == "killed":
      work(folder, index)
    end(folder, ending)


def work(folder: Path, index: int) -> None:
  """Trains, predicts and writes what was found."""
  trainer(folder / "whole").run()
  trainer(folder / "begun").run()
  status, own = predict(folder)
  again, _ = predict(folder)
  gathered = distributed.gather(np.arange(index + 1))
  found = {"status": status, "again": again, "own": own}
  found["gathered"] = [value.tolist() for value in gathered]
  (folder / f"found_{index}.json").write_text(json.dumps(found))


if __name__ == "__main__":
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_disable_most_optimizations", True)
  flags.FLAGS.mark_as_parsed()  # grain asks for absl's flags
  folder, coordinator, count, index, ending = sys.argv[1:]
  main(Path(folder), coordinator, int(count), int(index), ending)
