"""The stages of a run, each resumable and usable alone.

material -> train_fold (each fold) -> tune -> evaluate (`held_out`) -> report

Several processes (`distributed`) go through them together: they train as one
and divide the studies that are prepared, tuned on, evaluated and predicted
among them; what they count is gathered, and the main one writes it.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence

from absl import logging

from lumbar_jax import distributed, remarks
from lumbar_jax.anatomy import Scheme
from lumbar_jax.data.checks import check_all_masks, of_record
from lumbar_jax.data.pipeline import PatchSource, Sources
from lumbar_jax.data.prepare import PreparedStudy, prepare_studies
from lumbar_jax.data.room import check_room
from lumbar_jax.data.sources import find_studies
from lumbar_jax.data.sources.found import WARNING, Found
from lumbar_jax.data.splits import Splits
from lumbar_jax.data.splits_file import load_or_make_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.data.study_arrays import mask_table
from lumbar_jax.environment import record_data
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tuned_on
from lumbar_jax.evaluation.evaluate import (
  collect_thresholds,
  patching,
)
from lumbar_jax.evaluation.labelling import (
  ThresholdCounts,
  write_thresholds,
)
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.locks import locked
from lumbar_jax.progress import Progress
from lumbar_jax.runs import Run, begin_run, record_epochs
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
  with distributed.main_first("data"):
    found, splits = _divided(run)
  taking_part = set(splits.patients)
  labelled = [
    s for s in found.studies if s.mask is not None and s.patient in taking_part
  ]
  distributed.on_main(
    check_room, labelled, run.config.data, run.cache, run.folder
  )
  if distributed.count() > 1:  # each makes some; then all find them made
    _prepare(run, distributed.share(labelled), found.mask_scheme)
    distributed.barrier("prepared")
  prepared = _prepare(run, labelled, found.mask_scheme)
  with distributed.main_first("environment"):
    record_data(run, splits, prepared)
  for study in prepared:
    for flag in study.info["flags"]:
      logging.warning("%s: %s", study.name, flag)
  _tell_of_masks(run, found, prepared)
  unlabelled = tuple(s for s in found.studies if s.mask is None)
  return Material(splits, tuple(prepared), unlabelled)


def _tell_of_masks(
  run: Run, found: Found, studies: Sequence[PreparedStudy]
) -> None:
  """Logs what is to know about the masks of all studies together."""
  masks = [of_record(s.info["labels"]) for s in studies if "labels" in s.info]
  table = mask_table(run.config.data, run.scheme, found.mask_scheme)
  explained = found.mask_scheme is not None
  for finding in check_all_masks(masks, run.scheme, table, explained=explained):
    warned = finding.severity == WARNING
    logging.log(logging.WARNING if warned else logging.INFO, "%s", finding)


def _divided(run: Run) -> tuple[Found, Splits]:
  """Finds the data and divides its patients; the folder is the run's then."""
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
  return found, splits


def _prepare(
  run: Run, studies: Sequence[Study], mask_scheme: Scheme | None
) -> list[PreparedStudy]:
  """Prepares studies, or finds them prepared, showing how far it is."""
  with Progress("preparing studies", len(studies)) as progress:
    return prepare_studies(
      studies,
      run.config.data,
      run.scheme,
      mask_scheme,
      run.cache,
      lambda done, _, name: progress.update(done, name),
    )


def engine(run: Run) -> Engine:
  """Returns a run's compiled functions, for all its folds."""
  return make_engine(build_network(run), build_optimizer(run), run.config)


def patch_sources(run: Run, data: Material, fold: int) -> Sources:
  """Returns a fold's training and validation patches."""
  size, stride = run.config.data.patch_size, run.config.data.patch_stride
  return tuple(
    PatchSource(data.of(patients), size, stride)
    for patients in (data.splits.train(fold), data.splits.validation(fold))
  )


def train_fold(
  run: Run,
  data: Material,
  fold: int,
  engine: Engine,
  later: Sequence[int] = (),
) -> None:
  """Trains a fold from where it was left, unless it is finished.

  Args:
    run: the run.
    data: its material.
    fold: the fold's number.
    engine: the run's compiled functions.
    later: folds that this process trains after it, for the time left.
  """
  run.check_fold(fold)
  sources = patch_sources(run, data, fold)
  folder = run.fold_folder(fold)
  lock = locked(folder) if distributed.is_main() else contextlib.nullcontext()
  with lock:
    if distributed.is_main():
      record_epochs(run)
    trainer = FoldTrainer(
      engine,
      run.config,
      run.scheme,
      sources,
      folder,
      fold,
      initial_weights(run, fold),
      follow=(remarks.epochs_left(run, later), f"all of {run.title}"),
    )
    logging.info(
      "fold %d: %d training and %d validation patches, %s",
      *(fold, *map(len, sources)),
      "already trained" if trainer.done else f"epoch {trainer.position.epoch}",
    )
    was_done, position = trainer.done, trainer.run()
  logging.info(
    "fold %d: best validation %s %.4f in epoch %d",
    *(fold, run.config.training.best_by),
    *(position.best_score, position.best_epoch + 1),
  )
  if not was_done:
    distributed.on_main(
      remarks.after_fold, run, fold, position, trainer.best_counts
    )


def train_folds(
  run: Run, data: Material, folds: Sequence[int], engine: Engine
) -> None:
  """Trains some folds one after the other, see `train_fold`."""
  remarks.before_folds(run, data, folds)
  for number, fold in enumerate(folds, start=1):
    train_fold(run, data, fold, engine, folds[number:])


def tune_fold(
  run: Run,
  data: Material,
  fold: int,
  scorer: Scorer,
  progress: Progress | None = None,
) -> ThresholdCounts:
  """Tunes a fold's thresholds on its validation studies and stores them."""

  def studies():
    for study in distributed.share(data.of(data.splits.validation(fold))):
      yield study
      if progress is not None:
        progress.update(progress.done + 1, study.name)

  own = collect_thresholds(
    *(scorer, studies(), run.scheme.num_classes), **patching(run.config)
  )
  counts = sum(
    distributed.gather(own), ThresholdCounts.zeros(run.scheme.num_classes)
  )
  for number in counts.absent():
    logging.warning(
      "fold %d: no validation pixel is %s; its threshold is .05",
      *(fold, run.scheme.names[number]),
    )
  _write_thresholds(run, fold, counts)
  return counts


def _write_thresholds(
  run: Run, fold: int | None, counts: ThresholdCounts
) -> None:
  path, best = run.thresholds_path(fold), counts.thresholds()
  origin = {tuned_on.FIELD: tuned_on.record(run, fold)}
  distributed.on_main(write_thresholds, path, run.scheme, best, **origin)


def tune(run: Run, data: Material, scorers: Sequence[Scorer]) -> None:
  """Tunes every fold's thresholds, and the run's on the pooled scores."""
  pooled = ThresholdCounts.zeros(run.scheme.num_classes)
  total = len(distributed.share(data.of(data.splits.validated)))
  with Progress("tuning thresholds, studies", total) as progress:
    for fold, scorer in enumerate(scorers):
      pooled = pooled + tune_fold(run, data, fold, scorer, progress)
  _write_thresholds(run, None, pooled)
