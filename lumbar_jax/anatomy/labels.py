"""The numbers in mask files: counted, checked and mapped to classes.

Nothing is allocated by the value of a number, which may be anything.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from lumbar_jax.anatomy.scheme import IGNORE
from lumbar_jax.errors import InputError

WHOLE = 1e-3  # how far a label stored as a fraction may be from its number
_SPAN = 1 << 16  # numbers that are counted by their value
_SHOWN = 10
_LARGEST = 2**62  # of what is taken as a whole number


def whole_numbers(labels: np.ndarray) -> np.ndarray:
  """Returns labels as integers where each is one within `WHOLE`, else as is.

  Args:
    labels: any shape and type of real numbers.
  """
  if labels.dtype.kind in "iu":
    return labels
  if labels.dtype.kind == "b":
    return labels.astype(np.uint8)
  nearest = np.rint(labels)
  small = bool(np.all(np.abs(nearest) < _LARGEST))
  if small and np.all(np.abs(labels - nearest) <= WHOLE):
    return nearest.astype(np.int64)
  return labels


def label_counts(labels: np.ndarray) -> dict[int | np.floating, int]:
  """Returns {number: how often it occurs}, ascending.

  Args:
    labels: any shape; numbers that are nearly whole count as whole.
  """
  labels = whole_numbers(labels).ravel()
  if not labels.size:
    return {}
  low = int(labels.min()) if labels.dtype.kind in "iu" else 0
  if labels.dtype.kind in "iu" and int(labels.max()) - low < _SPAN:
    # np.unique would sort every voxel.
    wide = labels.astype(np.int64 if low < _LARGEST else labels.dtype)
    counts = np.bincount((wide - wide.dtype.type(low)).astype(np.int64))
    present = np.flatnonzero(counts)
    return {int(n) + low: int(counts[n]) for n in present}
  values, counts = np.unique(labels, return_counts=True)
  whole = labels.dtype.kind in "iu"
  found: dict[int | np.floating, int] = {}
  for value, count in zip(values, counts.tolist(), strict=True):
    number = int(value) if whole else _number(value)
    found[number] = found.get(number, 0) + count
  return found


def _number(value: np.floating) -> int | np.floating:
  """Returns a float as it is, to be shown in its own digits; whole as int."""
  near = float(np.rint(value))
  whole = abs(near) < _LARGEST and abs(float(value) - near) <= WHOLE
  return int(near) if whole else value


def show_number(value: float | np.floating) -> str:
  """Returns a number with all digits that tell it from others of its type."""
  return str(value)


def label_problem(
  numbers: Collection[int | np.floating], known: Collection[int]
) -> tuple[str, str] | None:
  """Returns (what is wrong, what to do) with the numbers of a mask, or None.

  Args:
    numbers: that occur in it.
    known: that the masks' scheme explains.
  """
  unknown = [n for n in numbers if n not in known]
  if not unknown:
    return None
  shown = ", ".join(map(show_number, unknown[:_SHOWN]))
  shown += ", ..." if len(unknown) > _SHOWN else ""
  expected = f"(known: {', '.join(map(str, sorted(known)))})"
  if len(unknown) == 1:
    problem = f"label {shown} is not in the masks' scheme {expected}"
  else:
    problem = (
      f"{len(unknown)} labels are not in the masks' scheme: {shown} {expected}"
    )
  if IGNORE in unknown:
    return problem, (
      f"if {IGNORE} means that a pixel is to be ignored, say so in the masks' "
      f"dseg.tsv (a row '{IGNORE}<tab>ignore'); if it is a structure, list it "
      "there by its name"
    )
  if any(not isinstance(n, int) for n in unknown):
    return problem, (
      "labels are whole numbers: draw the mask, or resample it with nearest "
      "neighbours (probabilities have to be thresholded)"
    )
  return problem, (
    "list it in the derivative's dseg.tsv, the table of the masks' numbers, or "
    "correct the mask"
  )


def map_labels(
  labels: np.ndarray, table: Mapping[int, int], path: str | Path
) -> np.ndarray:
  """Maps a mask's numbers to classes.

  Args:
    labels: any shape, numbers within `WHOLE` of whole ones.
    table: {number: class}, from `Scheme.lookup`.
    path: the mask file, for the error.

  Returns:
    uint8 classes of the same shape.

  Raises:
    InputError: a number that the table does not know.
  """
  labels = whole_numbers(labels)
  numbers = list(label_counts(labels))
  trouble = label_problem(numbers, table)
  if trouble is not None:
    raise InputError(*trouble, path=path)
  if not numbers:
    return labels.astype(np.uint8)
  classes = np.array([table[number] for number in numbers], np.uint8)
  span = numbers[-1] - numbers[0]
  places = labels.astype(np.int64) - numbers[0]
  if span >= _SPAN:
    keys = np.array(numbers, np.int64) - numbers[0]
    return classes[np.searchsorted(keys, places)]
  lookup = np.zeros(span + 1, np.uint8)
  lookup[np.array(numbers) - numbers[0]] = classes
  return lookup[places]
