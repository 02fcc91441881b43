"""Attention against numpy, and what the hybrid ResNet's layers leave as is."""

import jax
import numpy as np
import pytest
from scipy.special import erf, softmax
from tiny_networks import images

from lumbar_jax.models.review import hybrid_resnet
from lumbar_jax.models.review.hybrid_resnet import (
  HybridResNet,
  StandardisedConv,
)
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.vit import (
  MLP,
  NUM_HEADS,
  Attention,
  JointAttention,
)

TOKENS, DIM = 5, 3
HIDDEN = NUM_HEADS * DIM


def _weights(*shape, seed):
  return images(*shape, seed=seed) / np.sqrt(shape[0])


def _attend(project, x, out):
  """Heads one by one: project(part, d, head) is a column of a projection."""
  heads = []
  for head in range(NUM_HEADS):
    query, key, value = (
      np.stack([x @ project(part, d, head) for d in range(DIM)], axis=-1)
      for part in range(3)
    )
    products = query @ key.swapaxes(1, 2) / np.sqrt(DIM)
    heads.append(softmax(products, axis=-1) @ value)
  return np.concatenate(heads, axis=-1) @ out


def test_joint_attention_splits_by_dimension_part_and_head():
  x = images(2, TOKENS, HIDDEN)
  qkv, out = (
    _weights(HIDDEN, 3 * HIDDEN, seed=1),
    _weights(HIDDEN, HIDDEN, seed=2),
  )
  kernels = {"qkv": {"kernel": qkv}, "out": {"kernel": out}}
  found = JointAttention(TORCH).apply({"params": kernels}, x)

  def project(part, d, head):
    return qkv[:, (d * 3 + part) * NUM_HEADS + head]

  np.testing.assert_allclose(found, _attend(project, x, out), atol=1e-5)


def test_attention_splits_by_head_and_dimension():
  x = images(2, TOKENS, HIDDEN)
  names = ("query", "key", "value", "out")
  params = {
    name: {
      "kernel": _weights(HIDDEN, HIDDEN, seed=i),
      "bias": np.zeros(HIDDEN, np.float32),
    }
    for i, name in enumerate(names)
  }
  found = Attention(TORCH).apply({"params": params}, x)

  def project(part, d, head):
    return params[names[part]]["kernel"][:, head * DIM + d]

  expected = _attend(project, x, params["out"]["kernel"])
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mlp_has_the_exact_gelu():
  x = images(1, TOKENS, 4)
  params = {
    "fc1": {"kernel": _weights(4, 16, seed=1), "bias": images(16, seed=2)},
    "fc2": {"kernel": _weights(16, 4, seed=3), "bias": images(4, seed=4)},
  }
  found = MLP(TORCH, 0.0).apply({"params": params}, x, False)
  y = x @ params["fc1"]["kernel"] + params["fc1"]["bias"]
  y = y * (1 + erf(y / np.sqrt(2))) / 2
  expected = y @ params["fc2"]["kernel"] + params["fc2"]["bias"]
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (3.0, -2.0)])
def test_a_standardised_kernel_has_no_scale_and_no_mean(scale, shift):
  """Up to the 1e-5 in the root, hence large weights."""
  x, layer = images(1, 9, 9, 3), StandardisedConv(4, TORCH, 3, 2)
  kernel = 50 * images(3, 3, 3, 4, seed=1)
  found, other = (
    layer.apply({"params": {"kernel": k}}, x)
    for k in (kernel, scale * kernel + shift)
  )
  assert found.shape == (1, 5, 5, 4)
  np.testing.assert_allclose(other, found, rtol=1e-4, atol=1e-4)


def test_hybrid_resnet_completes_the_second_map_with_zeros(monkeypatch):
  """Its pooling without padding leaves one row and column out."""
  monkeypatch.setattr(hybrid_resnet, "STAGES", (1, 1, 1))
  net = HybridResNet(4, TORCH)
  _, found = jax.eval_shape(
    net.init_with_output, jax.random.key(0), images(1, 32, 32, 1)
  )
  rng = np.random.default_rng(0)
  filled = jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), found
  )
  half, quarter, eighth, sixteenth = jax.jit(net.apply)(
    filled, images(1, 32, 32, 1)
  )
  assert half.shape[1:3] == (16, 16)
  assert eighth.shape[1:3] == (4, 4)
  assert sixteenth.shape[1:3] == (2, 2)
  quarter = np.asarray(quarter)
  assert quarter.shape[1:3] == (8, 8)
  assert not quarter[:, 7].any()
  assert not quarter[:, :, 7].any()
  assert quarter[:, 6, 6].any()
