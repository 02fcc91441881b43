"""3 x 3 convolutions by Winograd's minimal filtering F(2 x 2, 3 x 3).

Four outputs cost 16 products instead of 36 (Lavin and Gray 2016, "Fast
algorithms for convolutional neural networks", section 4.1). The gradients cost
as little: the image's is the same filter with the taps turned round, the
kernel's takes the transforms the other way about. All transforms are additions
and halvings, so that the results are the plain form's to float32 rounding: no
larger tiles, whose constants lose digits.
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


def _of_gradient(a, b):
  """A of F(2, 3): the gradients of two outputs to those of four products."""
  return a, a + b, a - b, -b


def _of_taps(a, b, c, d):
  """G^T of F(2, 3): the gradients of four to those of three taps."""
  return a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d


def _both_ways(transform: Callable, grid: Iterable[Iterable]) -> Grid:
  """Transforms the rows of a grid, then its columns."""
  rows = [transform(*row) for row in grid]
  columns = [transform(*column) for column in zip(*rows, strict=True)]
  return list(zip(*columns, strict=True))


def _every_second(x: jax.Array, size: int) -> Grid:
  """Returns the pixels at (i, j) of all tiles, size x size [b h/2 w/2 c].

  Args:
    x: [b h w c].
    size: 2 for tiles side by side, 4 for those that overlap, zeros around.
  """
  b, h, w, c = x.shape
  edge = (size - 2) // 2
  x = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
  return [
    [
      lax.slice(x, (0, i, j, 0), (b, i + h - 1, j + w - 1, c), (1, 2, 2, 1))
      for j in range(size)
    ]
    for i in range(size)
  ]


def _filter(x: jax.Array, kernel: Iterable[Iterable], product: str):
  """Filters [b h w c] by 3 x 3 matrices; `product` is einsum's formula."""
  images = _both_ways(_of_image, _every_second(x, 4))
  kernels = _both_ways(_of_kernel, kernel)
  products = [
    [jnp.einsum(product, images[i][j], kernels[i][j]) for j in range(4)]
    for i in range(4)
  ]
  tiles = _both_ways(_of_products, products)
  y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)
  b, h, w, _ = x.shape
  return y.reshape(b, h, w, -1)


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

  Args:
    gradient: of its result [b h w m].
    kernel: [3 3 c m].
  """
  turned = [[kernel[2 - i, 2 - j] for j in range(3)] for i in range(3)]
  return _filter(gradient, turned, "bhwm,cm->bhwc")


@jax.jit
def winograd_kernel_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
  """Returns the gradient [3 3 c m] of `winograd_conv`'s kernel.

  Args:
    x: [b h w c] with even h and w.
    gradient: of its result [b h w m].
  """
  images = _both_ways(_of_image, _every_second(x, 4))
  outputs = _both_ways(_of_gradient, _every_second(gradient, 2))
  products = [
    [_summed_product(images[i][j], outputs[i][j]) for j in range(4)]
    for i in range(4)
  ]
  taps = _both_ways(_of_taps, products)
  return jnp.stack([jnp.stack(row) for row in taps])


def _summed_product(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns [c m], the sum over all pixels of a's and b's products."""
  a, b = (y.reshape(-1, y.shape[-1]) for y in (a, b))
  return lax.dot_general(a, b, (((0,), (0,)), ((), ())))
