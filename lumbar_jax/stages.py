"""The stages of a run, each resumable and usable alone.

material -> train_fold (each fold) -> tune -> evaluate -> report
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.data.pipeline import PatchSource, Sources
from lumbar_jax.data.prepare import PreparedStudy, prepare_studies
from lumbar_jax.data.sources import find_studies
from lumbar_jax.data.splits import Splits
from lumbar_jax.data.splits_file import load_or_make_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import surface_table, tables
from lumbar_jax.evaluation.evaluate import (
  collect_thresholds,
  evaluate_studies,
  patching,
)
from lumbar_jax.evaluation.labelling import (
  ThresholdCounts,
  read_thresholds,
  write_thresholds,
)
from lumbar_jax.evaluation.results import AVERAGED, Results
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.evaluation.statistics import bootstrap_options
from lumbar_jax.progress import Progress
from lumbar_jax.runs import Run, begin_run, locked, record_environment
from lumbar_jax.training.engine import Engine, make_engine
from lumbar_jax.training.loop import FoldTrainer
from lumbar_jax.training.networks import (
  build_network,
  build_optimizer,
  initial_weights,
)


@dataclasses.dataclass(frozen=True)
class Material:
  """What a run works on.

  Attributes:
    splits: who is tested on and who validates which fold.
    studies: prepared studies with truth.
    unlabelled: studies without truth: predicted, never scored.
  """

  splits: Splits
  studies: tuple[PreparedStudy, ...]
  unlabelled: tuple[Study, ...]

  def of(self, patients: Sequence[str]) -> list[PreparedStudy]:
    """Returns the prepared studies of some patients."""
    wanted = set(patients)
    return [study for study in self.studies if study.patient in wanted]

  @property
  def fold_of(self) -> dict[str, int] | None:
    """Returns {study: fold whose model evaluates it}; None with a test set."""
    if self.splits.test:
      return None
    return {
      study.name: fold
      for fold in range(self.splits.num_folds)
      for study in self.of(self.splits.validation(fold))
    }

  @property
  def evaluated(self) -> list[PreparedStudy]:
    """Returns the test studies, or without any those of validation."""
    return self.of(self.splits.test or self.splits.validated)

  def named(self, names: Iterable[str]) -> list[PreparedStudy]:
    """Returns the prepared studies of some names."""
    wanted = set(names)
    return [study for study in self.studies if study.name in wanted]


def material(run: Run) -> Material:
  """Finds, splits and prepares the data of a run.

  Raises:
    InputError: anything wrong with the data, the splits, or data that changed
      since the run began.
  """
  data = run.config.data
  found = find_studies(data, run.folder)
  splits = load_or_make_splits(
    run.folder / "splits.json",
    found.studies,
    data.test_fraction,
    data.num_folds,
    tuple(data.stratify_by),
    run.config.seed,
    data.validation_fraction,
  )
  if splits.num_folds != data.num_folds:
    raise InputError(
      f"the manifest divides the patients into {splits.num_folds} folds, but "
      f"config.data.num_folds is {data.num_folds}",
      f"give --config.data.num_folds={splits.num_folds}",
      path=data.manifest,
    )
  begin_run(run)  # from here on the folder belongs to this config
  taking_part = set(splits.patients)
  labelled = [
    s for s in found.studies if s.mask is not None and s.patient in taking_part
  ]
  with Progress("preparing studies", len(labelled)) as progress:
    prepared = prepare_studies(
      labelled,
      data,
      run.scheme,
      found.mask_scheme,
      run.cache,
      lambda done, _, name: progress.update(done, name),
    )
  record_environment(run, {s.name: s.info["digest"] for s in prepared})
  for study in prepared:
    for flag in study.info["flags"]:
      logging.warning("%s: %s", study.name, flag)
  unlabelled = tuple(s for s in found.studies if s.mask is None)
  return Material(splits, tuple(prepared), unlabelled)


def engine(run: Run) -> Engine:
  """Returns a run's compiled functions, for all its folds."""
  logging.info(
    "compiling %s for all folds: the first step takes a while",
    run.config.model.name,
  )
  return make_engine(build_network(run), build_optimizer(run), run.config)


def patch_sources(run: Run, data: Material, fold: int) -> Sources:
  """Returns a fold's training and validation patches."""
  size, stride = run.config.data.patch_size, run.config.data.patch_stride
  return tuple(
    PatchSource(data.of(patients), size, stride)
    for patients in (data.splits.train(fold), data.splits.validation(fold))
  )


def train_fold(run: Run, data: Material, fold: int, engine: Engine) -> None:
  """Trains a fold from where it was left, unless it is finished."""
  run.check_fold(fold)
  sources = patch_sources(run, data, fold)
  folder = run.fold_folder(fold)
  with locked(folder):
    trainer = FoldTrainer(
      engine,
      run.config,
      run.scheme,
      sources,
      folder,
      fold,
      initial_weights(run, fold),
    )
    logging.info(
      "fold %d: %d training and %d validation patches, %s",
      *(fold, *map(len, sources)),
      "already trained" if trainer.done else f"epoch {trainer.position.epoch}",
    )
    position = trainer.run()
  logging.info(
    "fold %d: best validation %s %.4f in epoch %d",
    *(fold, run.config.training.best_by),
    *(position.best_score, position.best_epoch + 1),
  )


def tune_fold(
  run: Run, data: Material, fold: int, scorer: Scorer
) -> ThresholdCounts:
  """Tunes a fold's thresholds on its validation studies and stores them."""
  studies = data.of(data.splits.validation(fold))
  counts = collect_thresholds(
    scorer, studies, run.scheme.num_classes, **patching(run.config)
  )
  for number in counts.absent():
    logging.warning(
      "fold %d: no validation pixel is %s; its threshold is .05",
      *(fold, run.scheme.names[number]),
    )
  write_thresholds(run.thresholds_path(fold), run.scheme, counts.thresholds())
  return counts


def tune(run: Run, data: Material, scorers: Sequence[Scorer]) -> None:
  """Tunes every fold's thresholds, and the run's on the pooled scores."""
  pooled = ThresholdCounts.zeros(run.scheme.num_classes)
  with Progress("tuning thresholds, folds", len(scorers)) as progress:
    for fold, scorer in enumerate(scorers):
      pooled = pooled + tune_fold(run, data, fold, scorer)
      progress.update(fold + 1)
  write_thresholds(run.thresholds_path(), run.scheme, pooled.thresholds())


class LabelKeeper:
  """Keeps the label maps that a run's predictions folder should show."""

  def __init__(self, fold: str, labelling: str):
    """Keeps one fold's (or the averaged scores') maps of one labelling."""
    self._kind = (fold, labelling)
    self.maps: dict[str, np.ndarray] = {}

  def __call__(self, study: Any, number: int, kind, labels) -> None:
    """Takes one slice, as `evaluate_studies` gives it."""
    if kind == self._kind:
      shape = (len(study.image), *study.native_shape)
      volume = self.maps.setdefault(study.name, np.zeros(shape, np.uint8))
      volume[number] = labels


def _held_out(
  run: Run, data: Material, scorers: Sequence[Scorer], progress: Progress
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates all folds, and their average, on the test patients."""
  keeper = LabelKeeper(AVERAGED, "TH")
  results = evaluate_studies(
    scorers,
    data.of(data.splits.test),
    run.scheme,
    [read_thresholds(run.thresholds_path(f), run.scheme) for f in run.folds],
    read_thresholds(run.thresholds_path(), run.scheme),
    **patching(run.config),
    on_study=lambda study: progress.update(progress.done + 1, study.name),
    on_labels=keeper,
  )
  return results, keeper.maps


def _out_of_fold(
  run: Run, data: Material, scorers: Sequence[Scorer], progress: Progress
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates each fold on its validation patients: without a test set."""
  results, maps = Results(run.scheme), {}
  for fold, scorer in enumerate(scorers):
    keeper = LabelKeeper(str(fold), "TH")
    found = evaluate_studies(
      [scorer],
      data.of(data.splits.validation(fold)),
      run.scheme,
      [read_thresholds(run.thresholds_path(fold), run.scheme)],
      **patching(run.config),
      folds=[str(fold)],
      on_study=lambda study: progress.update(progress.done + 1, study.name),
      on_labels=keeper,
    )
    results.rows.extend(found.rows)
    maps.update(keeper.maps)
  return results, maps


def evaluate(
  run: Run, data: Material, scorers: Sequence[Scorer]
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates a run and writes `evaluation/`.

  With test patients: every fold model and their averaged scores on them.
  Without (test_fraction=0): each fold model on its own validation patients,
  whose thresholds (and best epoch) were chosen on the same patients.

  Returns:
    The counts, and the label maps {study: [n H W]} of held-out studies.
  """
  held_out, studies = bool(data.splits.test), data.evaluated
  if not held_out:
    logging.warning(
      "no test patients: the figures are of the validation patients, on which "
      "thresholds and epochs were chosen, and so are optimistic"
    )
  with Progress("evaluating studies", len(studies)) as progress:
    work = _held_out if held_out else _out_of_fold
    results, maps = work(run, data, scorers, progress)
  surfaces = measure_surfaces(run, studies, maps)
  tables.save(
    run.folder / "evaluation", results, **bootstrap_options(run.config)
  )
  surface_table.write(run.folder / "evaluation", surfaces)
  return results, maps


def measure_surfaces(
  run: Run, studies: Sequence[PreparedStudy], maps: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
  """Returns the rows of surface.csv, none if the config wants none."""
  tolerance_mm = run.config.evaluation.surface_tolerance_mm
  if not tolerance_mm:
    return []
  return surface_table.measure(studies, maps, run.scheme, tolerance_mm)


def predictions_folder(run: Run) -> Path:
  """Where a run keeps what it predicted of its own data."""
  return run.folder / "predictions"
