"""Bootstrap intervals over patients.

Pixels of one patient are far from independent, so patients are what is drawn:
each resample adds up the confusion counts of the patients drawn and computes
the metric from the sum, exactly as the reported number is.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

NUM_SAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
  """A percentile interval and the number of patients it rests on."""

  low: Float[np.ndarray, "..."]
  high: Float[np.ndarray, "..."]
  num_patients: int


def sum_by_patient(
  patients: Sequence[str], counts: Int[np.ndarray, "s ..."]
) -> tuple[list[str], Int[np.ndarray, "p ..."]]:
  """Adds up the counts of each patient's studies.

  Args:
    patients: the patient of each study.
    counts: [s ...] one entry a study.

  Returns:
    The p patients in sorted order and their counts [p ...].
  """
  names, place = np.unique(np.asarray(patients, str), return_inverse=True)
  total = np.zeros((len(names), *counts.shape[1:]), np.int64)
  np.add.at(total, place, counts)
  return names.tolist(), total


def percentile(
  samples: Float[np.ndarray, "n ..."], share: float
) -> Float[np.ndarray, "..."]:
  """Returns a percentile over axis 0 without the NaNs; NaN if all are.

  Args:
    samples: [n ...].
    share: in 0..1; linear between neighbouring samples.
  """
  ordered = np.sort(samples, axis=0)  # NaNs go last
  last = (~np.isnan(ordered)).sum(0) - 1
  place = share * np.maximum(last, 0)
  lower = np.floor(place).astype(np.int64)
  upper = np.minimum(lower + 1, np.maximum(last, 0))
  low = np.take_along_axis(ordered, lower[None], 0)[0]
  high = np.take_along_axis(ordered, upper[None], 0)[0]
  return low + (place - lower) * (high - low)


def bootstrap(
  counts: Int[np.ndarray, "p ... k k"],
  metric: Callable[[np.ndarray], np.ndarray],
  *,
  num_samples: int = NUM_SAMPLES,
  level: float = LEVEL,
  seed: int = 0,
) -> Interval:
  """Returns the percentile interval of a metric over resampled patients.

  Args:
    counts: [p ... k k] confusion counts, one entry a patient. Axes in between
      (folds) are resampled together.
    metric: maps summed counts [samples ... k k] to [samples ...].
    num_samples: number of resamples; 0 draws none.
    level: the share of resamples inside the interval.
    seed: of the resampling; equal seeds draw equal patients.

  Returns:
    The interval, NaN where there are fewer than two patients, no resamples, or
    the metric is NaN in every resample.
  """
  num_patients = len(counts)
  rng = np.random.default_rng(seed)
  if num_patients < 2 or not num_samples:
    nothing = np.full_like(metric(counts.sum(0)[None])[0], np.nan)
    return Interval(nothing, nothing, num_patients)
  share = np.full(num_patients, 1 / num_patients)
  times = rng.multinomial(num_patients, share, size=num_samples)
  # float64 sums of whole numbers are exact up to 2**53 and use the BLAS.
  flat = counts.reshape(num_patients, -1).astype(np.float64)
  values = metric((times @ flat).reshape(num_samples, *counts.shape[1:]))
  tail = (1 - level) / 2
  low, high = percentile(values, tail), percentile(values, 1 - tail)
  return Interval(low, high, num_patients)


def bootstrap_options(config: Any) -> dict[str, int]:
  """Returns how a config wants intervals drawn: arguments of `bootstrap`."""
  return {
    "num_samples": config.evaluation.num_bootstrap,
    "seed": config.seed,
  }
