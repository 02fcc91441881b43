"""DeepLabv3+ (Chen et al. 2018) on a ResNet101: jfzhang95's version."""

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import (
  ConvNormAct,
  dropout,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.resizing import global_avg_pool, resize
from lumbar_jax.models.review.resnet import JFZHANG_16, ResNet
from lumbar_jax.models.unet import Outputs

RATES = (6, 12, 18)


class SpatialPyramid(nn.Module):
  """Parallel dilated convolutions and the mean of all (ASPP)."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    size, features, style = x.shape[1:3], self.features, self.style
    maps = [ConvNormAct(features, style, 1, name="point")(x, train)]
    for rate in RATES:
      branch = ConvNormAct(features, style, dilation=rate, name=f"rate_{rate}")
      maps.append(branch(x, train))
    mean = global_avg_pool(x)
    mean = ConvNormAct(features, style, 1, name="image")(mean, train)
    maps.append(resize(mean, size, align_corners=True))
    x = join_channels(maps)
    return ConvNormAct(features, style, 1, name="mix")(x, train)


class DeepLab(Network):
  """DeepLabv3+ with output stride 16.

  Attributes:
    dropout: rates after the spatial pyramid and after each convolution of the
      decoder.
  """

  dropout: tuple[float, float, float] = (0.5, 0.5, 0.1)

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, features = self.style, scaled(256, self.width)
    low, _, _, x = ResNet(
      101, self.width, style, JFZHANG_16, remat=self.remat, name="backbone"
    )(images.astype(style.dtype), train)
    x = SpatialPyramid(features, style, name="pyramid")(x, train)
    x = dropout(self.dropout[0], x, train)
    low = ConvNormAct(scaled(48, self.width), style, 1, name="low")(low, train)
    x = resize(x, low.shape[1:3], align_corners=True)
    x = join_channels([x, low])
    for i in (1, 2):
      x = ConvNormAct(features, style, name=f"decoder_{i}")(x, train)
      x = dropout(self.dropout[i], x, train)
    x = score(self.num_classes, style, name="classify")(x)
    return Outputs(resize(x, images.shape[1:3], align_corners=True))
