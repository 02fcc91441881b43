"""DenseNet169 as a backbone (Huang et al. 2017), in DenseASPP's version."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import conv, scaled
from lumbar_jax.models.review.resizing import avg_pool, max_pool

DEPTHS = (6, 12, 32, 32)
GROWTH, BOTTLENECK, STEM = 32, 4, 64


class DenseLayer(nn.Module):
  """Normalised, 1 x 1 and 3 x 3 convolution: `growth` channels more."""

  growth: int
  style: LayerStyle
  dilation: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    style = self.style
    x = nn.relu(batch_norm(style, train, name="norm1")(x))
    x = conv(BOTTLENECK * self.growth, 1, style, bias=False, name="conv1")(x)
    x = nn.relu(batch_norm(style, train, name="norm2")(x))
    return conv(
      self.growth, 3, style, dilation=self.dilation, bias=False, name="conv2"
    )(x)


class DenseBlock(nn.Module):
  """Layers that each see the block's input and all earlier outputs."""

  depth: int
  growth: int
  style: LayerStyle
  dilation: int
  remat: bool

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    layer = DenseLayer
    if self.remat:
      layer = nn.remat(layer, static_argnums=(2,))
    for i in range(1, self.depth + 1):
      y = layer(self.growth, self.style, self.dilation, name=f"denselayer{i}")(
        x, train
      )
      x = jnp.concatenate([x, y], axis=-1)
    return x


class Transition(nn.Module):
  """Normalised, 1 x 1 convolution to half the channels; averages 2 x 2."""

  style: LayerStyle
  pool: bool

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features = x.shape[-1] // 2
    x = nn.relu(batch_norm(self.style, train, name="norm")(x))
    x = conv(features, 1, self.style, bias=False, name="conv")(x)
    return avg_pool(x, 2, 2) if self.pool else x


class DenseNet(nn.Module):
  """DenseNet169 with a fourth transition and without its classifier.

  Attributes:
    width: 64 in the published network, whose growth is 32.
    style: what all layers share.
    pools: whether each of the four transitions halves the resolution.
    dilations: of the four dense blocks.
    remat: recompute each layer in the backward pass instead of keeping it.
  """

  width: int
  style: LayerStyle
  pools: tuple[bool, bool, bool, bool]
  dilations: tuple[int, int, int, int]
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns normalised maps, 832 channels at width 64, of [b h w c]."""
    style, growth = self.style, scaled(GROWTH, self.width)
    stem = scaled(STEM, self.width)
    x = conv(stem, 7, style, stride=2, bias=False, name="conv0")(x)
    x = nn.relu(batch_norm(style, train, name="norm0")(x))
    x = max_pool(x, 3, 2, 1)
    for i, depth in enumerate(DEPTHS):
      x = DenseBlock(
        depth,
        growth,
        style,
        self.dilations[i],
        self.remat,
        name=f"denseblock{i + 1}",
      )(x, train)
      x = Transition(style, self.pools[i], name=f"transition{i + 1}")(x, train)
    return batch_norm(style, train, name="norm5")(x)
