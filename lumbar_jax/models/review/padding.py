"""Sizes that a network cannot take: padded where that helps, else refused."""

import jax
import jax.numpy as jnp

from lumbar_jax.errors import InputError


def pad_to_multiple(
  images: jax.Array, multiple: int, remainder: int = 0
) -> jax.Array:
  """Repeats the last row and column until both sizes fit.

  Args:
    images: [b h w c].
    multiple: of which the rows and columns, less the remainder, shall be one.
    remainder: from 0 to below `multiple`.

  Returns:
    [b h' w' c] with the smallest h' >= h and w' >= w that fit.
  """
  rows, columns = ((remainder - s) % multiple for s in images.shape[1:3])
  if not rows and not columns:
    return images
  widths = ((0, 0), (0, rows), (0, columns), (0, 0))
  return jnp.pad(images, widths, mode="edge")


def crop_as(x: jax.Array, images: jax.Array) -> jax.Array:
  """Returns the first rows and columns of x, as many as images has."""
  return x[:, : images.shape[1], : images.shape[2]]


def check_minimum(images: jax.Array, smallest: int) -> None:
  """Raises InputError unless images [b h w c] are large enough."""
  height, width = images.shape[1:3]
  if min(height, width) < smallest:
    raise InputError(
      f"the network cannot take images of {height} x {width}",
      f"rows and columns must be at least {smallest}; the nearest are "
      f"{max(height, smallest)} x {max(width, smallest)}",
    )


def check_built_size(images: jax.Array, size: int) -> None:
  """Raises InputError unless images [b h w c] are of the size built for."""
  height, width = images.shape[1:3]
  if (height, width) != (size, size):
    raise InputError(
      f"the network cannot take images of {height} x {width}",
      f"its parameters were made for {size} x {size} (image_size)",
    )
