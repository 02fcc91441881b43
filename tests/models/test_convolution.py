"""The convolution's quick kernel gradient against the plain form's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lumbar_jax.models import convolution

NUMBERS = ("NHWC", "HWIO", "NHWC")

# (b, h, w), channels, features, (rows, columns) of the kernel
CASES = (
  ((2, 48, 64), 5, 3, (3, 3)),
  ((1, 7, 2100), 2, 3, (3, 3)),  # a row is more than a band
  ((3, 17, 13), 4, 2, (5, 1)),
  ((1, 31, 40), 3, 4, (1, 7)),
  ((2, 12, 10), 3, 4, (2, 4)),  # padded more on one side
  ((3, 14, 11), 5, 4, (1, 1)),
  ((2, 8, 6), 5, 4, (7, 7)),
)


def _random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("size", "channels", "features", "window"), CASES)
def test_values_and_gradients_are_those_of_the_plain_form(
  size, channels, features, window
):
  x, kernel = _random(*size, channels), _random(*window, channels, features)
  pads = tuple(((n - 1) // 2, n // 2) for n in window)

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x, kernel, (1, 1), pads, dimension_numbers=NUMBERS
    )

  expected, of_plain = jax.vjp(plain, x, kernel)
  found, of_ours = jax.vjp(
    lambda *a: convolution.same_conv(pads, *a), x, kernel
  )
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  gradient = _random(*size, features, seed=1)
  for ours, theirs in zip(of_ours(gradient), of_plain(gradient), strict=True):
    scale = float(jnp.abs(theirs).max())
    np.testing.assert_allclose(ours, theirs, atol=2e-6 * scale)


@pytest.mark.parametrize(("devices", "banded"), [(1, True), (2, False)])
def test_one_device_takes_bands(monkeypatch, devices, banded):
  monkeypatch.setattr(jax, "device_count", lambda: devices)
  seen = []

  def record(pads, x, gradient, window):
    seen.append(window)
    return jnp.zeros((*window, x.shape[-1], gradient.shape[-1]))

  monkeypatch.setattr(convolution, "kernel_gradient", record)
  x, kernel = jnp.zeros((2, 64, 128, 16)), jnp.zeros((3, 3, 16, 2))

  def loss(kernel):
    return convolution.conv_general_dilated(
      x, kernel, (1, 1), "SAME", dimension_numbers=NUMBERS
    ).sum()

  jax.grad(loss)(kernel)
  assert seen == ([(3, 3)] if banded else [])


@pytest.mark.parametrize(
  ("shape", "options"),
  [
    ((2, 64, 128, 16), {"window_strides": (2, 2)}),
    ((2, 64, 128, 16), {"rhs_dilation": (2, 2)}),
    ((2, 64, 128, 16), {"padding": "VALID"}),
  ],
)
def test_other_convolutions_stay_plain(monkeypatch, shape, options):
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  monkeypatch.setattr(convolution, "same_conv", None)  # a call would raise
  x, kernel = jnp.ones(shape), jnp.ones((3, 3, 16, 2))
  options = {"window_strides": (1, 1), "padding": "SAME"} | options
  found = convolution.conv_general_dilated(
    x, kernel, **options, dimension_numbers=NUMBERS
  )
  expected = lax.conv_general_dilated(
    x, kernel, **options, dimension_numbers=NUMBERS
  )
  np.testing.assert_array_equal(found, expected)
