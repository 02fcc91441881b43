"""What a run says of itself: at the start, after a fold, after the evaluation.

The judgements are `advice`'s; nothing here shapes a result.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from lumbar_jax import advice, hardware, metrics
from lumbar_jax.arrays import Counts
from lumbar_jax.evaluation.results import AVERAGED, MEAN, Results
from lumbar_jax.runs import Run
from lumbar_jax.training.writers import read_metrics

if TYPE_CHECKING:
  from lumbar_jax.stages import Material


def data_words(run: Run) -> str:
  """Returns which data a run is of: the phantom must not pass for patients."""
  if run.config.data.source == "phantom":
    return "synthetic phantom data"
  return f"the data in {run.config.data.root or run.config.data.manifest}"


def at_start(run: Run, data: "Material") -> None:
  """Logs the devices, the precision and the data of a run."""
  logging.info("on %s; %s", hardware.describe(), run.config.training.dtype)
  splits = data.splits
  tested = (
    f"{len(splits.test)} for testing" if splits.test else "none set aside"
  )
  logging.info(
    "%s: %d studies with masks of %d patients (%d folds; %s), %d without",
    *(data_words(run), len(data.studies), len(splits.patients)),
    *(splits.num_folds, tested, len(data.unlabelled)),
  )
  if text := advice.few_test_patients(len(splits.test)):
    logging.info("%s", text)


def epochs_left(run: Run, folds: Sequence[int]) -> int:
  """Returns how many epochs some folds still have to be trained for."""
  wanted = run.config.training.num_epochs
  done = [len(read_metrics(run.fold_folder(fold))) for fold in folds]
  return sum(max(wanted - epochs, 0) for epochs in done)


def before_folds(run: Run, data: "Material", folds: Sequence[int]) -> None:
  """Logs how much work the training of some folds is."""
  left = epochs_left(run, folds)
  if left:
    batch_size = run.config.training.batch_size
    batches = _num_patches(run, data, folds[0]) // batch_size
    text = advice.steps_planned(left, batches, batch_size)
    logging.info("%s: %s", run.config.model.name, text)


def after_fold(run: Run, fold: int, position: Any, counts: Counts | None):
  """Logs what a fold's training did not reach.

  Args:
    run: the run.
    fold: its number.
    position: where training ended.
    counts: [k k] of the best epoch's validation, None where an earlier process
      had it.
  """
  curve = [
    line.get("val/iou", np.nan) for line in read_metrics(run.fold_folder(fold))
  ]
  if text := advice.rising_note(curve, position.best_epoch):
    logging.warning("fold %d: %s", fold, text)
  if counts is None:
    return
  if text := advice.missed_warning(counts, run.scheme.names):
    _warn_of_missed(f"fold {fold}, validation", text)


def _warn_of_missed(where: str, text: str) -> None:
  """Logs classes that are not found; the likely causes with the first."""
  logging.warning("%s: %s", where, text)
  logging.log_first_n(logging.WARNING, "%s", 1, advice.CAUSES)


def _main_counts(results: Results) -> Counts | None:
  """Returns the counts of the averaged scores (or all folds'), labelled TH."""
  fold = AVERAGED if AVERAGED in results.reported_folds else MEAN
  rows = results.select(fold, "TH")
  return sum(row.counts for row in rows) if rows else None


def after_evaluation(run: Run, data: "Material", results: Results) -> None:
  """Logs classes that were not found, and why a low result may be low."""
  counts = _main_counts(results)
  if counts is None:
    return
  if text := advice.missed_warning(counts, run.scheme.names):
    _warn_of_missed("evaluation", text)
  iou = float(metrics.mean(metrics.iou(counts), with_background=False))
  model, training = run.config.model, run.config.training
  batches = _num_patches(run, data, 0) // training.batch_size
  reasons = advice.limits(
    *(run.config, training.num_epochs * batches, len(data.splits.train(0))),
    from_random=not (training.init_from or model.backbone_weights),
  )
  if text := advice.low_result(iou, reasons):
    logging.warning("%s", text)


def _num_patches(run: Run, data: "Material", fold: int) -> int:
  """Returns the number of a fold's training patches."""
  from lumbar_jax import stages

  return len(stages.patch_sources(run, data, fold)[0])


def after_study(found: Mapping[str, Results], networks: Sequence[str]) -> None:
  """Logs the classes that each network of a study did not find."""
  for name in networks:
    counts = _main_counts(found[name]) if name in found else None
    if counts is None:
      continue
    if text := advice.missed_warning(counts, found[name].scheme.names):
      _warn_of_missed(name, text)
