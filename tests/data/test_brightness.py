"""Who stands out by brightness, contrast and noise."""

import numpy as np
import pytest

from lumbar_jax.data import brightness
from lumbar_jax.data.brightness import Brightness


def _volume(sigma, scale=1.0, seed=0):
  """A bright block with a ramp in dark air, and noise."""
  rng = np.random.default_rng(seed)
  array = np.zeros((5, 64, 64), np.float32)
  array[:, 8:56, 8:56] = 100 + np.arange(48)
  return scale * (array + rng.normal(0, sigma, array.shape)).astype(np.float32)


@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_noise_is_the_noises_deviation_in_spite_of_edges(sigma):
  assert brightness.noise(_volume(sigma)) == pytest.approx(sigma, rel=0.2)


def test_contrast_and_noise_do_not_depend_on_the_scale():
  one, other = (brightness.measure(_volume(2, s)) for s in (1, 30))
  assert other.brightness == pytest.approx(30 * one.brightness, rel=1e-4)
  assert other.contrast == pytest.approx(one.contrast, rel=1e-4)
  assert other.noise == pytest.approx(one.noise, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 9), (3, 8, 8)])
def test_an_empty_or_tiny_image_is_no_error(shape):
  found = brightness.measure(np.zeros(shape, np.float32))
  assert np.isnan(found.brightness)
  brightness.measure(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


def _data_set(**odd):
  measured = {
    f"sub-{n}": {"T2w": Brightness(100 + n, 1.0 + n / 50, 0.02 + n / 2000)}
    for n in range(10)
  }
  return measured | {name: {"T2w": found} for name, found in odd.items()}


def test_studies_alike_have_no_outlier():
  assert brightness.outliers(_data_set(), ("T2w", "T1w")) == []


@pytest.mark.parametrize(
  ("odd", "word"),
  [
    (Brightness(4000, 1.1, 0.022), "brightness"),
    (Brightness(104, 0.05, 0.022), "contrast"),
    (Brightness(104, 1.1, 0.4), "noise"),
  ],
)
def test_the_one_that_stands_out_is_named(odd, word):
  (finding,) = brightness.outliers(_data_set(odd=odd), ("T2w",))
  assert finding.severity == "warning"
  assert f"T2w: {word} falls out of line in 1 of 11 studies: odd (" in str(
    finding
  )
  assert "sub-" not in finding.problem


def test_of_few_studies_none_stands_out():
  measured = dict(list(_data_set().items())[:6])
  measured["odd"] = {"T2w": Brightness(9e9, 1, 0.02)}
  assert brightness.outliers(measured, ("T2w",)) == []


def test_alike_to_the_digit_a_small_difference_is_no_outlier():
  same = {f"s{n}": {"T2w": Brightness(100, 1, 0.02)} for n in range(9)}
  same["other"] = {"T2w": Brightness(130, 1, 0.02)}
  assert brightness.outliers(same, ("T2w",)) == []
