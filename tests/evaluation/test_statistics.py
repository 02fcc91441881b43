"""Bootstrap over patients."""

import itertools

import numpy as np
import pytest

from lumbar_jax import metrics
from lumbar_jax.evaluation import statistics


def make_counts(num_patients, num_classes=3, seed=0):
  shape = (num_patients, num_classes, num_classes)
  counts = np.random.default_rng(seed).integers(1, 50, shape)
  return counts + 60 * np.eye(num_classes, dtype=int)


def test_sum_by_patient():
  counts = make_counts(4)
  names, summed = statistics.sum_by_patient(["b", "a", "b", "c"], counts)
  assert names == ["a", "b", "c"]
  np.testing.assert_array_equal(
    summed, [counts[1], counts[0] + counts[2], counts[3]]
  )


@pytest.mark.parametrize("share", [0, 0.025, 0.3, 0.5, 0.975, 1])
def test_percentile_equals_numpy(share):
  values = np.random.default_rng(0).normal(size=(37, 4, 2))
  values[::3, 1] = np.nan
  values[1:, 2, 0] = np.nan
  expected = np.nanpercentile(values, 100 * share, axis=0)
  found = statistics.percentile(values, share)
  np.testing.assert_allclose(found, expected, rtol=1e-12)
  values[:, 3, 1] = np.nan
  assert np.isnan(statistics.percentile(values, share)[3, 1])


def test_equals_all_resamples_of_three_patients():
  # With 3 patients the 27 resamples can be listed: the interval's ends are
  # percentiles of that exact distribution.
  counts = make_counts(3)
  draws = itertools.product(range(3), repeat=3)
  exact = np.array([metrics.iou(counts[list(d)].sum(0)) for d in draws])
  found = statistics.bootstrap(
    counts, metrics.iou, num_samples=20000, level=0.8, seed=1
  )
  assert found.num_patients == 3
  for share, values in ((0.1, found.low), (0.9, found.high)):
    lower = np.quantile(exact, share - 0.04, axis=0, method="lower")
    upper = np.quantile(exact, share + 0.04, axis=0, method="higher")
    assert np.all((lower <= values) & (values <= upper))


def test_interval_of_a_mean_has_the_textbook_width():
  # Patients of equal size: the accuracy is their mean, and its bootstrap
  # interval must be the normal one, 1.96 standard errors to each side.
  rng = np.random.default_rng(4)
  hits = rng.binomial(10_000, rng.uniform(0.5, 0.9, 200))
  counts = np.zeros((200, 2, 2), int)
  counts[:, 0, 0], counts[:, 0, 1] = hits, 10_000 - hits
  found = statistics.bootstrap(counts, metrics.accuracy, num_samples=5000)
  error = np.std(hits / 10_000) / np.sqrt(200)
  middle = hits.mean() / 10_000
  np.testing.assert_allclose(found.low, middle - 1.96 * error, atol=error / 5)
  np.testing.assert_allclose(found.high, middle + 1.96 * error, atol=error / 5)


def test_seed_decides():
  counts = make_counts(6)

  def run(seed):
    return statistics.bootstrap(
      counts, metrics.dice, num_samples=50, seed=seed
    ).low

  np.testing.assert_array_equal(run(0), run(0))
  assert np.any(run(0) != run(1))


def test_equal_patients_have_no_spread():
  counts = np.repeat(make_counts(1), 5, axis=0)
  found = statistics.bootstrap(counts, metrics.iou, num_samples=20)
  np.testing.assert_allclose(found.low, metrics.iou(counts[0]), rtol=1e-12)
  np.testing.assert_allclose(found.high, metrics.iou(counts[0]), rtol=1e-12)


def test_one_patient_has_no_interval():
  found = statistics.bootstrap(make_counts(1), metrics.iou)
  assert found.num_patients == 1
  assert found.low.shape == found.high.shape == (3,)
  assert np.isnan(found.low).all()
  assert np.isnan(found.high).all()


def test_no_resamples_give_no_interval():
  found = statistics.bootstrap(make_counts(3), metrics.iou, num_samples=0)
  assert found.num_patients == 3
  assert np.isnan(found.low).all()


def test_absent_class_is_nan_and_rare_class_is_not():
  counts = np.zeros((4, 3, 3), int)
  counts[:, 0, 0] = 10
  counts[0, 1, 1] = 5  # one patient only; class 2 occurs nowhere
  found = statistics.bootstrap(counts, metrics.iou, num_samples=100)
  assert found.low[:2].tolist() == found.high[:2].tolist() == [1, 1]
  assert np.isnan(found.low[2])
  assert np.isnan(found.high[2])


def test_folds_share_the_resample():
  # Two folds with equal counts: the difference of their metrics is 0 in every
  # resample only if both see the same patients.
  counts = np.stack([make_counts(8)] * 2, axis=1)

  def difference(sums):
    values = metrics.iou(sums)
    return values[:, 0] - values[:, 1]

  found = statistics.bootstrap(counts, difference, num_samples=50)
  assert np.all(found.low == 0)
  assert np.all(found.high == 0)
