"""Two models on the same patients: is one better than the other?"""

import dataclasses
from typing import Any

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.evaluation import statistics
from lumbar_jax.evaluation.results import MEAN, Results
from lumbar_jax.evaluation.tables import fold_counts


@dataclasses.dataclass(frozen=True)
class Difference:
  """The mean foreground IoU of two models on the same patients.

  Attributes:
    first: IoU of one model.
    second: IoU of the other.
    low: of the bootstrap interval of `change`, NaN for fewer than 2 patients.
    high: of the same.
    num_patients: that both were evaluated on.
  """

  first: float
  second: float
  low: float
  high: float
  num_patients: int

  @property
  def change(self) -> float:
    """How much better the first is; below 0 it is worse."""
    return self.first - self.second

  @property
  def words(self) -> str:
    """What the difference says: worse, better, or perhaps chance."""
    if not self.change > 0:
      return "not better"
    if not self.low > 0:
      return "better, but perhaps by chance"
    return "better"


def not_comparable(first: Results, second: Results, labelling: str) -> str:
  """Returns why two models cannot be compared, "" if they can.

  They can if the same studies of the same patients were evaluated by the same
  folds against the same truth.
  """
  if first.scheme.names != second.scheme.names:
    return "other classes"
  parts = [
    {
      (r.study, r.patient, r.fold): r.counts.sum(-1)
      for r in results.select(MEAN, labelling)
    }
    for results in (first, second)
  ]
  if not parts[0] or not parts[1]:
    return f"no {labelling} labelling was evaluated"
  if parts[0].keys() != parts[1].keys():
    studies = [{key[0] for key in part} for part in parts]
    common = len(studies[0] & studies[1])
    if studies[0] == studies[1]:
      return "other folds were evaluated"
    return f"other studies were evaluated ({common} in common)"
  if any((parts[0][key] != parts[1][key]).any() for key in parts[0]):
    return "other masks were the truth"
  return ""


def difference(
  first: Results, second: Results, labelling: str, **bootstrap: Any
) -> Difference:
  """Compares two models' mean foreground IoU, the fold models' mean.

  The interval draws the same patients for both (paired bootstrap).

  Args:
    first: comparable with `second`, see `not_comparable`.
    second: the other model.
    labelling: "MAP" or "TH".
    **bootstrap: see `statistics.bootstrap`.
  """
  both = [
    fold_counts(results.select(MEAN, labelling))[1]
    for results in (first, second)
  ]
  counts = np.stack(both, 1)  # [p 2 f k k]
  values = _mean_iou(counts.sum(0)[None])[0]
  interval = statistics.bootstrap(counts, _change, **bootstrap)
  return Difference(
    *map(float, (*values, interval.low, interval.high)), len(counts)
  )


def _change(counts: np.ndarray) -> np.ndarray:
  """Returns by how much the first of two models is better: [...]."""
  iou = _mean_iou(counts)
  return iou[..., 0] - iou[..., 1]


def _mean_iou(counts: np.ndarray) -> np.ndarray:
  """Returns [... 2] of counts [... 2 f k k], as per_class.csv has it."""
  iou = metrics.mean(metrics.iou(counts), with_background=False)
  return metrics.nan_mean(iou, -1)
