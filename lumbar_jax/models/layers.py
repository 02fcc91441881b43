"""Layers with Keras' constants, in the form that XLA runs fastest.

Max-pooling and the strided transposed convolution are exact rewrites: the same
numbers to float32 rounding as `flax.linen.max_pool` and
`flax.linen.ConvTranspose` (the tests hold them to it), but the plain forms'
gradients are 4 to 50 times slower on XLA's CPU backend. Jitted, each is one
equation of a traced network, by whose name `operations.py` knows it.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.choices import check_bool, check_choice, check_number
from lumbar_jax.models.convolution import conv_general_dilated

ACTIVATIONS = ("relu", "prelu")
DTYPES = ("float32", "bfloat16", "float16", "float64")
NHWC = ("NHWC", "HWIO", "NHWC")


@dataclasses.dataclass(frozen=True)
class LayerStyle:
  """What all layers of a network share.

  Attributes:
    activation: "relu" or "prelu", of every hidden convolution (paper 000,
      Table 3, column Act-Conv).
    batchnorm_momentum: share of the old running statistics kept per step.
    batchnorm_epsilon: Keras' 1e-3.
    prelu_per_pixel: one PReLU slope for each position and channel (Keras'
      default) instead of one for each channel; fixes the input size.
    dtype: what convolutions compute in; parameters stay float32.
  """

  activation: str = "relu"
  batchnorm_momentum: float = 0.99
  batchnorm_epsilon: float = 1e-3
  prelu_per_pixel: bool = False
  dtype: Any = jnp.float32

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them has a value that it cannot have.
    """
    check_choice("activation", self.activation, ACTIVATIONS)
    # With 1 the statistics would stay as they were initialised.
    check_number(
      "batchnorm_momentum", self.batchnorm_momentum, 0, 1, below=True
    )
    check_number("batchnorm_epsilon", self.batchnorm_epsilon, 0, above=True)
    check_bool("prelu_per_pixel", self.prelu_per_pixel)
    check_choice("dtype", _dtype_name(self.dtype), DTYPES)


def _dtype_name(dtype: Any) -> Any:
  if dtype is None:  # NumPy's default, which nobody asked for
    return None
  try:
    return jnp.dtype(dtype).name
  except TypeError:
    return dtype


def conv(
  features: int, kernel: int, style: LayerStyle, *, name: str | None = None
) -> nn.Conv:
  """Returns a k x k convolution with bias, "same" padding, He's init."""
  return nn.Conv(
    features,
    (kernel, kernel),
    dtype=style.dtype,
    kernel_init=nn.initializers.he_normal(),
    conv_general_dilated=conv_general_dilated,
    name=name,
  )


def batch_norm(style: LayerStyle, train: bool, *, name=None) -> nn.BatchNorm:
  """Returns a batch normalisation with Keras' epsilon."""
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=style.batchnorm_momentum,
    epsilon=style.batchnorm_epsilon,
    dtype=style.dtype,
    name=name,
  )


class Activation(nn.Module):
  """ReLU, or PReLU with a learnt slope for each channel (Keras: from 0)."""

  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.style.activation == "relu":
      return nn.relu(x)
    shape = x.shape[1:] if self.style.prelu_per_pixel else x.shape[-1:]
    alpha = self.param("alpha", nn.initializers.zeros_init(), shape)
    alpha = alpha.astype(x.dtype).reshape((1,) * (x.ndim - len(shape)) + shape)
    return jnp.where(x >= 0, x, alpha * x)


def _first_max(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the maximum; where equal, the gradient goes to `a`."""
  return jnp.where(a >= b, a, b)


@jax.jit
def max_pool(x: jax.Array) -> jax.Array:
  """Max-pools 2 x 2 windows with stride 2.

  The gradient goes to the first maximum of a window in row-major order.

  Args:
    x: [b h w c] with even h and w.

  Returns:
    [b h/2 w/2 c].
  """
  b, h, w, c = x.shape
  x = x.reshape(b, h // 2, 2, w // 2, 2, c)
  upper = _first_max(x[:, :, 0, :, 0], x[:, :, 0, :, 1])
  lower = _first_max(x[:, :, 1, :, 0], x[:, :, 1, :, 1])
  return _first_max(upper, lower)


@jax.jit
def upsample(x: jax.Array) -> jax.Array:
  """Doubles rows and columns by repetition (Keras' UpSampling2D default)."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
  return x.reshape(b, 2 * h, 2 * w, c)


def _interleave(phases: list[list[jax.Array]]) -> jax.Array:
  """Joins 2 x 2 images of even/odd rows and columns into one."""
  x = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
  b, h, _, w, _, c = x.shape
  return x.reshape(b, 2 * h, 2 * w, c)


@jax.jit
def transposed_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Transposed convolution with stride 2, cropped to twice the input.

  Alignment of Keras' Conv2DTranspose(k, 2, "same"): y[2p + j] += x[p] w[j] for
  k = 2 and 3. Each of the four output phases (even/odd rows and columns) is a
  small convolution of the input, so no zeros are multiplied.

  Args:
    x: [b h w c].
    kernel: [k k c m], spatially flipped against Keras as in
      `flax.linen.ConvTranspose`.

  Returns:
    [b 2h 2w m].
  """
  size = kernel.shape[0]
  w = kernel[::-1, ::-1]
  # Even outputs see taps 0 and (k=3) 2 of x[p] and x[p-1], odd ones tap 1.
  even = slice(2, None, -2) if size == 3 else slice(0, 1)
  taps = (even, slice(1, 2))
  pads = ((size - 2, 0), (0, 0))
  phases = [
    [
      conv_general_dilated(
        x,
        w[taps[i], taps[j]],
        (1, 1),
        (pads[i], pads[j]),
        dimension_numbers=NHWC,
      )
      for j in (0, 1)
    ]
    for i in (0, 1)
  ]
  return _interleave(phases)


class TransposedConv(nn.Module):
  """3 x 3 (or 2 x 2) transposed convolution, stride 2, with bias.

  Parameters as in `flax.linen.ConvTranspose`; Keras' initialisation (Glorot
  uniform, zero bias).
  """

  features: int
  style: LayerStyle
  kernel: int = 3

  transposed = True  # its kernel, see fingerprints.py

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
    bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
    dtype = self.style.dtype
    y = transposed_conv(x.astype(dtype), kernel.astype(dtype))
    return y + bias.astype(dtype)[None, None, None]
