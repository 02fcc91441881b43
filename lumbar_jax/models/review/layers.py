"""Layers with PyTorch's constants and paddings, which all of paper 002 share.

Parameters bear the names of `lumbar_jax.models.layers`: kernel, bias, scale,
alpha. Convolutions start from He's normal distribution, whatever each public
implementation drew from: paper 002 says nothing of it. Maps are [b h w c].
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.convolution import conv_general_dilated
from lumbar_jax.models.layers import LayerStyle, batch_norm

# BatchNorm2d's constants; PyTorch's momentum .1 is the share of the new value.
TORCH = LayerStyle(batchnorm_momentum=0.9, batchnorm_epsilon=1e-5)


def scaled(channels: int, width: int, multiple: int = 1) -> int:
  """Returns a published number of channels for a network of another width.

  Args:
    channels: of the published network, whose width is 64.
    width: of this one.
    multiple: of which the result has to be one (heads, groups, splits).
  """
  return max(channels * width // 64 // multiple, 1) * multiple


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
  """Returns (rows, columns) of one number or two."""
  return (value, value) if isinstance(value, int) else tuple(value)


def conv(
  features: int,
  kernel: int | tuple[int, int],
  style: LayerStyle,
  *,
  stride: int = 1,
  dilation: int = 1,
  groups: int = 1,
  bias: bool = True,
  name: str | None = None,
) -> nn.Conv:
  """Returns a convolution with PyTorch's symmetric padding.

  There are dilation * (kernel - 1) / 2 zeros on either side, so that stride 1
  keeps the size and stride s gives ceil(size / s).

  Args:
    features: channels of the output.
    kernel: rows and columns, one number if equal; odd.
    style: the network's.
    stride: of rows and columns.
    dilation: of rows and columns.
    groups: into which the channels are split; as many as there are input
      channels in a depthwise convolution.
    bias: whether there is one.
    name: of the module.
  """
  kernel = pair(kernel)
  padding = [dilation * (size - 1) // 2 for size in kernel]
  return nn.Conv(
    features,
    kernel,
    strides=stride,
    padding=[(p, p) for p in padding],
    kernel_dilation=dilation,
    feature_group_count=groups,
    use_bias=bias,
    dtype=style.dtype,
    kernel_init=nn.initializers.he_normal(),
    conv_general_dilated=conv_general_dilated,
    name=name,
  )


def score(
  num_classes: int, style: LayerStyle, *, kernel: int = 1, name: str
) -> nn.Conv:
  """Returns the convolution with bias that gives scores, in float32.

  Scores, and the sums in their bias' gradient, want full precision.
  """
  precise = dataclasses.replace(style, dtype=jnp.float32)
  return conv(num_classes, kernel, precise, name=name)


class PReLU(nn.Module):
  """x where it is positive, else alpha x; alpha is learnt, from .25.

  Attributes:
    shared: one alpha for all channels (PyTorch's default), not one for each.
  """

  shared: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (1,) if self.shared else x.shape[-1:]
    alpha = self.param("alpha", nn.initializers.constant(0.25), shape)
    alpha = alpha.astype(x.dtype).reshape((1,) * (x.ndim - 1) + shape)
    return jnp.where(x >= 0, x, alpha * x)


class ConvNorm(nn.Module):
  """Convolution, by default without bias, and batch normalisation."""

  features: int
  style: LayerStyle
  kernel: int | tuple[int, int] = 3
  stride: int = 1
  dilation: int = 1
  groups: int = 1
  bias: bool = False

  def _conv_norm(self, x: jax.Array, train: bool) -> jax.Array:
    x = conv(
      self.features,
      self.kernel,
      self.style,
      stride=self.stride,
      dilation=self.dilation,
      groups=self.groups,
      bias=self.bias,
      name="conv",
    )(x)
    return batch_norm(self.style, train, name="norm")(x)

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return self._conv_norm(x, train)


class ConvNormAct(ConvNorm):
  """Convolution, by default without bias, batch normalisation, ReLU."""

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return nn.relu(self._conv_norm(x, train))


def dropout(rate: float, x: jax.Array, train: bool) -> jax.Array:
  """Drops values, if the rate is not 0 and `train`."""
  return nn.Dropout(rate, deterministic=not train)(x) if rate else x


def dropout_maps(rate: float, x: jax.Array, train: bool) -> jax.Array:
  """Drops whole feature maps (Dropout2d), if the rate is not 0 and `train`."""
  if not rate:
    return x
  drop = nn.Dropout(rate, broadcast_dims=(1, 2), deterministic=not train)
  return drop(x)
