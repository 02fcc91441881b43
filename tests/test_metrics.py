"""Confusion counts against hand-made matrices and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from lumbar_jax import metrics

# Rows are truth. Class sizes 6, 5, 4; predicted 6, 6, 3.
HAND = np.array([[4, 2, 0], [1, 3, 1], [1, 1, 2]])


@pytest.mark.parametrize(
  ("metric", "expected"),
  [
    (metrics.iou, [4 / 8, 3 / 8, 2 / 5]),
    (metrics.precision, [4 / 6, 3 / 6, 2 / 3]),
    (metrics.recall, [4 / 6, 3 / 5, 2 / 4]),
    (metrics.dice, [8 / 12, 6 / 11, 4 / 7]),
    (metrics.false_negative_rate, [2 / 6, 2 / 5, 2 / 4]),
    (metrics.false_positive_rate, [2 / 9, 3 / 10, 1 / 11]),
    (metrics.accuracy, 9 / 15),
  ],
)
def test_hand_made_matrix(metric, expected):
  np.testing.assert_allclose(metric(HAND), expected, rtol=1e-12)
  leading = metric(np.stack([HAND, 3 * HAND])[:, None])
  assert leading.shape == (2, 1, *np.shape(expected))
  np.testing.assert_allclose(leading[1, 0], expected, rtol=1e-12)


def test_means_with_and_without_background():
  values = metrics.iou(HAND)
  with_it = metrics.mean(values, with_background=True)
  without = metrics.mean(values, with_background=False)
  np.testing.assert_allclose(with_it, (1 / 2 + 3 / 8 + 2 / 5) / 3)
  np.testing.assert_allclose(without, (3 / 8 + 2 / 5) / 2)


def test_absent_classes_are_nan_and_left_out_of_means():
  # Class 1 occurs nowhere, 2 only in the truth, 3 only in the prediction.
  counts = np.array([[5, 0, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
  for metric in metrics.PER_CLASS.values():
    values = metric(counts)
    assert np.isnan(values[1])
    assert values[2] == values[3] == 0
    assert metrics.mean(values, with_background=False) == 0
  values = metrics.iou(counts)
  np.testing.assert_allclose(
    metrics.mean(values, with_background=True), 5 / 8 / 3
  )
  nothing = np.zeros((3, 3), int)
  assert np.isnan(metrics.iou(nothing)).all()
  assert np.isnan(metrics.mean(metrics.iou(nothing), with_background=True))
  assert np.isnan(metrics.accuracy(nothing))


def test_rates_of_absent_classes():
  """As above; a class that is only predicted can be no false negative."""
  counts = np.array([[5, 0, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
  missed = metrics.false_negative_rate(counts)
  np.testing.assert_allclose(missed, [1 / 6, np.nan, 1, np.nan])
  wrong = metrics.false_positive_rate(counts)
  np.testing.assert_allclose(wrong, [1, np.nan, 0, 1 / 8])


def test_slice_scores_by_hand():
  """Three slices of ten pixels; class 2 is in the first alone, never found."""
  slices = np.array(
    [
      [[6, 7, 9], [1, 2, 1], [0, 1, 0]],
      [[8, 8, 10], [0, 2, 0], [0, 0, 0]],
      [[9, 10, 9], [0, 0, 1], [0, 0, 0]],
    ]
  )
  found = metrics.slice_scores(slices)
  np.testing.assert_allclose(
    found["dice"],
    [
      (12 / 16 + 16 / 18 + 18 / 19) / 3,
      (2 / 3 + 0 + 0) / 3,
      (0 + 1 + 1) / 3,  # the share of the slices without the class
    ],
  )
  np.testing.assert_allclose(found["iou"][1:], [(1 / 2) / 3, 2 / 3])
  np.testing.assert_allclose(found["recall"][1:], [(1 / 2 + 0 + 1) / 3, 2 / 3])
  np.testing.assert_allclose(found["fnr"], 1 - found["recall"])
  np.testing.assert_allclose(
    found["fpr"], [(3 / 3 + 2 / 2 + 0) / 3, (0 + 0 + 1 / 10) / 3, 0]
  )
  assert found.keys() == metrics.REVIEW.keys()


def test_tallies_of_one_slice_give_its_metrics():
  """Where every class is there, both rules are the same."""
  found = metrics.slice_scores(metrics.tallies(HAND)[None])
  for name, metric in metrics.REVIEW.items():
    np.testing.assert_allclose(found[name], metric(HAND), rtol=1e-12)


@pytest.mark.parametrize("shape", [(50,), (7, 9), (3, 8, 5), (2, 2, 6, 7)])
def test_counts_equal_scikit_learn(shape):
  rng = np.random.default_rng(1)
  labels = rng.integers(0, 5, shape).astype(np.uint8)
  found = rng.integers(0, 5, shape).astype(np.uint8)
  labels[rng.random(shape) < 0.2] = 255
  kept = labels != 255
  expected = sklearn.metrics.confusion_matrix(
    labels[kept], found[kept], labels=range(5)
  )
  host = metrics.confusion_host(labels, found, 5)
  device = jax.jit(metrics.confusion, static_argnums=2)(labels, found, 5)
  assert host.dtype == np.int64
  assert device.dtype == jnp.int32
  np.testing.assert_array_equal(host, expected)
  np.testing.assert_array_equal(device, expected)


def test_metrics_equal_scikit_learn():
  rng = np.random.default_rng(2)
  labels, found = rng.integers(0, 4, (2, 300))
  counts = metrics.confusion_host(labels, found, 4)
  references = {
    "iou": sklearn.metrics.jaccard_score,
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
    "dice": sklearn.metrics.f1_score,
  }
  assert set(references) == set(metrics.PER_CLASS)
  for name, reference in references.items():
    expected = reference(labels, found, average=None)
    np.testing.assert_allclose(metrics.PER_CLASS[name](counts), expected)
  expected = sklearn.metrics.accuracy_score(labels, found)
  np.testing.assert_allclose(metrics.accuracy(counts), expected)


def test_counts_are_exact_beyond_float32():
  # The expected count is odd and above 2**24: float32 does not have it.
  labels = jnp.zeros((5, 2048, 2048), jnp.uint8).at[0, 0, 0].set(1)
  found = jnp.zeros((5, 2048, 2048), jnp.uint8)
  total = 5 * 2048 * 2048
  assert total > 2**24
  counts = jax.jit(metrics.confusion, static_argnums=2)(labels, found, 2)
  assert counts.tolist() == [[total - 1, 0], [1, 0]]


def test_confusion_refuses_an_image_too_large_to_count():
  labels = jax.ShapeDtypeStruct((1, 4097, 4096), jnp.uint8)
  with pytest.raises(ValueError, match="pixels"):
    jax.eval_shape(lambda x: metrics.confusion(x, x, 2), labels)


def test_confusion_host_refuses_unknown_numbers():
  with pytest.raises(ValueError, match="label"):
    metrics.confusion_host(np.array([0, 3]), np.array([0, 1]), 3)
  with pytest.raises(ValueError, match="prediction"):
    metrics.confusion_host(np.array([0, 1]), np.array([0, 3]), 3)
  with pytest.raises(ValueError, match="predictions"):
    metrics.confusion_host(np.zeros((2, 1), int), np.zeros((1, 2), int), 3)
