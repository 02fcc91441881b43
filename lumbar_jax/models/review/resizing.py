"""Pooling and resizing of maps [b h w c] as PyTorch defines them.

Each is separable and done an axis after the other: averages as products with
small matrices, resizes as products with sparse ones, maxima as comparisons of
slices. On CPUs, XLA is slow at the gradients of `jax.lax.reduce_window` and of
gathers. Functions whose products are not to count as multiplications of a
network are jitted, so that `operations.py` knows them by name.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MOST_TAPS = 20  # of an output; beyond, dense products are faster


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


def bin_edges(size: int, bins: int) -> list[tuple[int, int]]:
  """Returns [start, end) of adaptive pooling's bins, which may overlap."""
  return [
    (i * size // bins, math.ceil((i + 1) * size / bins)) for i in range(bins)
  ]


def _averaging(size: int, bins: int) -> np.ndarray:
  """Returns the matrix [bins size] of adaptive average pooling."""
  start, end = np.array(bin_edges(size, bins)).T[:, :, None]
  place = np.arange(size)
  return ((place >= start) & (place < end)) / (end - start)


@functools.partial(jax.jit, static_argnums=1)
def adaptive_avg_pool(x: jax.Array, bins: int) -> jax.Array:
  """Averages [b h w c] to [b bins bins c]; see `bin_edges`."""
  for axis in (1, 2):
    x = _product(x, _averaging(x.shape[axis], bins), axis)
  return x


def _product(x: jax.Array, matrix: np.ndarray, axis: int) -> jax.Array:
  """Multiplies each line of x along an axis by a matrix [out in]."""
  matrix = jnp.asarray(matrix, jnp.float32)
  y = jnp.tensordot(x, matrix, (axis, 1), precision=lax.Precision.HIGHEST)
  return jnp.moveaxis(y, -1, axis).astype(x.dtype)


def _sparse_product(x: jax.Array, matrix: np.ndarray, axis: int) -> jax.Array:
  """Does the same by reading, for each output, what is not multiplied by 0."""
  taps = np.count_nonzero(matrix, axis=1).max()
  if taps > MOST_TAPS:
    return _product(x, matrix, axis)
  order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
  weights = np.take_along_axis(matrix, order, axis=1).astype(np.float32)
  shape = [1] * x.ndim
  shape[axis] = -1
  y = sum(
    jnp.take(x, order[:, tap], axis, mode="clip")
    * weights[:, tap].reshape(shape)
    for tap in range(taps)
  )
  return y.astype(x.dtype)


@functools.lru_cache
def _interpolation(size: int, new: int, align_corners: bool) -> np.ndarray:
  """Returns the matrix [new size] of linear interpolation."""
  place = np.arange(new, dtype=np.float64)
  if align_corners:
    place = place * ((size - 1) / max(new - 1, 1))
  else:
    place = ((place + 0.5) * (size / new) - 0.5).clip(0, size - 1)
  return np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _interpolate(x: jax.Array, axis: int, options) -> jax.Array:
  """Interpolates along an axis; for the options see `_interpolation`."""
  return _sparse_product(x, _interpolation(*options), axis)


def _forward(x, axis, options):
  return _interpolate(x, axis, options), None


def _backward(axis, options, _, gradient):
  # JAX' own would scatter what this one reads.
  return (_sparse_product(gradient, _interpolation(*options).T, axis),)


_interpolate.defvjp(_forward, _backward)


@functools.partial(jax.jit, static_argnums=(1, 2))
def resize_bilinear(x, size: tuple[int, int], align_corners: bool) -> jax.Array:
  """Does the work of `resize`, where the size changes."""
  for axis, new in enumerate(size, start=1):
    x = _interpolate(x, axis, (x.shape[axis], new, align_corners))
  return x


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
