"""Judgements in words: what a result says of the training behind it.

Pure functions of numbers; whoever trains or evaluates logs what they return.
The limits are rules of thumb: they decide what is said, never what is computed.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.arrays import Counts
from lumbar_jax.evaluation import confusion

USUAL_STEPS = 4000  # of the optimizer, from random weights
FEW_STEPS = 1000
FEW_PATIENTS = 10
NARROW = 16  # channels of the first level
COARSE_MM = 1.5  # pixels' distance in the plane
LOW_IOU = 0.5  # mean over the target classes
NO_IOU = 0.01
RISE = 0.01  # of the mean IoU, in the last quarter of the epochs
_MAX_NAMED = 6

CAUSES = (
  "classes that are not found mostly have one of these causes: too few steps "
  "of training; too few masks with the class (--mode=doctor lists them); a "
  "class that is small beside the others (--config.training.dice=1 weighs all "
  "alike, config.training.class_weights single ones); masks whose numbers mean "
  "something else than their dseg.tsv says"
)


def missed_classes(counts: Counts, names: Sequence[str]) -> list[str]:
  """Returns what is said of classes that a model does not find.

  Args:
    counts: [k k], rows = truth.
    names: of the k classes, the background first.

  Returns:
    "L5/S (1,204 pixels of truth) is never predicted" and the like, for each
    class that the truth has and the prediction (almost) never hits.
  """
  hits, truth, _ = np.moveaxis(metrics.tallies(counts), -1, 0)
  iou = metrics.iou(counts)
  hardly = dict(confusion.hardly_predicted(counts, names))
  said = []
  for number, name in enumerate(names):
    if number == 0 or truth[number] == 0:
      continue
    what = f"{name} ({truth[number]:,} pixels of truth)"
    if name in hardly:
      said.append(f"{what} is {'hardly ever' if hardly[name] else 'never'} "
                  "predicted")  # fmt: skip
    elif iou[number] < NO_IOU:
      where = "never" if hits[number] == 0 else "hardly ever"
      said.append(f"{what} is predicted, but {where} where it is")
  return said


def missed_warning(counts: Counts, names: Sequence[str]) -> str:
  """Returns `missed_classes` as one warning, "" if all is well.

  Args and order of the classes as there.
  """
  said = missed_classes(counts, names)
  more = len(said) - _MAX_NAMED
  return "; ".join(said[:_MAX_NAMED]) + (f"; {more} more" if more > 0 else "")


def still_rising(curve: Sequence[float]) -> bool:
  """Whether a validation score was still rising when training ended.

  Args:
    curve: mean IoU of each epoch, from the first; NaN counts as 0.
  """
  scores = np.nan_to_num(np.asarray(curve, float))
  if scores.size == 0:
    return False
  if scores.size < 4:  # little to go by
    return bool(scores[-1] > max(scores[:-1], default=0.0))
  last = max(1, scores.size // 4)
  return bool(scores[-last:].max() - scores[:-last].max() > RISE)


def rising_note(curve: Sequence[float], best_epoch: int) -> str:
  """Returns what is said of a curve that was still rising, "" of another.

  Args:
    curve: see `still_rising`.
    best_epoch: whose weights are kept, from 0.
  """
  if not still_rising(curve):
    return ""
  num = len(curve)
  return (
    f"the validation IoU was still rising when training ended (epoch {num}: "
    f"{curve[-1]:.3f}; the best weights are of epoch {best_epoch + 1}): train "
    f"longer with --config.training.num_epochs={2 * num}, in the same folder"
  )


def limits(
  config: Any, num_steps: int, num_patients: int, *, from_random: bool = True
) -> list[str]:
  """Returns what keeps a result low, each with what to change.

  Args:
    config: the run's.
    num_steps: optimizer steps of a fold's whole training.
    num_patients: whom a fold trains on.
    from_random: whether training began with random weights.
  """
  said = []
  if from_random and num_steps < FEW_STEPS:
    wanted = math.ceil(
      config.training.num_epochs * USUAL_STEPS / max(num_steps, 1)
    )
    said.append(
      f"only {num_steps:,} optimizer steps a fold, where {USUAL_STEPS:,} and "
      f"more are usual: --config.training.num_epochs={wanted}"
    )
  if config.model.width <= NARROW:
    said.append(
      f"a narrow network (config.model.width={config.model.width}; the papers' "
      "have 64): a wider one, --config.model.width=32, takes longer"
    )
  if config.data.spacing_mm > COARSE_MM:
    said.append(
      f"coarse slices (config.data.spacing_mm={config.data.spacing_mm:g}): "
      "--config.data.spacing_mm=1, with a larger patch_size"
    )
  if num_patients < FEW_PATIENTS:
    said.append(
      f"only {num_patients} training patients a fold: more, or weights of "
      "another run to start from (config.training.init_from)"
    )
  return said


def low_result(iou: float, reasons: Sequence[str]) -> str:
  """Returns why a mean IoU may be low, "" where it is not.

  Args:
    iou: mean over the target classes.
    reasons: from `limits`.
  """
  if not iou < LOW_IOU or not reasons:
    return ""
  return (
    f"a mean IoU of the target classes below {LOW_IOU:g} is low; likely "
    f"because of {'; '.join(reasons)}"
  )


def few_test_patients(number: int) -> str:
  """Returns what is said of a small test set, "" of a large one or of none."""
  if not 0 < number < FEW_PATIENTS:
    return ""
  word = "patient" if number == 1 else "patients"
  return (
    f"{number} test {word}: too few for a figure to rely on. With "
    "--config.data.test_fraction=0 every patient is evaluated, by the fold "
    "that has not trained on that patient: better for small data (thresholds "
    "and best epochs are then chosen on the same patients: a little optimistic)"
  )


def steps_planned(num_epochs: int, num_batches: int, batch_size: int) -> str:
  """Returns the amount of work in a line.

  Args:
    num_epochs: left, of all folds together.
    num_batches: of an epoch.
    batch_size: patches.
  """
  return (
    f"{num_epochs * num_batches:,} optimizer steps to do ({num_epochs} epochs "
    f"of all folds, {num_batches} batches of {batch_size} patches in each); "
    "the time left is told once the first are done"
  )
