"""3 x 3 convolutions by Winograd's minimal filtering F(2 x 2, 3 x 3).

Four outputs cost 16 products instead of 36 (Lavin and Gray 2016, "Fast
algorithms for convolutional neural networks", section 4.1). The transforms are
additions and halvings, so that the result is the plain form's to float32
rounding: no larger tiles, whose constants lose digits. On a CPU it pays where
there are many channels and few pixels, the products' share being largest there.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax


def _of_kernel(a, b, c):
  """G of F(2, 3): three taps to four."""
  return a, (a + b + c) / 2, (a - b + c) / 2, c


def _of_image(a, b, c, d):
  """B^T of F(2, 3): four pixels to four."""
  return a - c, b + c, c - b, b - d


def _of_products(a, b, c, d):
  """A^T of F(2, 3): four products to two outputs."""
  return a + b + c, b - c - d


def _kernel_tiles(kernel: jax.Array) -> list[Sequence[jax.Array]]:
  """Returns G g G^T, 4 x 4 matrices [c m]."""
  rows = _of_kernel(*kernel)
  return [_of_kernel(*row) for row in rows]


def _image_tiles(x: jax.Array) -> list[Sequence[jax.Array]]:
  """Returns B^T d B of every tile, 4 x 4 maps [b h/2 w/2 c]."""
  b, h, w, c = x.shape
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  rows = _of_image(
    *(
      lax.slice(x, (0, i, 0, 0), (b, i + h - 1, w + 2, c), (1, 2, 1, 1))
      for i in range(4)
    )
  )
  return [
    _of_image(
      *(
        lax.slice(row, (0, 0, j, 0), (b, h // 2, j + w - 1, c), (1, 1, 2, 1))
        for j in range(4)
      )
    )
    for row in rows
  ]


@jax.jit
def winograd_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A 3 x 3 convolution with a border of zeros, stride 1.

  Args:
    x: [b h w c] with even h and w.
    kernel: [3 3 c m].

  Returns:
    [b h w m].
  """
  kernels, images = _kernel_tiles(kernel), _image_tiles(x)
  columns = [
    _of_products(
      *(
        jnp.einsum("bhwc,cm->bhwm", images[i][j], kernels[i][j])
        for i in range(4)
      )
    )
    for j in range(4)
  ]
  tiles = [_of_products(*(column[p] for column in columns)) for p in range(2)]
  y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)
  b, h, w, _ = x.shape
  return y.reshape(b, h, w, -1)
