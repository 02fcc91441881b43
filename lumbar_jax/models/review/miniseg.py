"""MiniSeg as published and measured: github.com/yun-liu/MiniSeg.

Qiu et al. 2021, "MiniSeg: an extremely minimum network for efficient COVID-19
segmentation", with one input channel.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import (
  ConvNorm,
  PReLU,
  conv,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.resizing import avg_pool, resize
from lumbar_jax.models.unet import Outputs

CHANNELS = (8, 24, 32, 64)
LAYERS = (2, 3, 8, 6)
RATES = (1, 2, 4, 8)


class ConvBlock(nn.Module):
  """3 x 3 convolution, batch normalisation, PReLU."""

  features: int
  style: LayerStyle
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    layer = ConvNorm(self.features, self.style, 3, self.stride, name="conv")
    return PReLU(name="act")(layer(x, train))


class LongPath(nn.Module):
  """1 x 1 and depthwise 5 x 5 convolution, batch normalisation, PReLU."""

  features: int
  style: LayerStyle
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = conv(self.features, 1, self.style, bias=False, name="reduce")(x)
    layer = ConvNorm(
      self.features,
      self.style,
      5,
      self.stride,
      groups=self.features,
      name="depthwise",
    )
    return PReLU(name="act")(layer(x, train))


def dilated_depthwise(
  x: jax.Array, style: LayerStyle, rate: int, stride: int = 1
) -> jax.Array:
  """Depthwise 3 x 3 convolution without bias, `rate_R`."""
  channels = x.shape[-1]
  layer = conv(
    channels,
    3,
    style,
    stride=stride,
    dilation=rate,
    groups=channels,
    bias=False,
    name=f"rate_{rate}",
  )
  return layer(x)


class AttentivePyramid(nn.Module):
  """Attentive hierarchical spatial pyramid (AHSP).

  Depthwise convolutions of four dilations are summed from the narrowest to the
  widest, each sum weighed by 1 + its attention.
  """

  features: int
  style: LayerStyle
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features, style, groups = self.features, self.style, len(RATES)
    x = conv(features // groups, 1, style, bias=False, name="reduce")(x)
    total, scales = avg_pool(x, 3, self.stride, 1), []
    for rate in RATES:
      total = total + dilated_depthwise(x, style, rate, self.stride)
      scales.append(total)
    attend = conv(groups, 1, style, groups=groups, bias=False, name="attention")
    weight = 1 + nn.sigmoid(attend(join_channels(scales)))
    weighed = [s * weight[..., i, None] for i, s in enumerate(scales)]
    fuse = ConvNorm(features, style, 1, groups=groups, name="fuse")
    x = fuse(join_channels(weighed), train)
    return PReLU(name="act")(x)


class Level(nn.Module):
  """A level's out path and long path, at half its input's resolution.

  Attributes:
    block: of the out path.
    features: channels of both paths.
    num_layers: blocks after the first; the long path has half as many.
    style: what all layers share.
  """

  block: type[nn.Module]
  features: int
  num_layers: int
  style: LayerStyle

  @nn.compact
  def __call__(
    self, out: jax.Array, long: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns both paths' maps [b h/2 w/2 c] of maps [b h w c]."""
    options = (self.features, self.style)
    long = LongPath(*options, 2, name="long_0")(long, train)
    out = self.block(*options, 2, name="out_0")(out, train)
    both = out + long
    for i in range(1, self.num_layers + 1):
      out = self.block(*options, name=f"out_{i}")(both, train) + out
      if i <= self.num_layers // 2:
        long = LongPath(*options, name=f"long_{i}")(both, train) + long
      both = out + long
    return out, long


class Exchange(nn.Module):
  """Lets the two paths see each other: 1 x 1 convolution of both."""

  style: LayerStyle

  @nn.compact
  def __call__(
    self, out: jax.Array, long: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    x = join_channels([long, out])
    x = ConvNorm(x.shape[-1], self.style, 1, name="fuse")(x, train)
    for_long, for_out = jnp.split(x, 2, axis=-1)
    return for_out + out, for_long + long


class Merge(nn.Module):
  """Joins a level's map with the decoder's, resized to it (none at first)."""

  style: LayerStyle

  @nn.compact
  def __call__(
    self, encoded: jax.Array, decoded: jax.Array | None, train: bool
  ) -> jax.Array:
    features, style = encoded.shape[-1], self.style
    x = ConvNorm(features, style, 1, bias=True, name="lateral")(encoded, train)
    if decoded is not None:
      y = conv(features, 1, style, bias=False, name="reduce")(decoded)
      y = sum(dilated_depthwise(y, style, rate) for rate in RATES[:2])
      x = x + batch_norm(style, train, name="norm")(y)
    return PReLU(name="act")(x)


class MiniSeg(Network):
  """MiniSeg; any size.

  Attributes:
    dropout: rate of whole maps before each classifier.
    auxiliary_heads: whether levels 2 to 4 have scores too, at the images'
      size: `level_2` ... in `Outputs.auxiliary`, as published. The loss weighs
      each by .4. Paper 002 measured the network without them.
  """

  dropout: tuple[float, ...] = (0.01,)
  auxiliary_heads: bool = False

  @property
  def auxiliary_losses(self) -> dict[str, AuxiliaryLoss]:
    if not self.auxiliary_heads:
      return {}
    loss = AuxiliaryLoss("segmentation", weight=0.4)
    return dict.fromkeys(("level_4", "level_3", "level_2"), loss)

  def _encode(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns the out paths' maps of levels 1 to 4."""
    level = Level
    if self.remat:
      level = nn.remat(Level, static_argnums=(3,))
    out, long, maps = x, x, []
    for i, channels in enumerate(CHANNELS, start=1):
      if maps:
        exchange = Exchange(self.style, name=f"exchange_{i - 1}")
        out, long = exchange(out, long, train)
      block = AttentivePyramid if maps else ConvBlock
      width = scaled(channels, self.width, len(RATES))
      out, long = level(
        block, width, LAYERS[i - 1], self.style, name=f"level_{i}"
      )(out, long, train)
      maps.append(out)
    return maps

  def _classify(self, x: jax.Array, size, name: str, train: bool):
    x = dropout_maps(self.dropout[0], x, train)
    x = score(self.num_classes, self.style, name=name)(x)
    return resize(x, size, align_corners=False)

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    size, x, auxiliary = images.shape[1:3], None, {}
    maps = self._encode(images.astype(self.style.dtype), train)
    for i in range(len(maps), 0, -1):
      x = Merge(self.style, name=f"merge_{i}")(maps[i - 1], x, train)
      if i == 1:
        break
      x = resize(x, maps[i - 2].shape[1:3], align_corners=False)
      if self.auxiliary_heads:
        auxiliary[f"level_{i}"] = self._classify(
          x, size, f"classify_{i}", train
        )
    return Outputs(self._classify(x, size, "classify", train), None, auxiliary)
