"""Random affine augmentation of patches, on the device, in one resampling.

Paper 000, section 5.1. `sample` draws the parameters, `apply` uses them, so
that a given augmentation can be repeated and compared with scipy.ndimage. What
changes intensities and not places is in `artefacts`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from lumbar_jax.arrays import Images, Labels


@struct.dataclass
class Affine:
  """One transformation for each patch of a batch.

  The output pixel at offset o from the centre (rows, columns) shows the input
  at offset R(angle) (zoom * o + shift); where `flip` is set the output is
  mirrored left to right. Zoom above 1 shows more of the scene, as in Keras.

  Attributes:
    angle_rad: [b].
    zoom: [b 2], rows and columns.
    shift_px: [b 2].
    flip: [b] bool.
  """

  angle_rad: jax.Array
  zoom: jax.Array
  shift_px: jax.Array
  flip: jax.Array


def is_identity(config: Any) -> bool:
  """Returns whether `config.augmentation` moves nothing, whatever is drawn."""
  still = not (config.rotation_deg or config.shift or config.flip)
  return still and tuple(config.zoom) == (1.0, 1.0)


def sample(key: jax.Array, shape: tuple[int, ...], config: Any) -> Affine:
  """Draws the transformations of a batch.

  Args:
    key: JAX key.
    shape: (b, h, w, ...) of the batch.
    config: `config.augmentation`: rotation_deg, zoom, zoom_per_axis, shift
      (share of height and width) and flip (probability).
  """
  b, h, w = shape[:3]
  keys = jax.random.split(key, 4)
  angle = jax.random.uniform(keys[0], (b,), minval=-1.0, maxval=1.0)
  low, high = config.zoom
  columns = 2 if config.zoom_per_axis else 1
  zoom = jax.random.uniform(keys[1], (b, columns), minval=low, maxval=high)
  shift = jax.random.uniform(keys[2], (b, 2), minval=-1.0, maxval=1.0)
  return Affine(
    angle_rad=angle * jnp.deg2rad(config.rotation_deg),
    zoom=jnp.broadcast_to(zoom, (b, 2)),
    shift_px=shift * config.shift * jnp.array([[h, w]], jnp.float32),
    flip=jax.random.bernoulli(keys[3], config.flip, (b,)),
  )


def source(affine: Affine, h: int, w: int) -> tuple[jax.Array, jax.Array]:
  """Returns the input's row and column [b h w] for every output pixel.

  They may lie beyond the edges.
  """
  middle = jnp.array([(h - 1) / 2, (w - 1) / 2], jnp.float32)
  rows = jnp.arange(h, dtype=jnp.float32)[None, :, None] - middle[0]
  columns = jnp.arange(w, dtype=jnp.float32)[None, None, :] - middle[1]

  def each(values):
    return values[:, None, None]

  columns = jnp.where(each(affine.flip), -columns, columns)
  rows = each(affine.zoom[:, 0]) * rows + each(affine.shift_px[:, 0])
  columns = each(affine.zoom[:, 1]) * columns + each(affine.shift_px[:, 1])
  cos, sin = each(jnp.cos(affine.angle_rad)), each(jnp.sin(affine.angle_rad))
  y = cos * rows - sin * columns + middle[0]
  x = sin * rows + cos * columns + middle[1]
  return y, x


def _take(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """Gathers x [b h w c] at whole rows and columns [b h w]."""
  b, h, w = x.shape[:3]
  flat = x.reshape(b, h * w, -1)
  index = (rows * w + columns).reshape(b, h * w, 1)
  return jnp.take_along_axis(flat, index, axis=1).reshape(x.shape)


def interpolate(images: Images, y: jax.Array, x: jax.Array) -> Images:
  """Reads images [b h w c] linearly at rows y and columns x [b h w] within."""
  _, h, w, _ = images.shape
  top, left = jnp.floor(y), jnp.floor(x)
  fy, fx = (y - top)[..., None], (x - left)[..., None]
  top, left = top.astype(jnp.int32), left.astype(jnp.int32)
  bottom, right = jnp.minimum(top + 1, h - 1), jnp.minimum(left + 1, w - 1)
  upper = _take(images, top, left) * (1 - fx) + _take(images, top, right) * fx
  lower = (
    _take(images, bottom, left) * (1 - fx) + _take(images, bottom, right) * fx
  )
  return (upper * (1 - fy) + lower * fy).astype(images.dtype)


def apply(
  images: Images, labels: Labels, affine: Affine
) -> tuple[Images, Labels]:
  """Resamples images linearly and labels by the nearest, edges repeated.

  Args:
    images: [b h w c].
    labels: [b h w].
    affine: one transformation for each patch.

  Returns:
    Images and labels of the same shapes and types. The identity returns its
    input bit for bit.
  """
  _, h, w, _ = images.shape
  y, x = source(affine, h, w)
  y, x = jnp.clip(y, 0, h - 1), jnp.clip(x, 0, w - 1)
  images = interpolate(images, y, x)
  nearest = _take(
    labels[..., None],
    jnp.floor(y + 0.5).astype(jnp.int32),
    jnp.floor(x + 0.5).astype(jnp.int32),
  )
  return images, nearest[..., 0]
