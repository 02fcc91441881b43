"""Layers against Flax's plain forms, numpy loops and hand values."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.models import layers
from lumbar_jax.models.layers import LayerStyle

STYLE = LayerStyle()


def _normal(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def _value_and_gradient(function, x, weight):
  """Returns f(x) and the gradient of sum(weight * f(x))."""

  def objective(x):
    y = function(x)
    return (y * weight).sum(), y

  (_, y), gradient = jax.value_and_grad(objective, has_aux=True)(x)
  return np.asarray(y), np.asarray(gradient)


def _plain_max_pool(x):
  return nn.max_pool(x, (2, 2), (2, 2))


@pytest.mark.parametrize("values", ["normal", "ties", "constant", "negative"])
def test_max_pool_is_flax_max_pool_in_value_and_gradient(values):
  rng = np.random.default_rng(1)
  x = {
    "normal": _normal(2, 6, 8, 3),
    "ties": rng.integers(0, 2, (2, 12, 16, 3)).astype(np.float32),
    "constant": np.zeros((1, 4, 4, 2), np.float32),
    "negative": -rng.integers(1, 3, (2, 8, 8, 2)).astype(np.float32),
  }[values]
  weight = _normal(x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3])
  ours = _value_and_gradient(layers.max_pool, x, weight)
  plain = _value_and_gradient(_plain_max_pool, x, weight)
  np.testing.assert_array_equal(ours[0], plain[0])
  np.testing.assert_array_equal(ours[1], plain[1])


def test_max_pool_gives_the_gradient_to_the_first_maximum():
  windows = np.array(
    [
      [[5, 5], [5, 5]],
      [[1, 5], [5, 5]],
      [[1, 2], [5, 5]],
      [[1, 5], [0, 5]],
      [[0, 1], [2, 5]],
    ],
    np.float32,
  )
  first = [(0, 0), (0, 1), (1, 0), (0, 1), (1, 1)]
  x = windows[..., None]
  value, gradient = _value_and_gradient(layers.max_pool, x, np.float32(3))
  np.testing.assert_array_equal(value.ravel(), [5] * 5)
  expected = np.zeros_like(x)
  for i, (row, column) in enumerate(first):
    expected[i, row, column] = 3
  np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_conv_is_flax_conv_transpose(size):
  x = _normal(2, 3, 5, 4)
  weight = _normal(2, 6, 10, 6, seed=1)
  ours = layers.TransposedConv(6, STYLE, size)
  plain = nn.ConvTranspose(6, (size, size), (2, 2), padding="SAME")
  shapes = jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x))
  assert shapes == jax.tree.map(jnp.shape, plain.init(jax.random.key(0), x))
  params = {
    "params": {
      "kernel": _normal(size, size, 4, 6, seed=2),
      "bias": _normal(6, seed=3),
    }
  }

  def run(net):
    def objective(params, x):
      y = net.apply(params, x)
      return (y * weight).sum(), y

    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (_, y), (by_params, by_input) = jax.jit(grad)(params, x)
    return {"y": y, "params": by_params, "input": by_input}

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5),
    run(ours),
    run(plain),
  )


def _keras_transposed_conv(x, kernel):
  """Keras' rule: y[2p + j] += x[p] w[j], cropped to twice the input."""
  b, h, w, _ = x.shape
  size, _, _, num_out = kernel.shape
  y = np.zeros((b, 2 * h + size, 2 * w + size, num_out))
  for p in range(h):
    for q in range(w):
      for i in range(size):
        for j in range(size):
          y[:, 2 * p + i, 2 * q + j] += x[:, p, q] @ kernel[i, j]
  return y[:, : 2 * h, : 2 * w]


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_conv_follows_keras_rule(size):
  x = _normal(2, 4, 3, 3)
  keras = _normal(size, size, 3, 5, seed=1)
  y = layers.transposed_conv(x, jnp.asarray(keras[::-1, ::-1]))
  expected = _keras_transposed_conv(x.astype(float), keras.astype(float))
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_upsample_repeats_rows_and_columns():
  x = _normal(2, 3, 4, 2)
  expected = x.repeat(2, axis=1).repeat(2, axis=2)
  np.testing.assert_array_equal(layers.upsample(x), expected)


def test_prelu_starts_as_relu_and_scales_negatives_by_channel():
  act = layers.Activation(LayerStyle(activation="prelu"))
  x = np.array([-2, -0.5, 0, 3], np.float32).reshape(1, 2, 2, 1)
  x = np.concatenate([x, 2 * x], axis=-1)
  params = act.init(jax.random.key(0), x)
  np.testing.assert_array_equal(params["params"]["alpha"], [0, 0])
  np.testing.assert_array_equal(act.apply(params, x), np.maximum(x, 0))
  learnt = {"params": {"alpha": np.array([0.25, -1], np.float32)}}
  y = np.asarray(act.apply(learnt, x)).reshape(4, 2)
  np.testing.assert_array_equal(y[:, 0], [-0.5, -0.125, 0, 3])
  np.testing.assert_array_equal(y[:, 1], [4, 1, 0, 6])


def test_prelu_per_pixel_has_a_slope_for_each_position():
  style = LayerStyle(activation="prelu", prelu_per_pixel=True)
  act = layers.Activation(style)
  x = -np.ones((2, 2, 3, 4), np.float32)
  slopes = _normal(2, 3, 4)
  shapes = jax.eval_shape(act.init, jax.random.key(0), x)
  assert shapes["params"]["alpha"].shape == slopes.shape
  y = act.apply({"params": {"alpha": slopes}}, x)
  np.testing.assert_array_equal(y, np.stack([-slopes, -slopes]))


def test_batch_norm_has_keras_constants():
  # Values so close together that epsilon 1e-3 decides the result.
  x = np.array([-0.03, 0.01, 0.02, 0.04], np.float32).reshape(1, 2, 2, 1)
  mean, variance = 0.01, (0.04**2 + 0 + 0.01**2 + 0.03**2) / 4
  norm = layers.batch_norm(STYLE, train=True)
  variables = {
    "params": {
      "scale": np.array([2], np.float32),
      "bias": np.array([5], np.float32),
    },
    "batch_stats": {
      "mean": np.array([1], np.float32),
      "var": np.array([4], np.float32),
    },
  }
  y, changed = norm.apply(variables, x, mutable=["batch_stats"])
  expected = 5 + 2 * (x - mean) / np.sqrt(variance + 1e-3)
  np.testing.assert_allclose(y, expected, rtol=1e-5)
  stats = changed["batch_stats"]
  np.testing.assert_allclose(stats["mean"], [0.99 * 1 + 0.01 * mean], rtol=1e-6)
  np.testing.assert_allclose(
    stats["var"], [0.99 * 4 + 0.01 * variance], rtol=1e-6
  )
  fixed = layers.batch_norm(STYLE, train=False)
  expected = 5 + 2 * (x - 1) / np.sqrt(4 + 1e-3)
  np.testing.assert_allclose(fixed.apply(variables, x), expected, rtol=1e-6)


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32():
  net = models.build("UAD", 3, width=2, dtype=jnp.bfloat16)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), image)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {np.dtype("float32")}

  def run(variables, image):
    return net.apply(variables, image, train=True, mutable=["batch_stats"])

  outputs, changed = jax.eval_shape(run, variables, image)
  assert outputs.logits.dtype == jnp.float32
  assert outputs.features.dtype == jnp.bfloat16
  assert {x.dtype for x in jax.tree.leaves(changed)} == {np.dtype("float32")}
