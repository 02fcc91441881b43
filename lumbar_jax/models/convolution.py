"""Convolutions in the form that XLA's CPU backend runs fastest.

They give the numbers of `lax.conv_general_dilated`, to float32 rounding. A 1 x
1 convolution is a matrix product, which is two to ten times as quick; 3 x 3 and
5 x 5 ones of many channels, and their gradients, are filtered: on large images
by rows (`row_filtering`), on small ones by tiles (`winograd`).

The gradient of another kernel is a convolution whose window is a whole image,
which XLA's CPU backend does badly, the worse the larger the batch. Here it is
the same sum taken band by band of rows: a band of the image times the output's
gradient as each tap sees it, side by side. A band is small enough for a core's
cache. Accelerators keep the plain form, and so do these gradients on a mesh of
several devices, over which the batch is split.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lumbar_jax.models.row_filtering import (
  row_filtered_conv,
  row_filtered_kernel_gradient,
)
from lumbar_jax.models.winograd import winograd_conv, winograd_image_gradient

BAND_PIXELS = 1024  # of which the unfolded band and its gradient fit a cache
# For a kernel's gradient to be worth a form of its own: measured, see
# `experiments/results`.
LEAST_PIXELS = 4096  # of an image
LEAST_BATCH_PIXELS = 16384  # of a batch
LEAST_CHANNELS = 16
# For filtering to be: likewise.
FILTERED_CHANNELS = {3: 32, 5: 16}  # in and out, of a window's rows
FILTERED_PRODUCTS = 2**23  # of pixels, channels in and channels out
ROWS_PIXELS = 16384  # of an image, from which 3 x 3 goes by rows, not by tiles


def conv_general_dilated(
  lhs: jax.Array,
  rhs: jax.Array,
  window_strides: Any,
  padding: Any,
  lhs_dilation: Any = None,
  rhs_dilation: Any = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> jax.Array:
  """`lax.conv_general_dilated` as `flax.linen.Conv` calls it.

  Args:
    lhs: images [b h w c].
    rhs: kernel [rows columns c m].
    window_strides: as in `lax.conv_general_dilated`, and so all others.
    padding: "SAME" or pairs.
    lhs_dilation: of the images.
    rhs_dilation: of the kernel.
    dimension_numbers: of NHWC images and HWIO kernels.
    feature_group_count: groups of channels.
    precision: of the products.
  """
  plain = functools.partial(
    lax.conv_general_dilated,
    window_strides=window_strides,
    padding=padding,
    lhs_dilation=lhs_dilation,
    rhs_dilation=rhs_dilation,
    dimension_numbers=dimension_numbers,
    feature_group_count=feature_group_count,
    precision=precision,
  )
  steps = (*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ()))
  simple = set(steps) == {1} and feature_group_count == 1
  if not simple or jax.default_backend() != "cpu":
    return plain(lhs, rhs)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      lhs.shape[1:3], rhs.shape[:2], window_strides, padding
    )
  pads = tuple(map(tuple, padding))
  if any(sum(p) != n - 1 for p, n in zip(pads, rhs.shape, strict=False)):
    return plain(lhs, rhs)
  return same_conv(pads, lhs, rhs)


def _worthwhile(image: tuple[int, ...]) -> bool:
  batch, height, width, channels = image
  return (
    height * width >= LEAST_PIXELS
    and batch * height * width >= LEAST_BATCH_PIXELS
    and channels >= LEAST_CHANNELS
  )


@jax.jit
def pointwise_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A 1 x 1 convolution as the matrix product that it is.

  Args:
    x: [b h w c].
    kernel: [1 1 c m].
  """
  return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())))


@functools.partial(jax.jit, static_argnums=0)
def unfolded_conv(pads, x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A wide window on a small image (FCN8's fc6) as one matrix product.

  Args:
    pads: zeros before and after rows, and columns; the size is kept.
    x: [b h w c].
    kernel: [rows columns c m].
  """
  b, h, w, _ = x.shape
  high, wide = kernel.shape[:2]
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  taps = [x[:, i : i + h, j : j + w] for i in range(high) for j in range(wide)]
  flat = jnp.concatenate(taps, -1).reshape(b * h * w, -1)
  y = flat @ kernel.reshape(flat.shape[-1], -1)
  return y.reshape(b, h, w, -1)


def _plain(pads, x: jax.Array, kernel: jax.Array) -> jax.Array:
  if kernel.shape[:2] == (1, 1):
    return pointwise_conv(x, kernel)
  if kernel.shape[0] * kernel.shape[1] >= 25 and x.shape[1] * x.shape[2] <= 256:
    return unfolded_conv(pads, x, kernel)
  numbers = ("NHWC", "HWIO", "NHWC")
  return lax.conv_general_dilated(
    x, kernel, (1, 1), pads, dimension_numbers=numbers
  )


def _filterable(pads, x: jax.Array, kernel: jax.Array) -> bool:
  """Whether it is a float32 convolution of 3 x 3 or 5 x 5 taps."""
  high, wide = kernel.shape[:2]
  return (
    x.dtype == jnp.float32
    and high == wide
    and high in FILTERED_CHANNELS
    and pads == ((high // 2, high // 2),) * 2
  )


def _filter(pads, x: jax.Array, kernel: jax.Array) -> str | None:
  """Returns what is quicker than the plain form: "rows", "tiles" or nothing."""
  b, h, w, c = x.shape
  high, m = kernel.shape[0], kernel.shape[-1]
  worthwhile = (
    _filterable(pads, x, kernel)
    and min(c, m) >= FILTERED_CHANNELS[high]
    and b * h * w * c * m >= FILTERED_PRODUCTS
  )
  if worthwhile and (high == 5 or h * w >= ROWS_PIXELS):
    return "rows"
  return "tiles" if worthwhile and h % 2 == w % 2 == 0 else None


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def same_conv(pads, x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A convolution [b h w c] -> [b h w m], with gradients of its own.

  Args:
    pads: zeros before and after rows, and columns; the size is kept.
    x: [b h w c].
    kernel: [rows columns c m].
  """
  match _filter(pads, x, kernel):
    case "rows":
      return row_filtered_conv(x, kernel)
    case "tiles":
      return winograd_conv(x, kernel)
    case _:
      return _plain(pads, x, kernel)


def _forward(pads, x, kernel):
  return same_conv(pads, x, kernel), (x, kernel)


def _backward(pads, saved, gradient):
  # Held back until the gradient is there: XLA would otherwise keep the forward
  # pass's tiles, since these are the same.
  (x, kernel), gradient = lax.optimization_barrier((saved, gradient))
  return (
    _image_gradient(pads, x, kernel, gradient),
    _kernel_gradient(pads, x, kernel, gradient),
  )


def _image_gradient(pads, x, kernel, gradient):
  match _filter(pads, x, kernel):
    case "rows":  # the same filter, the taps turned round
      turned = kernel[::-1, ::-1].swapaxes(2, 3)
      return row_filtered_conv(gradient, turned)
    case "tiles":
      return winograd_image_gradient(gradient, kernel)
    case _:
      return jax.vjp(lambda x: _plain(pads, x, kernel), x)[1](gradient)[0]


def _kernel_gradient(pads, x, kernel, gradient):
  window, large = kernel.shape[:2], _worthwhile(x.shape)
  wide = kernel.shape[-1] >= LEAST_CHANNELS
  if _filter(pads, x, kernel) or (
    large and wide and _filterable(pads, x, kernel)
  ):
    return row_filtered_kernel_gradient(x, gradient, window)
  if large and jax.device_count() == 1:
    return banded_kernel_gradient(pads, x, gradient, window)
  return jax.vjp(lambda k: _plain(pads, x, k), kernel)[1](gradient)[0]


same_conv.defvjp(_forward, _backward)


def banded_kernel_gradient(
  pads: Any, x: jax.Array, gradient: jax.Array, window: tuple[int, int]
) -> jax.Array:
  """Returns the gradient [rows columns c m] of a convolution's kernel.

  Args:
    pads: zeros before and after rows, and columns; the size is kept.
    x: [b h w c].
    gradient: of the output [b h w m].
    window: rows and columns of the kernel.
  """
  b, h, w, c = x.shape
  rows, m, (high, wide) = _band_rows(h, w), gradient.shape[-1], window
  # The output's gradient is unfolded: what a tap saw of x is where its
  # gradient, moved by that tap, lies.
  ends = [(n - 1 - low, low) for n, (low, _) in zip(window, pads, strict=True)]
  gradient = jnp.pad(gradient, ((0, 0), *ends, (0, 0)))

  def add(total, band):
    image, row = band // (h // rows), band % (h // rows) * rows
    size = (1, rows + high - 1, w + wide - 1, m)
    part = lax.dynamic_slice(gradient, (image, row, 0, 0), size)[0]
    taps = [
      part[high - 1 - i :][:rows, wide - 1 - j :][:, :w]
      for i in range(high)
      for j in range(wide)
    ]
    unfolded = jnp.concatenate(taps, -1).reshape(rows * w, -1)
    there = lax.dynamic_slice(x, (image, row, 0, 0), (1, rows, w, c))
    return total + _product(there.reshape(rows * w, c), unfolded), None

  total = jnp.zeros((c, high * wide * m), jnp.float32)
  total, _ = lax.scan(add, total, jnp.arange(b * (h // rows)))
  total = total.reshape(c, high, wide, m).transpose(1, 2, 0, 3)
  return total.astype(x.dtype)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns a^T b, summed in float32."""
  return lax.dot_general(
    a, b, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32
  )


def _band_rows(h: int, w: int) -> int:
  """Returns the most rows that divide h and have few enough pixels."""
  fitting = (r for r in range(1, h + 1) if h % r == 0 and r * w <= BAND_PIXELS)
  return max(fitting, default=1)
