"""Pooling and resizing of maps [b h w c] as PyTorch defines them.

Each is separable and done an axis after the other: resizing and averaging as
products with small matrices, maxima as comparisons of slices: the gradients of
`jax.lax.reduce_window` and of gathers are slow on XLA's CPU backend. Functions
with such products are jitted, so that `operations.py` knows them by name.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _window_max(x: jax.Array, axis: int, window: int, stride: int, pad: int):
  """Returns maxima along an axis; the gradient goes to the first of equals."""
  widths = [(0, 0)] * x.ndim
  widths[axis] = (pad, pad)
  x = jnp.pad(x, widths, constant_values=-jnp.inf)
  count = (x.shape[axis] - window) // stride + 1
  parts = [
    lax.slice_in_dim(x, i, i + stride * (count - 1) + 1, stride, axis)
    for i in range(window)
  ]
  best = parts[0]
  for part in parts[1:]:
    best = jnp.where(best >= part, best, part)
  return best


def max_pool(x: jax.Array, window: int, stride: int, pad: int = 0) -> jax.Array:
  """Max-pools; the gradient goes to a window's first maximum, row by row.

  Args:
    x: [b h w c].
    window: rows and columns.
    stride: of rows and columns; what does not fill a window is left out.
    pad: on each side, with values that never win.
  """
  x = _window_max(x, 2, window, stride, pad)
  return _window_max(x, 1, window, stride, pad)


def avg_pool(
  x: jax.Array,
  window: int,
  stride: int,
  pad: int = 0,
  *,
  count_padding: bool = True,
  ceil: bool = False,
) -> jax.Array:
  """Average-pools.

  Args:
    x: [b h w c].
    window: rows and columns.
    stride: of rows and columns.
    pad: zeros on each side.
    count_padding: whether they count in the mean.
    ceil: whether a last window that is not full counts too, for what it has.
  """
  more = [
    -(size + 2 * pad - window) % stride if ceil else 0 for size in x.shape[1:3]
  ]
  return nn.avg_pool(
    x,
    (window, window),
    (stride, stride),
    [(pad, pad + extra) for extra in more],
    count_include_pad=count_padding,
  )


def global_avg_pool(x: jax.Array) -> jax.Array:
  """Returns the means [b 1 1 c], computed in float32."""
  return x.mean((1, 2), keepdims=True, dtype=jnp.float32).astype(x.dtype)


def global_max_pool(x: jax.Array) -> jax.Array:
  """Returns the maxima [b c]; the gradient goes to the first of equals."""
  x = x.reshape(x.shape[0], -1, x.shape[-1])
  first = jnp.argmax(x, axis=1, keepdims=True)
  return jnp.take_along_axis(x, first, axis=1)[:, 0]


def _along_axes(x: jax.Array, rows: jax.Array, columns: jax.Array):
  """Returns the products of [out in] matrices with rows and columns of x."""
  full = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)
  x = full("oh,bhwc->bowc", rows.astype(x.dtype), x)
  return full("ow,bhwc->bhoc", columns.astype(x.dtype), x)


def bin_edges(size: int, bins: int) -> list[tuple[int, int]]:
  """Returns [start, end) of adaptive pooling's bins, which may overlap."""
  return [
    (i * size // bins, math.ceil((i + 1) * size / bins)) for i in range(bins)
  ]


def _averaging(size: int, bins: int) -> jax.Array:
  """Returns the matrix [bins size] of adaptive average pooling."""
  start, end = np.array(bin_edges(size, bins)).T[:, :, None]
  place = np.arange(size)
  inside = (place >= start) & (place < end)
  return jnp.asarray(inside / (end - start), jnp.float32)


@functools.partial(jax.jit, static_argnums=1)
def adaptive_avg_pool(x: jax.Array, bins: int) -> jax.Array:
  """Averages [b h w c] to [b bins bins c]; see `bin_edges`."""
  return _along_axes(x, *(_averaging(size, bins) for size in x.shape[1:3]))


def _interpolation(size: int, new: int, align_corners: bool) -> jax.Array:
  """Returns the matrix [new size] of linear interpolation."""
  place = np.arange(new, dtype=np.float64)
  if align_corners:
    place = place * ((size - 1) / max(new - 1, 1))
  else:
    place = ((place + 0.5) * (size / new) - 0.5).clip(0, size - 1)
  low = np.minimum(np.floor(place).astype(np.int32), size - 1)
  high, weight = np.minimum(low + 1, size - 1), (place - low)[:, None]
  column = jnp.arange(size)[None]  # the large arrays are XLA's, no constants
  lower = (column == low[:, None]) * jnp.float32(1 - weight)
  return lower + (column == high[:, None]) * jnp.float32(weight)


@functools.partial(jax.jit, static_argnums=(1, 2))
def resize_bilinear(x, size: tuple[int, int], align_corners: bool) -> jax.Array:
  """Does the work of `resize`, where the size changes."""
  matrices = (
    _interpolation(old, new, align_corners)
    for old, new in zip(x.shape[1:3], size, strict=True)
  )
  return _along_axes(x, *matrices)


def resize(
  x: jax.Array, size: tuple[int, int], align_corners: bool
) -> jax.Array:
  """Interpolates bilinearly, without smoothing where it gets smaller.

  Args:
    x: [b h w c].
    size: new rows and columns.
    align_corners: whether the centres of the corner pixels stay where they are
      (PyTorch's option), or the corners of the image do (as in
      `jax.image.resize`).

  Returns:
    [b *size c].
  """
  size = tuple(size)
  return x if x.shape[1:3] == size else resize_bilinear(x, size, align_corners)


def enlarge(x: jax.Array, factor: int, align_corners: bool) -> jax.Array:
  """Interpolates bilinearly to `factor` times the size; see `resize`."""
  _, rows, columns, _ = x.shape
  return resize(x, (factor * rows, factor * columns), align_corners)
