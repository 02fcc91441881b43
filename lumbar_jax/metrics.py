"""Confusion counts, and what follows from them (paper 000, section 5.5).

Counts are [... k k] integers, rows = truth, columns = prediction; they add up
over slices, studies and folds, and every metric is a function of them. Pixels
whose truth is `anatomy.IGNORE` are not counted.

**Absent classes, for the whole project**: a class that occurs neither in the
truth nor in the prediction scores NaN in every metric and is left out of every
mean. A class that occurs in one of them only scores 0. (`slice_scores` is the
one exception: what paper 002 seems to have done, beside our own.)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.arrays import Confusion, Counts

_EXACT = 2**24  # whole numbers up to here are exact in float32


def confusion(
  labels: Int[jax.Array, "..."],
  predictions: Int[jax.Array, "..."],
  num_classes: int,
) -> Confusion:
  """Counts pixels by truth and prediction; usable inside jit.

  The last two axes (one image) are counted by a float32 matrix product, exact
  up to 2**24 pixels, and the images are added in int32, exact up to 2**31
  pixels in a call: add the results of many batches on the host.

  Args:
    labels: [...] truth; 255 (and anything else that is not a class) is left
      out. uint8 or wider.
    predictions: [...] classes.
    num_classes: k.

  Returns:
    [k k] int32, rows = truth.

  Raises:
    ValueError: the shapes differ, or one image has more than 2**24 pixels.
  """
  if labels.shape != predictions.shape:
    raise ValueError(f"labels {labels.shape}, predictions {predictions.shape}")
  num_pixels = math.prod(labels.shape[-2:])
  if num_pixels > _EXACT:
    raise ValueError(f"{num_pixels} pixels in an image, at most {_EXACT}")
  shape = (math.prod(labels.shape[:-2]), num_pixels)

  def one_hot(classes):
    classes = classes.reshape(shape).astype(jnp.int32)
    return jax.nn.one_hot(classes, num_classes, dtype=jnp.float32)

  counts = jnp.einsum(
    "bnk,bnl->bkl",
    one_hot(labels),
    one_hot(predictions),
    preferred_element_type=jnp.float32,
  )
  return counts.astype(jnp.int32).sum(0)


def confusion_host(
  labels: Int[np.ndarray, "..."],
  predictions: Int[np.ndarray, "..."],
  num_classes: int,
) -> Counts:
  """Counts pixels by truth and prediction in numpy.

  Args:
    labels: [...] truth; 255 is left out.
    predictions: [...] classes.
    num_classes: k.

  Returns:
    [k k] int64, rows = truth.

  Raises:
    ValueError: the shapes differ, or a number that is no class.
  """
  if labels.shape != predictions.shape:
    raise ValueError(f"labels {labels.shape}, predictions {predictions.shape}")
  counted = labels != IGNORE
  truth = labels[counted].astype(np.int64)
  found = predictions[counted].astype(np.int64)
  for name, values in (("label", truth), ("prediction", found)):
    if values.size and not 0 <= values.min() <= values.max() < num_classes:
      raise ValueError(
        f"{name}s {values.min()}..{values.max()} with {num_classes} classes"
      )
  flat = np.bincount(truth * num_classes + found, minlength=num_classes**2)
  return flat.reshape(num_classes, num_classes)


def _parts(counts):
  """Returns (true positives, truth, prediction, present), each [... k]."""
  counts = np.asarray(counts)
  hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
  truth = counts.sum(-1).astype(np.float64)
  found = counts.sum(-2).astype(np.float64)
  return hits, truth, found, truth + found > 0


def _ratio(part, whole, present):
  """Returns part / whole: 0 for 0 / 0, NaN for absent classes."""
  ratio = part / np.where(whole > 0, whole, 1)
  return np.where(present, ratio, np.nan)


def iou(counts: Int[np.ndarray, "... k k"]) -> Float[np.ndarray, "... k"]:
  """Intersection over union, TP / (TP + FP + FN): paper 000 Eq. 3."""
  hits, truth, found, present = _parts(counts)
  return _ratio(hits, truth + found - hits, present)


def precision(counts: Int[np.ndarray, "... k k"]) -> Float[np.ndarray, "... k"]:
  """Precision, TP / (TP + FP): paper 000 Eq. 5."""
  hits, _, found, present = _parts(counts)
  return _ratio(hits, found, present)


def recall(counts: Int[np.ndarray, "... k k"]) -> Float[np.ndarray, "... k"]:
  """Recall, TP / (TP + FN): paper 000 Eq. 6."""
  hits, truth, _, present = _parts(counts)
  return _ratio(hits, truth, present)


def dice(counts: Int[np.ndarray, "... k k"]) -> Float[np.ndarray, "... k"]:
  """Dice coefficient = F1 score, 2TP / (2TP + FP + FN): paper 000 Eq. 7."""
  hits, truth, found, present = _parts(counts)
  return _ratio(2 * hits, truth + found, present)


def false_negative_rate(
  counts: Int[np.ndarray, "... k k"],
) -> Float[np.ndarray, "... k"]:
  """Share of a class's pixels that is missed, FN / (FN + TP): 002 Eq. 4.

  It is 1 - recall, but NaN wherever the truth has none of the class: there is
  nothing to miss, and 0 would be praise.
  """
  hits, truth, _, _ = _parts(counts)
  return _ratio(truth - hits, truth, truth > 0)


def false_positive_rate(
  counts: Int[np.ndarray, "... k k"],
) -> Float[np.ndarray, "... k"]:
  """Share of all other pixels that is taken for a class, FP / (FP + TN).

  Source: paper 002 Eq. 5.
  """
  hits, truth, found, present = _parts(counts)
  others = truth.sum(-1, keepdims=True) - truth
  return _ratio(found - hits, others, present)


def accuracy(counts: Int[np.ndarray, "... k k"]) -> Float[np.ndarray, "..."]:
  """Share of pixels with the right class; NaN where none was counted."""
  total = np.asarray(counts).sum((-2, -1)).astype(np.float64)
  return _ratio(_parts(counts)[0].sum(-1), total, total > 0)


PER_CLASS = {"iou": iou, "precision": precision, "recall": recall, "dice": dice}
# Those of paper 002, section 4.3, in the order of its Table 1.
REVIEW = {
  "dice": dice,
  "iou": iou,
  "fnr": false_negative_rate,
  "fpr": false_positive_rate,
  "recall": recall,
}


def tallies(
  counts: Int[np.ndarray, "... k k"],
) -> Int[np.ndarray, "... k 3"]:
  """Returns each class's pixels: hit, in the truth, in the prediction."""
  counts = np.asarray(counts)
  hits = np.diagonal(counts, axis1=-2, axis2=-1)
  return np.stack([hits, counts.sum(-1), counts.sum(-2)], -1)


def slice_scores(
  slices: Int[np.ndarray, "n k 3"],
) -> dict[str, Float[np.ndarray, "k"]]:
  """Returns the metrics of `REVIEW`, slice by slice and then averaged.

  Paper 002 does not say how it counts a class that a slice lacks. Its Table 2
  has the same Dice for several networks in the rarest classes, and all such
  values are multiples of 1/507 (T10 432, T9 480, T9/T10 489; L5/S 85): the
  share of 507 slices, about 40 patients', that lack the class. A network that
  never finds it gets that if 0 / 0 is 1 and slices are averaged, which is done
  here: Dice and IoU are 1 where neither truth nor prediction has the class,
  recall is 1 and the false-negative rate 0 where the truth has none. Every
  slice counts alike.

  Args:
    slices: `tallies` of every slice of all studies.
  """
  hits, truth, found = np.moveaxis(np.asarray(slices, np.float64), -1, 0)
  others = truth.sum(-1, keepdims=True) - truth

  def mean_of(part, whole, empty):
    ratio = part / np.where(whole > 0, whole, 1)
    return np.where(whole > 0, ratio, empty).mean(0)

  return {
    "dice": mean_of(2 * hits, truth + found, 1.0),
    "iou": mean_of(hits, truth + found - hits, 1.0),
    "fnr": mean_of(truth - hits, truth, 0.0),
    "fpr": mean_of(found - hits, others, 0.0),
    "recall": mean_of(hits, truth, 1.0),
  }


def nan_mean(
  values: Float[np.ndarray, "..."], axis: int
) -> Float[np.ndarray, "..."]:
  """Returns the mean over an axis without its NaNs; NaN if there is nothing."""
  known = ~np.isnan(values)
  total = np.where(known, values, 0).sum(axis)
  return _ratio(total, known.sum(axis), known.any(axis))


def mean(
  values: Float[np.ndarray, "... k"], with_background: bool
) -> Float[np.ndarray, "..."]:
  """Mean over classes, absent ones left out: paper 000 Eq. 4.

  Args:
    values: [... k] one metric of every class, class 0 the background.
    with_background: False is the paper's number (target classes only).
  """
  return nan_mean(values if with_background else values[..., 1:], -1)
