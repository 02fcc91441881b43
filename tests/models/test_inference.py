"""Folded networks give what the networks give."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.models.inference import fold

KEY = jax.random.key(0)


def _trained_like(net, shape):
  """Variables whose statistics and scales are not the initial ones."""
  variables = jax.jit(net.init)(KEY, jnp.zeros(shape))
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: (
      x * rng.uniform(0.5, 1.5, x.shape).astype(np.float32)
      + rng.uniform(0.05, 0.1, x.shape).astype(np.float32)
    ),
    variables,
  )


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("UMD", {}),
    ("UQD", {}),  # its normalisations come before the convolutions
    ("UVDD", {"vgg_norm": True}),
    ("UAD", {"remat": True}),
    ("FCN", {}),  # nothing to fold
  ],
)
def test_scores_and_features_are_the_network_s_own(name, options):
  shape = (1, 32, 32, 2)
  net = models.build(name, 3, width=4, **options)
  variables = _trained_like(net, shape)
  images = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
  folded, smaller = fold(net, variables, shape)
  ours, plain = folded.apply(smaller, images), net.apply(variables, images)
  scale = float(jnp.abs(plain.logits).max())
  np.testing.assert_allclose(ours.logits, plain.logits, atol=1e-5 * scale)
  if plain.features is not None:
    scale = float(jnp.abs(plain.features).max())
    np.testing.assert_allclose(ours.features, plain.features, atol=1e-5 * scale)


def test_every_normalisation_after_a_convolution_is_folded():
  shape = (1, 32, 32, 2)
  net = models.build("U1", 3, width=2)
  variables = _trained_like(net, shape)
  folded, smaller = fold(net, variables, shape)
  assert len(folded.norms) == 18
  assert not jax.tree.leaves(smaller["batch_stats"])
  assert jax.tree.leaves(variables["batch_stats"])  # the given ones are whole
  assert folded == fold(net, variables, shape)[0]  # equal: compiled once


def test_hand_computed():
  class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
      x = nn.Conv(1, (1, 1), use_bias=False, name="conv")(x)
      return nn.BatchNorm(not train, epsilon=1.0, name="norm")(x)

  variables = {
    "params": {
      "conv": {"kernel": jnp.full((1, 1, 1, 1), 3.0)},
      "norm": {"scale": jnp.array([4.0]), "bias": jnp.array([5.0])},
    },
    "batch_stats": {
      "norm": {"mean": jnp.array([6.0]), "var": jnp.array([3.0])}
    },
  }
  folded, smaller = fold(Small(), variables, (1, 2, 2, 1))
  np.testing.assert_allclose(smaller["params"]["conv"]["kernel"], [[[[6.0]]]])
  found = folded.apply(smaller, jnp.ones((1, 2, 2, 1)))
  np.testing.assert_allclose(found, np.full((1, 2, 2, 1), 6.0 + 5.0 - 12.0))


def test_a_folded_network_is_not_trained():
  net = models.build("U1", 3, width=2)
  variables = _trained_like(net, (1, 16, 16, 1))
  folded, smaller = fold(net, variables, (1, 16, 16, 1))
  with pytest.raises(ValueError, match="cannot be trained"):
    folded.apply(smaller, jnp.zeros((1, 16, 16, 1)), train=True)


def test_images_of_a_batch_go_through_alone_on_one_cpu(monkeypatch):
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  shape = (3, 128, 128, 1)
  net = models.build("U1", 2, width=1)
  variables = _trained_like(net, shape)
  images = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
  folded, smaller = fold(net, variables, shape)
  apply = jax.jit(folded.apply)
  assert "while" in apply.lower(smaller, images).as_text()
  plain = net.apply(variables, images).logits
  np.testing.assert_allclose(
    apply(smaller, images).logits, plain, atol=1e-5 * float(abs(plain).max())
  )
