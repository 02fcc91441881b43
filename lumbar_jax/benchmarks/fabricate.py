"""Trained runs and studies that cost no training: for what needs a whole run.

Networks have random weights, so that masks made with them are noise; a study is
the phantom's, as its scanner writes it (T2w and T1w, slightly moved).
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax.benchmarks import subjects
from lumbar_jax.combine import make_ensemble
from lumbar_jax.data import phantom
from lumbar_jax.data.splits_file import load_or_make_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.ensembles.definitions import TABLE_4, Ensemble
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.ensembles.weights import Weights
from lumbar_jax.environment import record_environment
from lumbar_jax.evaluation.labelling import write_thresholds
from lumbar_jax.runs import Run, begin_run
from lumbar_jax.training.checkpoints import Checkpoints

METHOD = "arithmetic"  # of ensembles
_THRESHOLD = 0.3
_FIELD_OF_VIEW_MM = (260.0, 280.0)


def study(folder: Path, num_slices: int, size: int) -> Study:
  """Writes a phantom study of num_slices of size x size pixels."""
  spacing = tuple(mm / size for mm in _FIELD_OF_VIEW_MM)
  base = phantom.get_preset("paper")
  channel = dict(matrix_px=(size,), pixel_spacing_mm=spacing)
  preset = dataclasses.replace(
    base,
    num_slices=(num_slices, num_slices),
    field_of_view_mm=_FIELD_OF_VIEW_MM,
    slice_spacing_mm=(4.0, max(44.0 / num_slices, 4.0)),
    t2w=dataclasses.replace(base.t2w, **channel),
    t1w=dataclasses.replace(base.t1w, **channel),
  )
  phantom.write_dataset(folder, preset, num_patients=1)
  images = {
    name: next(folder.glob(f"sub-*/**/*_{name}.nii.gz"))
    for name in ("T2w", "T1w")
  }
  return Study("sub-001", "ses-01", images)


def copies(original: Study, folder: Path, number: int) -> list[Study]:
  """Returns a study several times over, in files of their own."""
  folder.mkdir(parents=True, exist_ok=True)
  found = []
  for i in range(number):
    images = {
      name: Path(shutil.copy(path, folder / f"study{i:04d}_{name}.nii.gz"))
      for name, path in original.images.items()
    }
    found.append(Study(f"study{i:04d}", "", images))
  return found


def trained_run(config: Any, folder: Path, name: str, dtype: str) -> Run:
  """Makes a run's folder with every fold's random weights and thresholds."""
  run = subjects.make_run(config, folder, name, dtype)
  run.config.training.num_epochs = 1
  begin_run(run)
  data = run.config.data
  patients = [Study(f"p{i}", "", {}, Path()) for i in range(3 * data.num_folds)]
  load_or_make_splits(
    folder / "splits.json", patients, 0.0, data.num_folds, (), 0
  )
  record_environment(run, {})
  for fold in run.folds:
    _save_fold(run, fold)
  _save_thresholds(run)
  return run


def _save_fold(run: Run, fold: int) -> None:
  checkpoints = Checkpoints(run.fold_folder(fold) / "checkpoints")
  variables = subjects.random_variables(run, seed=fold)
  checkpoints.save_best(0, variables, {"epoch": 0})
  checkpoints.save_latest(1, {"none": np.zeros(1)}, {"epoch": 1})
  checkpoints.close()


def _save_thresholds(run: Run) -> None:
  limits = np.full(run.scheme.num_classes, _THRESHOLD, np.float32)
  limits[0] = 0
  for fold in (None, *run.folds):
    write_thresholds(run.thresholds_path(fold), run.scheme, limits)


def model(config: Any, folder: Path, name: str, dtype: str) -> Run:
  """Makes the run of a network, or of an ensemble of Table 4 by its name."""
  if name not in TABLE_4:
    return trained_run(config, folder / name, name, dtype)
  members = [
    Member(member, trained_run(config, folder / member, member, dtype))
    for member in TABLE_4[name]
  ]
  return _ensemble(folder / name, name, members)


def _ensemble(folder: Path, name: str, members: Sequence[Member]) -> Run:
  ensemble = Ensemble(name, tuple(member.name for member in members), METHOD)
  config = members[0].run.config.copy_and_resolve_references()
  run = make_ensemble(folder, ensemble, members, config, Weights()).run
  _save_thresholds(run)
  return run
