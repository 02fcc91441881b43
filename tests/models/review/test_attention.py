"""The attentions of PSANet, DANet and EMANet against loops and formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import images

from lumbar_jax.models.review.danet import ChannelAttention, PositionAttention
from lumbar_jax.models.review.emanet import ExpectationMaximisation
from lumbar_jax.models.review.infnet_blocks import background
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.psanet import attention_of_offsets

KEY = jax.random.key(0)


def _softmax(x, axis):
  x = np.exp(x - x.max(axis, keepdims=True))
  return x / x.sum(axis, keepdims=True)


@pytest.mark.parametrize("size", [(3, 4), (1, 5), (2, 1)])
def test_offsets_become_positions(size):
  h, w = size
  x = images(2, h, w, (2 * h - 1) * (2 * w - 1))
  found = attention_of_offsets(jnp.asarray(x))
  assert found.shape == (2, h * w, h * w)
  for i, (row, column) in enumerate(np.ndindex(h, w)):
    for j, (other_row, other_column) in enumerate(np.ndindex(h, w)):
      down, right = other_row - row + h - 1, other_column - column + w - 1
      channel = down * (2 * w - 1) + right
      np.testing.assert_array_equal(found[:, i, j], x[:, row, column, channel])


def test_position_attention_is_its_formula():
  x = images(2, 3, 4, 16)
  net = PositionAttention(TORCH)
  params = net.init(KEY, x)["params"]
  assert params["gamma"] == 0
  np.testing.assert_array_equal(net.apply({"params": params}, x), x)
  params = {**params, "gamma": jnp.full((1,), 0.5)}
  flat = x.reshape(2, 12, 16)

  def dense(name):
    return (
      flat @ params[name]["kernel"][0, 0] + params[name]["bias"][None, None]
    )

  query, key, value = map(np.asarray, map(dense, ("query", "key", "value")))
  assert query.shape[-1] == 2
  weights = _softmax(query @ key.transpose(0, 2, 1), axis=2)
  expected = 0.5 * weights @ value + flat
  np.testing.assert_allclose(
    net.apply({"params": params}, x), expected.reshape(x.shape), atol=1e-5
  )


def test_channel_attention_is_its_formula():
  x = images(2, 3, 4, 6)
  net, flat = ChannelAttention(), x.reshape(2, 12, 6).transpose(0, 2, 1)
  assert net.init(KEY, x)["params"]["gamma"] == 0
  scores = flat @ flat.transpose(0, 2, 1)
  weights = _softmax(scores.max(2, keepdims=True) - scores, axis=2)
  expected = (0.5 * weights @ flat + flat).transpose(0, 2, 1).reshape(x.shape)
  found = net.apply({"params": {"gamma": jnp.full((1,), 0.5)}}, x)
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def bases():
  """An EM unit of three bases, its input and variables."""
  net = ExpectationMaximisation(TORCH, num_bases=3)
  x = images(2, 4, 5, 6)
  return net, x, net.init(KEY, x, False)


def test_bases_are_no_parameters_and_move_with_the_batches(bases):
  net, x, variables = bases
  first = np.asarray(variables["bases"]["mu"])
  np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1, atol=1e-5)
  assert set(variables["params"]) == {"conv1", "conv2", "norm"}
  conv = variables["params"]["conv1"]
  flat = x.reshape(2, 20, 6) @ np.asarray(conv["kernel"])[0, 0]
  mu = np.stack([first, first])
  for _ in range(3):
    z = _softmax(flat @ mu, axis=2)
    mu = flat.transpose(0, 2, 1) @ (z / z.sum(1, keepdims=True))
    mu = mu / np.linalg.norm(mu, axis=1, keepdims=True)
  _, changed = net.apply(variables, x, True, mutable=["bases", "batch_stats"])
  np.testing.assert_allclose(
    changed["bases"]["mu"], 0.9 * first + 0.1 * mu.mean(0), atol=1e-4
  )
  net.apply(variables, x, False)  # an evaluation changes nothing, or raises


@pytest.mark.parametrize("gradient", [False, True])
def test_gradients_through_the_iterations(bases, gradient):
  net, x, variables = bases

  def loss(params):
    net_ = net.clone(gradient=gradient)
    return jnp.square(
      net_.apply({**variables, "params": params}, x, False)
    ).sum()

  found = jax.grad(loss)(variables["params"])
  assert found["conv2"]["kernel"].any()
  assert bool(found["conv1"]["kernel"].any()) == gradient


def test_background_of_one_class_is_what_is_not_it():
  scores = images(1, 2, 3, 1)
  one = background(jnp.asarray(scores))
  np.testing.assert_allclose(one, 1 - 1 / (1 + np.exp(-scores)), atol=1e-6)
  # Two classes, of which the background has score 0, are the same.
  both = jnp.concatenate([jnp.zeros_like(scores), scores], axis=-1)
  np.testing.assert_allclose(background(both), one, atol=1e-6)
