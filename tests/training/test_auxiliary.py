"""Auxiliary losses: their targets and weights, and the step they make."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from scipy import ndimage

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.models.auxiliary import AuxiliaryLoss, declared
from lumbar_jax.models.unet import Outputs
from lumbar_jax.training import auxiliary, losses
from lumbar_jax.training.state import create_state
from lumbar_jax.training.steps import make_train_step

K = 3


def _labels(seed=0, shape=(2, 9, 11)):
  labels = np.random.default_rng(seed).integers(0, K, shape).astype(np.int32)
  return np.kron(labels, np.ones((1, 3, 3), np.int32))


def _log_loss(logits, truth):
  scores = 1 / (1 + np.exp(-np.asarray(logits, float)))
  return sklearn.metrics.log_loss(truth.ravel(), scores.ravel(), labels=[0, 1])


def test_edges_are_where_classes_meet():
  labels = _labels()
  high, low = (
    filter_(labels, (0, 3, 3), mode="nearest")
    for filter_ in (ndimage.maximum_filter, ndimage.minimum_filter)
  )
  found = np.asarray(auxiliary.class_edges(labels))
  np.testing.assert_array_equal(found, high > low)


def test_ignored_pixels_make_no_edge():
  labels = np.zeros((1, 5, 7), np.int32)
  labels[0, :, 3] = IGNORE
  assert not np.any(auxiliary.class_edges(labels))
  labels[0, :, 5:] = 1
  edges = np.asarray(auxiliary.class_edges(labels))[0]
  assert edges.sum(0).tolist() == [0, 0, 0, 0, 5, 5, 0]


def test_edge_loss_is_scikit_learns():
  labels = _labels(1)
  labels[0, :4] = IGNORE
  logits = np.random.default_rng(2).standard_normal((*labels.shape, 1))
  counted = labels != IGNORE
  truth = np.asarray(auxiliary.class_edges(labels))[counted]
  assert 0 < truth.mean() < 1
  np.testing.assert_allclose(
    auxiliary.edge_loss(logits.astype(np.float32), labels),
    _log_loss(logits[..., 0][counted], truth),
    rtol=1e-5,
  )


def test_presence_loss_is_scikit_learns():
  """Of three images: classes 0 and 2, class 1 alone, and nothing at all."""
  labels = np.full((3, 4, 4), IGNORE, np.int32)
  labels[0, :2], labels[0, 2], labels[1, 0, 0] = 0, 2, 1
  logits = np.random.default_rng(3).standard_normal((3, K)).astype(np.float32)
  truth = np.array([[1, 0, 1], [0, 1, 0]])
  np.testing.assert_allclose(
    auxiliary.presence_loss(logits, labels),
    _log_loss(logits[:2], truth),
    rtol=1e-5,
  )
  nothing = auxiliary.presence_loss(logits, np.full_like(labels, IGNORE))
  assert nothing == 0


class Headed(nn.Module):
  """A linear network with an output of every kind."""

  weights: tuple[float, float, float] = ()

  @property
  def auxiliary_losses(self):
    kinds = ("segmentation", "edge", "presence")
    pairs = zip(kinds, self.weights, strict=bool(self.weights))
    return {kind: AuxiliaryLoss(kind, weight) for kind, weight in pairs}

  @nn.compact
  def __call__(self, images, train=False):
    maps = {
      "segmentation": nn.Conv(K, (1, 1), name="second")(images),
      "edge": nn.Conv(1, (3, 3), name="edge")(images),
      "presence": nn.Dense(K, name="presence")(images.mean((1, 2))),
      "attention": images,  # for inspection: in no loss
    }
    return Outputs(nn.Conv(K, (1, 1), name="first")(images), None, maps)


def _loss(logits, labels):
  return losses.soft_dice(logits, labels)


def _step(net, factor=1.0):
  """One step of plain gradient descent; returns its update and sums."""
  optimizer = optax.sgd(1.0)
  labels = _labels(4)
  images = np.random.default_rng(5).standard_normal((*labels.shape, 2))
  batch = {"images": images.astype(np.float32), "labels": labels}
  state = create_state(net, optimizer, jax.random.key(1), 0, (27, 33, 2))
  step = jax.jit(make_train_step(net, optimizer, _loss, None, factor))
  after, sums = step(state, batch)
  update = jax.tree.map(lambda a, b: a - b, after.params, state.params)
  return state, batch, update, sums


def test_a_step_follows_the_weighted_sum():
  net = Headed((0.4, 0.7, 2.0))
  state, batch, update, sums = _step(net, 0.5)

  def objective(params):
    out = net.apply({"params": params}, batch["images"])
    maps, labels = out.auxiliary, batch["labels"]
    further = 0.4 * _loss(maps["segmentation"], labels)
    further += 0.7 * auxiliary.edge_loss(maps["edge"], labels)
    further += 2.0 * auxiliary.presence_loss(maps["presence"], labels)
    return _loss(out.logits, labels) + 0.5 * further

  expected = jax.tree.map(jnp.negative, jax.grad(objective)(state.params))
  for name in ("first", "second", "edge", "presence"):
    assert max(np.abs(x).max() for x in jax.tree.leaves(update[name])) > 1e-3
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    update,
    expected,
  )
  # What is reported is the loss of the logits alone.
  alone = _loss(
    net.apply(state.variables, batch["images"]).logits, batch["labels"]
  )
  np.testing.assert_allclose(sums.loss, alone, rtol=1e-5)


def test_without_a_declaration_or_a_factor_only_the_logits_train():
  for net, factor in ((Headed(), 1.0), (Headed((1.0, 1.0, 1.0)), 0.0)):
    *_, update, _ = _step(net, factor)
    assert np.any(update["first"]["kernel"])
    for name in ("second", "edge", "presence"):
      assert not any(np.any(x) for x in jax.tree.leaves(update[name]))
  assert declared(nn.Dense(3)) == {}


@pytest.mark.parametrize(
  ("maps", "problem"),
  [
    ({}, r"'side' is missing; there are \[\]"),
    ({"side": jnp.zeros((2, 27, 33, K - 1))}, r"\(2, 27, 33, 2\), not \(2, 27"),
    ({"side": jnp.zeros((2, 14, 17, K))}, r"\(2, 14, 17, 3\), not"),
  ],
)
def test_an_output_that_is_not_as_declared_is_refused(maps, problem):
  wanted = {"side": AuxiliaryLoss("segmentation")}
  with pytest.raises(ValueError, match=problem):
    auxiliary.auxiliary_loss(wanted, maps, _labels(), K, _loss)


def test_an_unknown_kind_is_refused():
  with pytest.raises(ValueError, match=r"'edges'\. did you mean edge"):
    AuxiliaryLoss("edges")
