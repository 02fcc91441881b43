"""One prepared study: scores slice by slice, labels on the scanner's grid."""

from typing import Any

import jax
import numpy as np

from lumbar_jax.arrays import StudyLabels, StudyScores
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.ensembles.weights import fold_scorers
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tuned_on
from lumbar_jax.evaluation.evaluate import patching
from lumbar_jax.evaluation.labelling import (
  Thresholds,
  check_labelling,
  label,
  read_thresholds,
  read_thresholds_file,
)
from lumbar_jax.evaluation.on_device import label_slices
from lumbar_jax.evaluation.reconstruction import iterate_slices
from lumbar_jax.evaluation.scorers import Scorer, average
from lumbar_jax.runs import Run
from lumbar_jax.timing import stage


def segment(
  study: PreparedStudy,
  scorer: Scorer,
  thresholds: Thresholds | None,
  labelling: str,
  config: Any,
  *,
  probabilities: bool = False,
) -> tuple[StudyLabels, StudyScores | None]:
  """Labels a prepared study on its native grid.

  One slice's scores are held at a time unless probabilities are asked for.

  Args:
    study: with image [n h w c].
    scorer: [b h w c] -> [b h w k].
    thresholds: [k] for "TH"; "MAP" needs none.
    labelling: "MAP" or "TH".
    config: the run's (patch size and stride, batch size).
    probabilities: whether to return the scores too.

  Returns:
    [n H W] uint8 classes, and [n H W k] float32 scores or None.

  Raises:
    InputError: another labelling.
  """
  shape = tuple(study.native_shape)
  cut = patching(config)
  labels = np.empty((len(study.image), *shape), np.uint8)
  if jax.default_backend() != "cpu" and not probabilities:
    check_labelling(labelling)
    limits = thresholds if labelling == "TH" else None
    found = label_slices(
      stage("network")(scorer), study.image, limits, shape, **cut
    )
    for number, values in enumerate(found):
      labels[number] = values
    return labels, None
  slices = iterate_slices(
    stage("network")(scorer), study.image, native_shape=shape, **cut
  )
  kept = None
  for number, scores in enumerate(slices):
    labels[number] = label(scores, labelling, thresholds)
    if probabilities:
      if kept is None:
        kept = np.empty((*labels.shape, scores.shape[-1]), np.float32)
      kept[number] = scores
  return labels, kept


def load_scorer(run: Run, fold: int | None = None) -> Scorer:
  """Returns the mean of the folds' scores, or one fold's.

  Raises:
    InputError: a fold that the run does not have, or that is not trained.
  """
  try:
    folds = None if fold is None else [fold]
    return average(fold_scorers(run, folds, together=True))
  except InputError as error:
    if fold is not None:
      raise
    raise InputError(
      error.problem,
      f"{error.remedy.rstrip('.')}; or give --fold=N to use one that is",
      path=error.path,
    ) from None


def load_thresholds(
  run: Run, labelling: str, fold: int | None = None
) -> Thresholds | None:
  """Returns [k] thresholds of the run or of a fold; None for "MAP".

  Raises:
    InputError: another labelling, "TH" before thresholds were tuned, or a file
      of another run's or fold's.
  """
  check_labelling(labelling)
  if labelling == "MAP":
    return None
  path = run.thresholds_path(fold)
  if not path.is_file():
    raise InputError(
      "no thresholds for --labelling=TH",
      "run --mode=evaluate, which tunes them, or give --labelling=MAP",
      path=path,
    )
  thresholds = read_thresholds(path, run.scheme)
  tuned_on.check(run, fold, read_thresholds_file(path), path)
  return thresholds
