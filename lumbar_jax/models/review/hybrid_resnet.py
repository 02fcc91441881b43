"""The convolutional part of R50+ViT-B_16: ResNet "v2" of three stages.

As in github.com/Beckschen/TransUNet: weight-standardised convolutions and
group normalisation, which after all stands behind each convolution (v1).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import scaled
from lumbar_jax.models.review.resizing import max_pool

STAGES = (3, 4, 9)
GROUPS = 32


class StandardisedConv(nn.Module):
  """Convolution without bias; each output's weights have mean 0, variance 1."""

  features: int
  style: LayerStyle
  kernel: int = 1
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.he_normal(), shape)
    mean = kernel.mean((0, 1, 2), keepdims=True)
    variance = kernel.var((0, 1, 2), keepdims=True)
    kernel = (kernel - mean) * jax.lax.rsqrt(variance + 1e-5)
    edge, dtype = self.kernel // 2, self.style.dtype
    return jax.lax.conv_general_dilated(
      x.astype(dtype),
      kernel.astype(dtype),
      (self.stride, self.stride),
      ((edge, edge), (edge, edge)),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def group_norm(channels: int, style: LayerStyle, *, name: str) -> nn.GroupNorm:
  """Returns a normalisation of 32 groups (fewer where they do not divide)."""
  return nn.GroupNorm(
    math.gcd(GROUPS, channels), epsilon=1e-6, dtype=style.dtype, name=name
  )


class GroupNormBottleneck(nn.Module):
  """1 x 1, 3 x 3 and 1 x 1 convolution and a shortcut.

  Attributes:
    features: channels of the output, four times the inner ones.
    style: what all layers share.
    stride: of the 3 x 3 convolution.
  """

  features: int
  style: LayerStyle
  stride: int = 1

  def _shortcut(self, x: jax.Array) -> jax.Array:
    """The convolved input, each channel normalised by itself."""
    features, style = self.features, self.style
    if self.stride == 1 and x.shape[-1] == features:
      return x
    project = StandardisedConv(
      features, style, 1, self.stride, name="downsample"
    )
    norm = nn.GroupNorm(
      features, epsilon=1e-5, dtype=style.dtype, name="gn_proj"
    )
    return norm(project(x))

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    inner, style = self.features // 4, self.style
    y = StandardisedConv(inner, style, name="conv1")(x)
    y = nn.relu(group_norm(inner, style, name="gn1")(y))
    y = StandardisedConv(inner, style, 3, self.stride, name="conv2")(y)
    y = nn.relu(group_norm(inner, style, name="gn2")(y))
    y = StandardisedConv(self.features, style, name="conv3")(y)
    y = group_norm(self.features, style, name="gn3")(y)
    return nn.relu(y + self._shortcut(x))


class HybridResNet(nn.Module):
  """Three stages of 3, 4 and 9 bottlenecks.

  Attributes:
    width: 64 in the published network.
    style: what all layers share.
    remat: recompute each block in the backward pass instead of keeping it.
  """

  width: int
  style: LayerStyle
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
    """Returns maps at 1/2, 1/4, 1/8, 1/16 of the size of x [b 16h 16w c]."""
    size, width = x.shape[1:3], scaled(64, self.width, 4)
    x = StandardisedConv(width, self.style, 7, 2, name="root")(x)
    maps = [nn.relu(group_norm(width, self.style, name="root_gn")(x))]
    x = max_pool(maps[0], 3, 2)  # one row and column short
    block = nn.remat(GroupNormBottleneck) if self.remat else GroupNormBottleneck
    for i, depth in enumerate(STAGES):
      for unit in range(depth):
        stride = 2 if i and not unit else 1
        name = f"block{i + 1}_unit{unit + 1}"
        x = block(width * 4 * 2**i, self.style, stride, name=name)(x)
      maps.append(_pad_to(x, [s // 2 ** (i + 2) for s in size]))
    return tuple(maps)


def _pad_to(x: jax.Array, size: list[int]) -> jax.Array:
  """Adds rows and columns of zeros behind the last ones."""
  rows, columns = (
    new - old for old, new in zip(x.shape[1:3], size, strict=True)
  )
  return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))
