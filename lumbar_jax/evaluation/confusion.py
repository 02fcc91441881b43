"""Which class is taken for which: shares of the pixels of each true class.

Levels exchanged (L4 for L5) are the commonest fault of networks with many
classes, and neither IoU nor Dice can tell it from a ragged border.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from lumbar_jax import metrics
from lumbar_jax.evaluation.results import Results

HARDLY = 0.01  # predicted pixels per true pixel: less is "hardly predicted"
LEAST_SHARE = 0.01  # of a class's pixels: less is no exchange worth a sentence
FIRST_COLUMNS = ("fold", "labelling", "truth", "num_pixels")

Shares = Float[np.ndarray, "k k"]


@dataclasses.dataclass(frozen=True)
class Exchange:
  """A class whose pixels are taken for another one.

  Attributes:
    truth: the class that is there.
    predicted: the class that it is taken for.
    share: of the pixels of `truth`, 0..1.
  """

  truth: str
  predicted: str
  share: float

  def __str__(self) -> str:
    return (
      f"{self.truth} is taken for {self.predicted} in "
      f"{percent(self.share)} of its pixels"
    )


def percent(share: float) -> str:
  """Returns "12 %", with a digit more below 10: "1.5 %"."""
  value = 100 * share
  return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %"


def pooled(results: Results, fold: str, labelling: str) -> np.ndarray:
  """Returns the counts [f k k] of all studies, by fold model.

  Args:
    results: the counts.
    fold: a fold's number, "mean" (every fold model) or "averaged".
    labelling: "MAP" or "TH".
  """
  rows = results.select(fold, labelling)
  size = results.scheme.num_classes
  counts: dict[str, np.ndarray] = {}
  for row in rows:
    empty = np.zeros((size, size), np.int64)
    counts[row.fold] = counts.get(row.fold, empty) + row.counts
  return np.stack(list(counts.values()) or [np.zeros((size, size), np.int64)])


def shares(results: Results, fold: str, labelling: str) -> Shares:
  """Returns which share of each class's pixels is taken for which class.

  Pixels are pooled over the studies; "mean" averages the fold models' shares,
  as the metrics of per_class.csv.

  Args:
    results: the counts.
    fold: a fold's number, "mean" or "averaged".
    labelling: "MAP" or "TH".

  Returns:
    [k k], rows = truth, a row adds up to 1; NaN in the rows of classes that are
    not in the truth, and in the columns of those that are in neither truth nor
    prediction.
  """
  counts = pooled(results, fold, labelling).astype(np.float64)
  whole = counts.sum(-1, keepdims=True)
  parts = np.where(whole > 0, counts / np.maximum(whole, 1), np.nan)
  found = metrics.nan_mean(parts, 0)
  summed = counts.sum(0)
  absent = summed.sum(0) + summed.sum(1) == 0
  found[:, absent] = np.nan
  return found


def worst_exchanges(
  found: Shares, names: Sequence[str], number: int = 3
) -> list[Exchange]:
  """Returns the largest exchanges of one structure for another.

  The background takes no part: what is missed or added at a border is what
  recall and precision tell.

  Args:
    found: [k k] from `shares`, class 0 the background.
    names: of the k classes.
    number: how many at most; none below `LEAST_SHARE`.
  """
  inner = np.nan_to_num(found[1:, 1:])
  np.fill_diagonal(inner, 0)
  order = np.argsort(-inner, axis=None, kind="stable")[:number]
  places = zip(*np.unravel_index(order, inner.shape), strict=True)
  return [
    Exchange(names[i + 1], names[j + 1], float(inner[i, j]))
    for i, j in places
    if inner[i, j] >= LEAST_SHARE
  ]


def hardly_predicted(
  counts: np.ndarray, names: Sequence[str]
) -> list[tuple[str, float]]:
  """Returns the classes that are there and are hardly ever predicted.

  Args:
    counts: [... k k], rows = truth; summed over the leading axes.
    names: of the k classes.

  Returns:
    (name, predicted pixels per true pixel) of each class below `HARDLY`;
    classes that are not in the truth are left out.
  """
  counts = np.asarray(counts)
  summed = counts.reshape(-1, *counts.shape[-2:]).sum(0)
  truth, predicted = summed.sum(1), summed.sum(0)
  return [
    (name, float(p / t))
    for name, t, p in zip(names, truth, predicted, strict=True)
    if t > 0 and p < HARDLY * t
  ]


def columns(names: Sequence[str]) -> tuple[str, ...]:
  """Returns the columns of confusion.csv for these classes."""
  return (*FIRST_COLUMNS, *(f"as {name}" for name in names))


def table_rows(results: Results) -> list[dict[str, Any]]:
  """Returns the rows of confusion.csv: one a true class, shares by prediction.

  Classes that are not in the truth have no row.
  """
  names, table = results.scheme.names, []
  for labelling in results.labellings:
    for fold in results.reported_folds:
      if not results.select(fold, labelling):
        continue
      pixels = pooled(results, fold, labelling).sum((0, 2))
      for truth, row in enumerate(shares(results, fold, labelling)):
        if pixels[truth]:
          first = (fold, labelling, names[truth], int(pixels[truth]))
          cells = (*first, *map(float, row))
          table.append(dict(zip(columns(names), cells, strict=True)))
  return table
