"""The quick convolutions and their gradients against the plain form's."""

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


def _reference(x, kernel, gradient):
  """Returns the plain form's result and its gradients."""

  def plain(x, kernel):
    pads = _pads(kernel.shape[:2])
    return lax.conv_general_dilated(
      x, kernel, (1, 1), pads, dimension_numbers=NUMBERS
    )

  result, gradients = jax.vjp(plain, x, kernel)
  return result, *gradients(gradient)


def _pads(window):
  return tuple(((n - 1) // 2, n // 2) for n in window)


def _compare(found, expected):
  for ours, theirs in zip(found, expected, strict=True):
    scale = float(jnp.abs(theirs).max())
    np.testing.assert_allclose(ours, theirs, atol=5e-6 * scale)


@pytest.mark.parametrize(("size", "channels", "features", "window"), CASES)
def test_bands_sum_to_the_plain_forms_gradient(
  size, channels, features, window
):
  x, gradient = _random(*size, channels), _random(*size, features, seed=1)
  kernel = np.zeros((*window, channels, features), np.float32)
  found = convolution.banded_kernel_gradient(_pads(window), x, gradient, window)
  _compare([found], [_reference(x, kernel, gradient)[2]])


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
  ("size", "channels", "features", "window"),
  [
    *CASES,
    ((2, 64, 64), 32, 64, (3, 3)),  # filtered by tiles
    ((1, 128, 128), 32, 48, (3, 3)),  # by rows, and so are its gradients
    ((2, 30, 64), 32, 80, (5, 5)),
    ((1, 64, 256), 16, 2, (3, 3)),  # its kernel's gradient goes by bands
    ((1, 128, 128), 16, 16, (3, 3)),  # and by rows
    ((2, 64, 128), 16, 4, (1, 1)),
    ((2, 8, 8), 5, 4, (5, 5)),  # unfolded
  ],
)
def test_values_and_gradients_are_those_of_the_plain_form(
  monkeypatch, devices, size, channels, features, window
):
  monkeypatch.setattr(jax, "device_count", lambda: devices)
  x, kernel = _random(*size, channels), _random(*window, channels, features)
  gradient = _random(*size, features, seed=1)
  found, of_ours = jax.vjp(
    lambda *a: convolution.same_conv(_pads(window), *a), x, kernel
  )
  expected = _reference(x, kernel, gradient)
  _compare([found, *of_ours(gradient)], expected)


@pytest.mark.parametrize(("devices", "banded"), [(1, True), (2, False)])
def test_one_device_takes_bands(monkeypatch, devices, banded):
  monkeypatch.setattr(jax, "device_count", lambda: devices)
  seen = []

  def record(pads, x, gradient, window):
    seen.append(window)
    return jnp.zeros((*window, x.shape[-1], gradient.shape[-1]))

  monkeypatch.setattr(convolution, "banded_kernel_gradient", record)
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
