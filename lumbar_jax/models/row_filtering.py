"""Convolutions whose rows are filtered by Toom and Cook's scheme F(4, n).

Four rows of the result need n + 3 products instead of 4 n (Winograd 1980,
"Arithmetic complexity of computations"; Blahut 2010, "Fast algorithms for
signal processing", section 5.2): a 3 x 3 convolution half of its
multiplications, a 5 x 5 one two fifths. Columns are convolved as they are, so
that the transforms move one and a half times an image and twice, where
`winograd`'s tiles move it four times: large images go this way. Done band by
band, what they move stays in the cache. The gradient of an image is the same
filter with the taps turned round; that of a kernel takes the transforms the
other way about.

The points of evaluation are those that round least, found by trying fractions:
twice (n = 3) and four times (n = 5) the plain form's rounding in float32.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.polynomial import polynomial

from lumbar_jax.models.joining import join_channels

ROWS = 4  # of the result, filtered together
POINTS = {3: (2 / 3, 3 / 2), 5: (1 / 2, 1, 2)}  # +-, besides 0 and infinity
BAND_BYTES = 2**22  # of the batch: measured
MOST_BANDS = 8  # each is compiled


@functools.cache
def transforms(taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the matrices of F(4, n), a row for each of its n + 3 products.

  They multiply taps, rows of the image, and (transposed) the products, which
  gives rows of the result.

  Args:
    taps: n, 3 or 5.
  """
  points = [0.0, *(sign * p for p in POINTS[taps] for sign in (1, -1))]
  count = ROWS + taps - 1
  of_taps, of_rows = np.zeros((count, taps)), np.zeros((count, count))
  of_products = np.zeros((count, ROWS))
  for i, point in enumerate(points):
    others = points[:i] + points[i + 1 :]
    scale = math.prod(point - other for other in others)
    of_taps[i] = point ** np.arange(taps) / scale
    of_rows[i, :-1] = polynomial.polyfromroots(others)
    of_products[i] = point ** np.arange(ROWS)
  of_taps[-1, -1] = of_products[-1, -1] = 1  # infinity
  of_rows[-1] = polynomial.polyfromroots(points)
  return of_taps, of_rows, of_products


def _times(matrix: np.ndarray, values: Sequence[jax.Array]) -> list[jax.Array]:
  """Returns the product of a small matrix and a column of arrays."""

  def weighed(weights):
    pairs = zip(weights, values, strict=True)
    return [np.float32(w) * v for w, v in pairs if abs(w) > 1e-9]

  return [functools.reduce(jnp.add, weighed(row)) for row in matrix]


def _every_fourth(x: jax.Array, count: int) -> list[jax.Array]:
  """Returns rows 0, 4, ..., rows 1, 5, ... and so on, as many as fit."""
  b, h, w, c = x.shape
  stop = h - count + 1
  return [
    lax.slice(x, (0, i, 0, 0), (b, i + stop, w, c), (1, ROWS, 1, 1))
    for i in range(count)
  ]


def _filter(x: jax.Array, kernels: Sequence[jax.Array], pads) -> jax.Array:
  """Filters a band [b 4 t + n - 1, w c] to [b 4 t, w m]."""
  taps = len(kernels) - ROWS + 1
  _, of_rows, of_products = transforms(taps)
  images = _times(of_rows, _every_fourth(x, len(kernels)))
  products = [
    lax.conv_general_dilated(
      image, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    for image, kernel in zip(images, kernels, strict=True)
  ]
  y = jnp.stack(_times(of_products.T, products), axis=2)
  return y.reshape(x.shape[0], -1, *y.shape[3:])


def _bands(h: int, row_bytes: int) -> list[tuple[int, int]]:
  """Returns where bands of whole fours of rows begin and end."""
  steps = -(-h // ROWS)
  parts = -(-steps * ROWS * row_bytes // BAND_BYTES)
  ends = np.linspace(0, steps, min(parts, MOST_BANDS, steps) + 1).astype(int)
  return [(ROWS * int(a), ROWS * int(b)) for a, b in itertools.pairwise(ends)]


def _pad_rows(x: jax.Array, before: int, after: int, columns: int = 0):
  """Adds rows of zeros, after them up to whole fours, and columns."""
  after += -x.shape[1] % ROWS
  return jnp.pad(x, ((0, 0), (before, after), (columns, columns), (0, 0)))


@jax.jit
def row_filtered_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A convolution with a border of zeros, stride 1: [b h w c] -> [b h w m].

  Args:
    x: [b h w c].
    kernel: [n columns c m], n 3 or 5, columns odd.
  """
  b, h, w, c = x.shape
  taps, columns, _, m = kernel.shape
  kernels = _times(transforms(taps)[0], jnp.split(kernel, taps))
  pads = ((0, 0), (columns // 2, columns // 2))
  x = _pad_rows(x, taps // 2, taps // 2)
  row_bytes = b * w * max(c, m) * x.dtype.itemsize
  bands = [
    _filter(x[:, start : stop + taps - 1], kernels, pads)
    for start, stop in _bands(h, row_bytes)
  ]
  return jnp.concatenate(bands, axis=1)[:, :h]


@functools.partial(jax.jit, static_argnums=2)
def row_filtered_kernel_gradient(
  x: jax.Array, gradient: jax.Array, window: tuple[int, int]
) -> jax.Array:
  """Returns the gradient [n columns c m] of `row_filtered_conv`'s kernel.

  Args:
    x: [b h w c].
    gradient: of its result [b h w m].
    window: (n, columns).
  """
  b, h, w, c = x.shape
  taps, columns = window
  x = _pad_rows(x, taps // 2, taps // 2)
  gradient = _pad_rows(gradient, 0, 0, columns // 2)
  row_bytes = b * w * max(c, gradient.shape[-1]) * x.dtype.itemsize
  parts = [
    _filter_gradient(
      x[:, start : stop + taps - 1], gradient[:, start:stop], window
    )
    for start, stop in _bands(h, row_bytes)
  ]
  products = [
    functools.reduce(jnp.add, same) for same in zip(*parts, strict=True)
  ]
  of_taps = jnp.stack(_times(transforms(taps)[0].T, products))
  return of_taps.reshape(taps, c, columns, -1).swapaxes(1, 2)


def _filter_gradient(x, gradient, window: tuple[int, int]) -> list[jax.Array]:
  """Returns a band's part of the gradients [c columns*m] of the products.

  Args:
    x: [b 4 t + n - 1, w c].
    gradient: of the result [b 4 t, w + columns - 1, m].
    window: (n, columns).
  """
  taps, columns = window
  _, of_rows, of_products = transforms(taps)
  images = _times(of_rows, _every_fourth(x, taps + ROWS - 1))
  gradients = _times(of_products, _every_fourth(gradient, ROWS))
  return [
    _summed_product(image, _unfold(gradient, columns))
    for image, gradient in zip(images, gradients, strict=True)
  ]


def _unfold(gradient: jax.Array, columns: int) -> jax.Array:
  """Returns side by side what each column of a kernel adds to, [b t w k*m]."""
  w = gradient.shape[2] - columns + 1
  shifts = reversed(range(columns))
  return join_channels([gradient[:, :, j : j + w] for j in shifts])


def _summed_product(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns [c m], the sum over all pixels of a's and b's products."""
  a, b = (y.reshape(-1, y.shape[-1]) for y in (a, b))
  return lax.dot_general(a, b, (((0,), (0,)), ((), ())))
