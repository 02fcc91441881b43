"""Tuning the thresholds of many models at once, on shared forward passes.

Models go through a study batch by batch in turns, so that each network is
computed once a batch however many ensembles it is in. Thresholds are kept fold
by fold, bound to the weights by a digest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax import distributed
from lumbar_jax.ensembles.model import Model
from lumbar_jax.ensembles.weights import Weights, make_pool
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.evaluate import patching, threshold_slices
from lumbar_jax.evaluation.labelling import (
  ThresholdCounts,
  read_thresholds_file,
  write_thresholds,
)
from lumbar_jax.files import atomic_path, digest, read_arrays
from lumbar_jax.progress import Progress

_COUNTS = "threshold_counts.npz"


def take_turns(walks: Sequence[Iterator[None]]) -> None:
  """Advances walks of equal length step by step, all of them to their end."""
  for _ in zip(*walks, strict=True):
    pass


def tune_models(
  models: Sequence[Model],
  folds: Sequence[int],
  validation: Callable[[int], Sequence[Any]],
  weights: Weights,
  config: Any,
) -> None:
  """Tunes TH's thresholds of models, fold by fold and pooled.

  Several processes divide the folds among them.

  Args:
    models: trained.
    folds: all their folds.
    validation: fold -> the prepared studies that it is validated on.
    weights: remembers the members' digests.
    config: patching and batching.

  Raises:
    InputError: a fold of a member or a meta-learner is not trained.
  """
  mine = distributed.share(folds)
  with Progress("tuning thresholds, folds", len(mine)) as progress:
    for done, fold in enumerate(mine, start=1):
      pending = [m for m in models if not _is_tuned(m, fold, weights)]
      if pending:
        _tune_fold(pending, fold, validation(fold), weights, config)
      progress.update(done)
  distributed.barrier("folds are tuned")
  distributed.on_main(_tune_pooled, models, folds, weights)


def _tune_pooled(
  models: Sequence[Model], folds: Sequence[int], weights: Weights
) -> None:
  """Writes each model's thresholds of all folds' counts."""
  for model in models:
    counts = pooled_counts(model, folds)
    scheme, model_digest = model.run.scheme, all_folds(model, folds, weights)
    path = model.run.thresholds_path()
    write_thresholds(path, scheme, counts.thresholds(), model_digest)


def all_folds(model: Model, folds: Sequence[int], weights: Weights) -> str:
  """Returns the digest of a model's weights in several folds."""
  return digest([weights.of_model(model, fold) for fold in folds])


def _is_tuned(model: Model, fold: int, weights: Weights) -> bool:
  path = model.run.thresholds_path(fold)
  counts = model.run.fold_folder(fold) / _COUNTS
  if not path.is_file() or not counts.is_file():
    return False
  return read_thresholds_file(path).get("model") == weights.of_model(
    model, fold
  )


def _tune_fold(models, fold, studies, weights, config) -> None:
  """Tunes one fold of several models."""
  pool = make_pool(models, [fold], weights, config.ensemble.batching)
  scheme = models[0].run.scheme
  counts = [ThresholdCounts.zeros(scheme.num_classes) for _ in models]
  scorers = [model.scorer(pool, fold) for model in models]
  title = f"fold {fold}, {len(models)} models, validation studies"
  with Progress(title, len(studies)) as progress:
    for done, study in enumerate(studies, start=1):
      take_turns(
        [
          threshold_slices(found, scorer, study, patching(config))
          for found, scorer in zip(counts, scorers, strict=True)
        ]
      )
      progress.update(done, study.name)
  for number in counts[0].absent():
    logging.warning(
      "fold %d: no validation pixel is %s; its threshold is .05",
      *(fold, scheme.names[number]),
    )
  for model, found in zip(models, counts, strict=True):
    folder = model.run.fold_folder(fold)
    with atomic_path(folder / _COUNTS) as scratch:
      np.savez_compressed(scratch, counts=found.counts)
    write_thresholds(
      model.run.thresholds_path(fold),
      *(scheme, found.thresholds(), weights.of_model(model, fold)),
    )


def pooled_counts(model: Model, folds: Sequence[int]) -> ThresholdCounts:
  """Returns a tuned model's threshold counts, folds added up.

  Raises:
    InputError: it is not tuned.
  """
  total = ThresholdCounts.zeros(model.run.scheme.num_classes)
  for fold in folds:
    path = model.run.fold_folder(fold) / _COUNTS
    if not path.is_file():
      raise InputError(
        f"the thresholds of {model.title} are not tuned",
        "run --mode=study --stage=tune",
        path=path,
      )
    (counts,) = read_arrays(
      path, "counts", remedy="delete it and tune the thresholds anew"
    )
    total = total + ThresholdCounts(counts)
  return total


def validation_iou(model: Model, folds: Sequence[int]) -> float:
  """Returns the mean one-vs-rest IoU at the thresholds, on validation pixels.

  What models may be chosen by: no test patient has a part in it.
  """
  counts = pooled_counts(model, folds)
  best = counts.iou().max(axis=-1)[1:]
  present = counts.counts[1:, 1].sum(-1) > 0
  return float(best[present].mean())
