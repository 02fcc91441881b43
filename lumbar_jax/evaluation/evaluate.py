"""Evaluation of fold models on prepared studies, always on the native grid.

Every fold's model passes over a study once; both labellings and the folds'
averaged scores are counted from that pass, slice by slice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.anatomy import Scheme
from lumbar_jax.arrays import Counts, SliceScores, StudyImages, StudyLabels
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import labelling as labelling_lib
from lumbar_jax.evaluation.labelling import ThresholdCounts, Thresholds
from lumbar_jax.evaluation.reconstruction import ScoresFn, iterate_slices
from lumbar_jax.evaluation.results import AVERAGED, Results, make_row


class Study(Protocol):
  """What evaluation needs of a prepared study.

  Attributes:
    name: the study's name.
    patient: the patient's identifier.
    image: [n h w c] float32 at the training resolution, perhaps a memory map.
    native_mask: [n H W] uint8 classes on the scanner's grid, 255 = ignore.
    native_shape: (H, W) in pixels.
  """

  name: str
  patient: str
  image: StudyImages
  native_mask: StudyLabels
  native_shape: tuple[int, int]


# {(fold, labelling): [n k k], each slice's counts}
SliceCounts = dict[tuple[str, str], np.ndarray]
# (study, slice number, (fold or "averaged", labelling), labels [H W] uint8)
OnLabels = Callable[[Study, int, tuple[str, str], np.ndarray], None]


def patching(config: Any) -> dict[str, int]:
  """Returns how slices are cut and batched: what functions here ask for."""
  whole = config.evaluation.whole_slice
  return {
    "patch_size": 0 if whole else config.data.patch_size,
    "patch_stride": config.data.patch_stride,
    "batch_size": config.evaluation.batch_size,
  }


def _native_scores(
  scores_fn: ScoresFn, study: Study, patching: dict[str, int]
) -> Iterator[SliceScores | None]:
  """Yields [H W k] scores of a study's slices, and None after each batch."""
  if study.native_mask is None:
    raise InputError(
      f"study {study.name} has no mask", "evaluate studies with truth only"
    )
  shape = (len(study.image), *study.native_shape)
  if study.native_mask.shape != shape:
    raise ValueError(
      f"study {study.name}: mask {study.native_mask.shape}, scores {shape}"
    )
  return iterate_slices(
    scores_fn,
    study.image,
    native_shape=tuple(study.native_shape),
    pauses=True,
    **patching,
  )


def collect_thresholds(
  scores_fn: ScoresFn,
  studies: Iterable[Study],
  num_classes: int,
  *,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
) -> ThresholdCounts:
  """Passes over validation studies for TH's threshold search.

  Counts of several folds, each on its own validation studies, add up to the
  pooled out-of-fold counts behind a run's own thresholds.

  Args:
    scores_fn: one fold's model, see `reconstruction`.
    studies: that fold's validation studies.
    num_classes: k.
    patch_size: D in pixels.
    patch_stride: S in pixels.
    batch_size: patches in a batch.
  """
  patching = {"patch_size": patch_size, "patch_stride": patch_stride}
  patching["batch_size"] = batch_size
  counts = ThresholdCounts.zeros(num_classes)
  for study in studies:
    for _ in threshold_slices(counts, scores_fn, study, patching):
      pass
  return counts


def threshold_slices(
  counts: ThresholdCounts,
  scores_fn: ScoresFn,
  study: Study,
  patching: dict[str, int],
) -> Iterator[None]:
  """Adds a study's slices to `counts`, pausing after each batch of patches.

  Several models can so take turns on one study and share what they compute.
  """
  number = -1
  for scores in _native_scores(scores_fn, study, patching):
    if scores is None:
      yield
      continue
    number += 1
    counts.add(scores, np.asarray(study.native_mask[number]))


def evaluate_study(
  scorers: Sequence[ScoresFn],
  study: Study,
  thresholds: Sequence[Thresholds],
  averaged_thresholds: Thresholds | None = None,
  *,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
  folds: Sequence[str] | None = None,
  on_labels: OnLabels | None = None,
) -> dict[tuple[str, str], Counts]:
  """Counts a study's pixels for every fold model and labelling.

  Args:
    scorers: one model a fold, see `reconstruction`. Each sees the study once.
    study: with native truth.
    thresholds: [k] a scorer, for TH.
    averaged_thresholds: [k] for the scorers' averaged scores; None leaves
      "averaged" out.
    patch_size: D in pixels.
    patch_stride: S in pixels.
    batch_size: patches in a batch.
    folds: the scorers' names; "0", "1" ... if None.
    on_labels: called with each slice's labels, to keep them.

  Returns:
    {(fold or "averaged", "MAP" or "TH"): [k k] int64, rows = truth}.

  Raises:
    InputError: the study has no truth.
    ValueError: scorers, thresholds and folds differ in number, or mask and
      image in slices.
  """
  patching = {"patch_size": patch_size, "patch_stride": patch_stride}
  patching["batch_size"] = batch_size
  models = _Models(scorers, thresholds, averaged_thresholds, folds)
  counts = models.count(study, patching, on_labels)
  return {kind: slices.sum(0) for kind, slices in counts.items()}


class _Models:
  """Fold models with their names and thresholds."""

  def __init__(self, scorers, thresholds, averaged_thresholds, folds):
    """Takes what `evaluate_study` takes."""
    folds = [str(f) for f in range(len(scorers))] if folds is None else folds
    self._limits = dict(zip(folds, thresholds, strict=True))
    if averaged_thresholds is not None:
      self._limits[AVERAGED] = averaged_thresholds
    self._scorers = dict(zip(folds, scorers, strict=True))

  def count(self, study, patching, on_labels) -> SliceCounts:
    """Returns a study's counts."""
    counts: dict[tuple[str, str], list[Counts]] = {}
    walk = count_slices(
      counts, self._scorers, study, self._limits, patching, on_labels
    )
    for _ in walk:
      pass
    return {kind: np.stack(slices) for kind, slices in counts.items()}


def count_slices(
  counts: dict[tuple[str, str], list[Counts]],
  scorers: dict[str, ScoresFn],
  study: Study,
  limits: dict[str, Thresholds],
  patching: dict[str, int],
  on_labels: OnLabels | None = None,
) -> Iterator[None]:
  """Adds a study's slices to `counts`, pausing after each batch of patches.

  Several models can so take turns on one study and share what they compute.

  Args:
    counts: {(fold, labelling): [k k] of each slice}, filled in place.
    scorers: {fold: its model}.
    study: with native truth.
    limits: {fold: thresholds [k]}; "averaged" in it asks for the averaged
      scores too.
    patching: patch_size, patch_stride and batch_size.
    on_labels: called with each slice's labels.
  """
  passes = [_native_scores(s, study, patching) for s in scorers.values()]
  number = -1
  for scores in zip(*passes, strict=True):
    if scores[0] is None:
      yield
      continue
    number += 1
    truth = study.native_mask[number]
    named = dict(zip(scorers, scores, strict=True))
    if AVERAGED in limits:
      named[AVERAGED] = sum(scores) / np.float32(len(scores))
    for fold, values in named.items():
      for kind in labelling_lib.LABELLINGS:
        found = labelling_lib.label(values, kind, limits[fold])
        if on_labels is not None:
          on_labels(study, number, (fold, kind), found)
        new = metrics.confusion_host(np.asarray(truth), found, values.shape[-1])
        counts.setdefault((fold, kind), []).append(new)


def evaluate_studies(
  scorers: Sequence[ScoresFn],
  studies: Iterable[Study],
  scheme: Scheme,
  thresholds: Sequence[Thresholds],
  averaged_thresholds: Thresholds | None = None,
  *,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
  folds: Sequence[str] | None = None,
  on_study: Callable[[Study], None] | None = None,
  on_labels: OnLabels | None = None,
) -> Results:
  """Evaluates the fold models on studies; see `evaluate_study`.

  Args:
    scorers: one model a fold.
    studies: prepared, with native truth; an iterator may load them one by one.
    scheme: the k classes.
    thresholds: [k] a scorer.
    averaged_thresholds: [k] for the averaged scores, or None.
    patch_size: D in pixels.
    patch_stride: S in pixels.
    batch_size: patches in a batch.
    folds: the scorers' names.
    on_study: called after each study, for a progress display.
    on_labels: called with each slice's labels, to keep them.
  """
  results = Results(scheme)
  patching = {"patch_size": patch_size, "patch_stride": patch_stride}
  patching["batch_size"] = batch_size
  models = _Models(scorers, thresholds, averaged_thresholds, folds)
  for study in studies:
    counts = models.count(study, patching, on_labels)
    results.rows += [make_row(kind, study, n) for kind, n in counts.items()]
    if on_study is not None:
      on_study(study)
  return results
