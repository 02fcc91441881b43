"""Losses against hand values, scikit-learn and numpy."""

import jax
import numpy as np
import pytest
import sklearn.metrics
from scipy import ndimage

from lumbar_jax import config
from lumbar_jax.anatomy import IGNORE
from lumbar_jax.training import losses

K = 4


def _batch(seed=0, shape=(2, 5, 6)):
  rng = np.random.default_rng(seed)
  logits = (3 * rng.standard_normal((*shape, K))).astype(np.float32)
  return logits, rng.integers(0, K, shape).astype(np.int32)


def _softmax(logits):
  e = np.exp(logits - logits.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def _log_loss(logits, labels, weights=None):
  keep = labels != IGNORE
  return sklearn.metrics.log_loss(
    labels[keep],
    _softmax(logits.astype(float))[keep],
    labels=range(K),
    sample_weight=None if weights is None else weights[labels[keep]],
  )


def test_cross_entropy_by_hand():
  """Scores 1/2, 1/4, 1/4: ln 2 where class 0 is true, ln 4 elsewhere."""
  logits = np.log([2, 1, 1]).astype(np.float32) * np.ones((1, 1, 4, 3))
  labels = np.array([[[0, 1, 2, IGNORE]]])
  expected = (np.log(2) + 2 * np.log(4)) / 3
  loss = losses.cross_entropy(logits.astype(np.float32), labels)
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  weighted = losses.cross_entropy(
    logits.astype(np.float32), labels, (3.0, 0.5, 0.0)
  )
  expected = (3 * np.log(2) + 0.5 * np.log(4)) / 3.5
  np.testing.assert_allclose(weighted, expected, rtol=1e-6)


def test_cross_entropy_is_scikit_learns():
  logits, labels = _batch()
  labels[0, :2] = IGNORE
  np.testing.assert_allclose(
    losses.cross_entropy(logits, labels), _log_loss(logits, labels), rtol=1e-5
  )
  weights = (0.5, 2.0, 0.0, 7.0)
  np.testing.assert_allclose(
    losses.cross_entropy(logits, labels, weights),
    _log_loss(logits, labels, np.array(weights)),
    rtol=1e-5,
  )


def test_cross_entropy_of_large_logits_is_finite():
  logits = np.array([1e4, 0, -1e4, 0], np.float32).reshape(1, 1, 1, K)
  for label, expected in ((0, 0), (1, 1e4), (2, 2e4)):
    loss = losses.cross_entropy(logits, np.array([[[label]]]))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def _dice(logits, labels, smoothing=1e-6, classes=None):
  """One minus the mean of (the present) classes' soft Dice, in numpy."""
  keep = labels != IGNORE
  scores, truth = _softmax(logits.astype(float))[keep], labels[keep]
  found = []
  for c in np.unique(truth) if classes is None else classes:
    p, g = scores[:, c], (truth == c).astype(float)
    both = 2 * (p * g).sum()
    found.append((both + smoothing) / (p.sum() + g.sum() + smoothing))
  return 1 - np.mean(found)


@pytest.mark.parametrize("absent", [None, 2])
@pytest.mark.parametrize("ignored", [0, 2])
def test_soft_dice_is_numpys(absent, ignored):
  logits, labels = _batch(1)
  if absent is not None:
    labels[labels == absent] = 0
  labels[:, :ignored] = IGNORE
  np.testing.assert_allclose(
    losses.soft_dice(logits, labels), _dice(logits, labels), rtol=1e-5
  )


def test_soft_dice_of_absent_classes_too():
  """Paper 002's: every class counts; an absent one costs nearly 1."""
  logits, labels = _batch(1)
  labels[labels == 2] = IGNORE
  loss = losses.soft_dice(logits, labels, 1e-5, absent=True)
  expected = _dice(logits, labels, 1e-5, range(K))
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert expected > _dice(logits, labels)
  smooth = losses.soft_dice(logits, labels, 100.0, absent=True)
  np.testing.assert_allclose(
    smooth, _dice(logits, labels, 100.0, range(K)), rtol=1e-5
  )


def _structure(z, truth):
  """Inf-Net's loss of one structure, by its formula, in numpy.

  Returns the cross-entropy [b], and 1 - IoU [b] of structure and background.
  """
  around = ndimage.uniform_filter(truth, (0, 31, 31), mode="constant")
  weight = 1 + 5 * np.abs(around - truth)
  p = 1 / (1 + np.exp(-z))
  entropy = -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
  found = [(weight * entropy).sum((1, 2)) / weight.sum((1, 2))]
  for score, part in ((p, truth), (1 - p, 1 - truth)):
    both = (weight * score * part).sum((1, 2))
    either = (weight * (score + part)).sum((1, 2)) - both
    found.append(1 - (both + 1) / (either + 1))
  return found


def test_structure_of_two_classes_is_inf_nets():
  """The structure is over 30 pixels from the edges: no padding reaches it."""
  z = np.random.default_rng(5).standard_normal((2, 66, 72))
  truth = np.zeros(z.shape)
  truth[0, 31:33, 31:39] = 1
  truth[1, 32:35, 33:36] = 1
  entropy, inside, outside = _structure(z, truth)
  logits = np.stack([np.zeros_like(z), z], -1).astype(np.float32)
  found = losses.structure(logits, truth.astype(np.int32))
  expected = (entropy + (inside + outside) / 2).mean()
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_soft_dice_by_hand():
  """Two pixels, certain and half certain, both of class 1."""
  logits = np.array([[-50, 50], [0, 0]], np.float32).reshape(1, 1, 2, 2)
  labels = np.array([[[1, 1]]])
  expected = 1 - 2 * 1.5 / (1.5 + 2)  # class 0 is absent: left out
  np.testing.assert_allclose(
    losses.soft_dice(logits, labels), expected, rtol=1e-5
  )


LOSSES = {
  "cross-entropy": losses.cross_entropy,
  "weighted": lambda a, b: losses.cross_entropy(a, b, (1.0, 2.0, 3.0, 4.0)),
  "dice": losses.soft_dice,
  "structure": losses.structure,
}


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_influence(name):
  loss = jax.jit(jax.value_and_grad(LOSSES[name]))
  logits, labels = _batch(2)
  labels[1] = IGNORE
  other = logits.copy()
  other[1] = 50 * _batch(3)[0][1]
  value, gradient = loss(logits, labels)
  other_value, other_gradient = loss(other, labels)
  assert value == other_value
  assert not np.any(gradient[1])
  np.testing.assert_array_equal(gradient, other_gradient)
  assert np.any(gradient[0])


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_but_ignored_pixels_moves_nothing(name):
  logits, labels = _batch(2)
  value, gradient = jax.value_and_grad(LOSSES[name])(
    logits, np.full_like(labels, IGNORE)
  )
  assert np.isfinite(value)
  np.testing.assert_array_equal(gradient, 0 * logits)


def test_the_config_weighs_the_two_losses():
  logits, labels = _batch(4)
  settings = config.default().training
  expected = _log_loss(logits, labels)
  loss = losses.make_loss(settings)(logits, labels)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)  # the paper's default

  settings.update(
    cross_entropy=0.25, dice=2.0, class_weights=(1.0, 2.0, 3.0, 4.0)
  )
  expected = 0.25 * _log_loss(logits, labels, np.array([1, 2, 3, 4]))
  expected += 2 * _dice(logits, labels)
  loss = losses.make_loss(settings)(logits, labels)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)

  settings.update(cross_entropy=0.0, dice=1.0)
  loss = losses.make_loss(settings)(logits, labels)
  np.testing.assert_allclose(loss, _dice(logits, labels), rtol=1e-5)

  labels[labels == 3] = 0
  settings.update(dice_absent=True, dice_smoothing=1e-5, structure=0.5)
  expected = _dice(logits, labels, 1e-5, range(K))
  expected += 0.5 * losses.structure(logits, labels)
  loss = losses.make_loss(settings)(logits, labels)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
