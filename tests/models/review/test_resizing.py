"""Pooling and resizing against JAX's, NumPy's and hand-computed values."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import images

from lumbar_jax.models.review import resizing

SIZES = [((7, 10), (14, 20)), ((5, 4), (13, 9)), ((9, 12), (4, 5))]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resizing_keeps_the_borders_where_they_are(old, new):
  x = images(2, *old, 3)
  expected = jax.image.resize(x, (2, *new, 3), "linear", antialias=False)
  np.testing.assert_allclose(
    resizing.resize(x, new, align_corners=False), expected, atol=1e-5
  )


@pytest.mark.parametrize(("old", "new"), [*SIZES, ((1, 1), (3, 4))])
def test_resizing_keeps_the_corners_where_they_are(old, new):
  x = images(2, *old, 3)
  expected = x
  for axis, (size, count) in enumerate(zip(old, new, strict=True), start=1):
    place = np.linspace(0, size - 1, count)
    expected = np.apply_along_axis(
      lambda line, place=place, size=size: np.interp(
        place, np.arange(size), line
      ),
      axis,
      expected,
    )
  np.testing.assert_allclose(
    resizing.resize(x, new, align_corners=True), expected, atol=1e-5
  )


def test_enlarging_is_resizing_to_a_multiple():
  x = images(1, 3, 5, 2)
  np.testing.assert_array_equal(
    resizing.enlarge(x, 4, True), resizing.resize(x, (12, 20), True)
  )
  np.testing.assert_array_equal(resizing.resize(x, (3, 5), True), x)


def test_bins_cover_all_and_may_overlap():
  assert resizing.bin_edges(7, 3) == [(0, 3), (2, 5), (4, 7)]
  assert resizing.bin_edges(2, 3) == [(0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize("bins", [1, 3, 6])
def test_adaptive_pooling_averages_each_bin(bins):
  x = images(2, 7, 4, 3)
  pooled = resizing.adaptive_avg_pool(x, bins)
  assert pooled.shape == (2, bins, bins, 3)
  for i, (top, bottom) in enumerate(resizing.bin_edges(7, bins)):
    for j, (left, right) in enumerate(resizing.bin_edges(4, bins)):
      np.testing.assert_allclose(
        pooled[:, i, j],
        x[:, top:bottom, left:right].mean((1, 2)),
        atol=1e-6,
      )


@pytest.mark.parametrize(
  ("window", "stride", "pad"), [(3, 2, 1), (3, 2, 0), (2, 2, 0)]
)
@pytest.mark.parametrize("size", [(8, 9), (5, 6)])
def test_max_pooling_is_flax_s(size, window, stride, pad):
  x = images(2, *size, 3) - 3  # zeros of a padding would win
  expected = nn.max_pool(x, (window,) * 2, (stride,) * 2, [(pad, pad)] * 2)
  np.testing.assert_array_equal(
    resizing.max_pool(x, window, stride, pad), expected
  )


def test_the_first_of_equal_maxima_gets_the_gradient():
  x = jnp.zeros((1, 5, 5, 1))
  gradient = jax.grad(lambda x: resizing.max_pool(x, 3, 2, 1).sum())(x)
  expected = np.zeros((5, 5))
  expected[np.ix_([0, 1, 3], [0, 1, 3])] = 1  # top left of each window
  np.testing.assert_array_equal(gradient[0, :, :, 0], expected)
  gradient = jax.grad(lambda x: resizing.global_max_pool(x).sum())(x)
  assert gradient[0, 0, 0, 0] == gradient.sum() == 1


def test_average_pooling_of_a_border():
  x = np.arange(1.0, 10, dtype=np.float32).reshape(1, 3, 3, 1)

  def pool(*arguments, **options):
    return resizing.avg_pool(x, *arguments, **options)[0, :, :, 0].tolist()

  assert pool(2, 2) == [[3]]
  # Of a window that is not full only what there is counts.
  whole = pool(2, 2, count_padding=False, ceil=True)
  assert whole == [[3, 4.5], [7.5, 9]]
  padded = pool(3, 2, 1)
  np.testing.assert_allclose(padded, np.array([[12, 16], [24, 28]]) / 9)


def test_global_pooling():
  x = images(2, 4, 5, 3)
  mean = resizing.global_avg_pool(x)
  np.testing.assert_allclose(mean[:, 0, 0], x.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(resizing.global_max_pool(x), x.max((1, 2)))
