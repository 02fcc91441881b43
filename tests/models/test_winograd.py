"""Winograd's form of a convolution against the plain one in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from lumbar_jax.models import convolution
from lumbar_jax.models.winograd import (
  winograd_conv,
  winograd_image_gradient,
  winograd_kernel_gradient,
)


def _random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape)


def _reference(x, kernel):
  """The same sum in float64, by scipy."""
  out = np.zeros((*x.shape[:3], kernel.shape[-1]))
  for b, c, m in np.ndindex(x.shape[0], x.shape[3], kernel.shape[-1]):
    taps = kernel[:, :, c, m]
    out[b, ..., m] += signal.correlate2d(x[b, ..., c], taps, "same")
  return out


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 2, 4, 5)])
def test_it_is_the_plain_convolution(shape):
  x, kernel = _random(*shape), _random(3, 3, shape[-1], 4, seed=1)
  found = winograd_conv(jnp.float32(x), jnp.float32(kernel))
  np.testing.assert_allclose(found, _reference(x, kernel), atol=2e-5)


def test_its_rounding_is_that_of_the_plain_form():
  x = np.float32(_random(1, 16, 16, 256))
  kernel = np.float32(_random(3, 3, 256, 8, seed=1))
  exact = sum(
    np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))[
      :, i : i + 16, j : j + 16
    ]
    @ np.float64(kernel[i, j])
    for i in range(3)
    for j in range(3)
  )
  found = winograd_conv(jnp.asarray(x), jnp.asarray(kernel))
  plain = _plain(jnp.asarray(x), jnp.asarray(kernel))
  rms = [np.sqrt(np.mean((y - exact) ** 2)) for y in (found, plain)]
  assert rms[0] < 4 * rms[1]
  assert rms[0] < 1e-6 * np.abs(exact).max()


def _plain(x, kernel):
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 2, 2, 7), (3, 10, 4, 1)])
def test_gradients_are_those_of_the_plain_form(shape):
  x, kernel = (
    np.float32(_random(*shape)),
    np.float32(_random(3, 3, shape[3], 2)),
  )
  gradient = np.float32(_random(*shape[:3], 2, seed=2))
  expected = jax.vjp(_plain, x, kernel)[1](gradient)
  found = (
    winograd_image_gradient(gradient, kernel),
    winograd_kernel_gradient(x, gradient),
  )
  by_jax = jax.vjp(winograd_conv, x, kernel)[1](gradient)
  for ours, automatic, plain in zip(found, by_jax, expected, strict=True):
    np.testing.assert_allclose(ours, plain, atol=3e-5)
    np.testing.assert_allclose(automatic, plain, atol=3e-5)


def test_wide_and_small_maps_are_filtered_so():
  x, kernel = jnp.ones((1, 32, 32, 256)), jnp.ones((3, 3, 256, 256))
  text = str(
    jax.make_jaxpr(
      lambda x, kernel: convolution.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
      )
    )(x, kernel)
  )
  assert "winograd_conv" in text
