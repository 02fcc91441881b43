"""3 x 3 convolutions by Winograd's minimal filtering F(2 x 2, 3 x 3).

Four outputs cost 16 products instead of 36 (Lavin and Gray 2016, "Fast
algorithms for convolutional neural networks", section 4.1). All transforms are
additions and halvings, so that the results are the plain form's to float32
rounding: no larger tiles, whose constants lose digits.
"""

from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

Grid = Sequence[Sequence[jax.Array]]


def _of_kernel(a, b, c):
  """G of F(2, 3): three taps to four."""
  return a, (a + b + c) / 2, (a - b + c) / 2, c


def _of_image(a, b, c, d):
  """B^T of F(2, 3): four pixels to four."""
  return a - c, b + c, c - b, b - d


def _of_products(a, b, c, d):
  """A^T of F(2, 3): four products to two outputs."""
  return a + b + c, b - c - d


def _both_ways(transform: Callable, grid: Iterable[Iterable]) -> Grid:
  """Transforms the rows of a grid, then its columns."""
  rows = [transform(*row) for row in grid]
  columns = [transform(*column) for column in zip(*rows, strict=True)]
  return list(zip(*columns, strict=True))


def _overlapping_tiles(x: jax.Array) -> Grid:
  """Returns the pixels at (i, j) of all tiles, 4 x 4 [b h/2 w/2 c].

  Args:
    x: [b h w c].
  """
  b, h, w, c = x.shape
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  return [
    [
      lax.slice(x, (0, i, j, 0), (b, i + h - 1, j + w - 1, c), (1, 2, 2, 1))
      for j in range(4)
    ]
    for i in range(4)
  ]


def _filter(x: jax.Array, kernel: Iterable[Iterable], product: str):
  """Filters [b h w c] by 3 x 3 matrices; `product` is einsum's formula."""
  images = _both_ways(_of_image, _overlapping_tiles(x))
  kernels = _both_ways(_of_kernel, kernel)
  products = [
    [jnp.einsum(product, *pair) for pair in zip(*rows, strict=True)]
    for rows in zip(images, kernels, strict=True)
  ]
  tiles = _both_ways(_of_products, products)
  y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)
  return y.reshape(*x.shape[:3], -1)


@jax.jit
def winograd_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A 3 x 3 convolution with a border of zeros, stride 1.

  Args:
    x: [b h w c] with even h and w.
    kernel: [3 3 c m].

  Returns:
    [b h w m].
  """
  return _filter(x, kernel, "bhwc,cm->bhwm")


@jax.jit
def winograd_image_gradient(
  gradient: jax.Array, kernel: jax.Array
) -> jax.Array:
  """Returns the gradient [b h w c] of `winograd_conv`'s images.

  It is the same filter with the taps turned round.

  Args:
    gradient: of its result [b h w m].
    kernel: [3 3 c m]; transposed here, it would take longer than all else.
  """
  return _filter(gradient, kernel[::-1, ::-1], "bhwm,cm->bhwc")
