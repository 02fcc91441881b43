"""Filtered convolutions, by tiles and by rows, against the plain form's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from lumbar_jax.models import convolution, row_filtering
from lumbar_jax.models.row_filtering import (
  row_filtered_conv,
  row_filtered_kernel_gradient,
  transforms,
)
from lumbar_jax.models.winograd import winograd_conv, winograd_image_gradient

TILES = (winograd_conv, (3, 3))
FORMS = (
  TILES,
  *((row_filtered_conv, window) for window in ((3, 3), (5, 5), (3, 1), (5, 3))),
)


def _random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _reference(x, kernel):
  """The same sum in float64, by scipy."""
  out = np.zeros((*x.shape[:3], kernel.shape[-1]))
  for b, c, m in np.ndindex(x.shape[0], x.shape[3], kernel.shape[-1]):
    image, taps = np.float64(x[b, ..., c]), np.float64(kernel[:, :, c, m])
    out[b, ..., m] += signal.correlate2d(image, taps, "same")
  return out


def _plain(x, kernel):
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


@pytest.mark.parametrize("taps", [3, 5])
def test_the_scheme_is_an_identity(taps):
  of_taps, of_rows, of_products = transforms(taps)
  kernel, rows = _random(taps), _random(taps + 3, seed=1)
  found = of_products.T @ ((of_taps @ kernel) * (of_rows @ rows))
  expected = np.correlate(np.float64(rows), kernel)
  np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("form", "window"), FORMS)
@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 2, 4, 5), (1, 12, 2, 1)])
def test_it_is_the_plain_convolution(form, window, shape):
  x, kernel = _random(*shape), _random(*window, shape[-1], 4, seed=1)
  np.testing.assert_allclose(form(x, kernel), _reference(x, kernel), atol=3e-5)


@pytest.mark.parametrize("size", [(7, 5), (1, 3), (9, 4)])
@pytest.mark.parametrize("window", [(3, 3), (5, 5)])
def test_rows_may_be_of_any_number(window, size):
  x, kernel = _random(2, *size, 3), _random(*window, 3, 4, seed=1)
  expected = _reference(x, kernel)
  np.testing.assert_allclose(row_filtered_conv(x, kernel), expected, atol=3e-5)


@pytest.mark.parametrize(("form", "window"), FORMS[:3])
def test_its_rounding_is_near_that_of_the_plain_form(form, window):
  x, kernel = _random(1, 16, 16, 256), _random(*window, 256, 8, seed=1)
  exact = _reference(x, kernel)
  found, plain = form(x, kernel), _plain(x, kernel)
  rms = [np.sqrt(np.mean((y - exact) ** 2)) for y in (found, plain)]
  assert rms[0] < 6 * rms[1]
  assert rms[0] < 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 2, 2, 7), (3, 10, 4, 1)])
def test_gradients_of_tiles_are_those_of_the_plain_form(shape):
  x, kernel = _random(*shape), _random(3, 3, shape[3], 2)
  gradient = _random(*shape[:3], 2, seed=2)
  expected = jax.vjp(_plain, x, kernel)[1](gradient)
  automatic = jax.vjp(winograd_conv, x, kernel)[1](gradient)
  found = winograd_image_gradient(gradient, kernel)
  np.testing.assert_allclose(found, expected[0], atol=3e-5)
  for ours, plain in zip(automatic, expected, strict=True):
    np.testing.assert_allclose(ours, plain, atol=3e-5)


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 7, 5, 2), (3, 33, 4, 1)])
@pytest.mark.parametrize(("form", "window"), FORMS[1:])
def test_gradients_of_rows_are_those_of_the_plain_form(
  monkeypatch, form, window, shape
):
  monkeypatch.setattr(row_filtering, "BAND_BYTES", 200)  # several bands
  x, kernel = _random(*shape), _random(*window, shape[3], 2)
  gradient = _random(*shape[:3], 2, seed=2)
  expected = jax.vjp(_plain, x, kernel)[1](gradient)
  automatic = jax.vjp(form, x, kernel)[1](gradient)
  found = row_filtered_kernel_gradient(x, gradient, window)
  np.testing.assert_allclose(found, expected[1], atol=2e-4)
  for ours, plain in zip(automatic, expected, strict=True):
    np.testing.assert_allclose(ours, plain, atol=2e-4)


@pytest.mark.parametrize("band_bytes", [1, 3000, 2**30])
def test_any_number_of_bands_is_the_plain_convolution(monkeypatch, band_bytes):
  x, kernel = _random(2, 37, 6, 3), _random(5, 5, 3, 4, seed=1)
  jax.clear_caches()  # of another number of bands
  monkeypatch.setattr(row_filtering, "BAND_BYTES", band_bytes)
  found = row_filtered_conv(x, kernel)
  np.testing.assert_allclose(found, _reference(x, kernel), atol=3e-5)


@pytest.mark.parametrize(
  ("size", "window", "name"),
  [
    (32, 3, "winograd_conv"),
    (128, 3, "row_filtered_conv"),
    (32, 5, "row_filtered_conv"),
  ],
)
def test_wide_maps_are_filtered_so(size, window, name):
  x, kernel = jnp.ones((1, size, size, 64)), jnp.ones((window, window, 64, 128))
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
  assert name in text
