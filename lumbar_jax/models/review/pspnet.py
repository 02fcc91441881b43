"""PSPNet as paper 002 measured it: Lextal's code, on a ResNet34.

The paper says ResNet101, but its Table 3 has the numbers of this one. For what
PSPNet's authors published see `semseg.py`.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import (
  PReLU,
  conv,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import crop_as, pad_to_multiple
from lumbar_jax.models.review.resizing import (
  adaptive_avg_pool,
  enlarge,
  global_max_pool,
  resize,
)
from lumbar_jax.models.review.resnet import DEPTHS, LEXTAL_8, ResNet
from lumbar_jax.models.unet import Outputs

BINS = (1, 2, 3, 6)
UP_FEATURES = (256, 64, 64)


class PyramidPooling(nn.Module):
  """Averages in 1 to 6 squared bins, joined with the map and mixed."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    size, channels = x.shape[1:3], x.shape[-1]
    maps = []
    for bins in BINS:
      y = adaptive_avg_pool(x, bins)
      y = conv(channels, 1, self.style, bias=False, name=f"stage_{bins}")(y)
      maps.append(resize(y, size, align_corners=False))
    x = join_channels([*maps, x])
    return nn.relu(conv(self.features, 1, self.style, name="bottleneck")(x))


class Up(nn.Module):
  """Twice the size, 3 x 3 convolution, normalisation, PReLU of one slope."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = enlarge(x, 2, align_corners=False)
    x = conv(self.features, 3, self.style, name="conv")(x)
    x = batch_norm(self.style, train, name="norm")(x)
    return PReLU(shared=True, name="act")(x)


class ImageClasses(nn.Module):
  """Scores of which classes an image has."""

  features: int
  num_classes: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = global_max_pool(x).astype(jnp.float32)
    x = nn.relu(nn.Dense(self.features, name="hidden")(x))
    return nn.Dense(self.num_classes, name="score")(x)


class PSPNet(Network):
  """Pyramid scene parsing network (Zhao et al. 2017), Lextal's version.

  `Outputs.auxiliary["classes"]` [b k] scores which classes an image has.
  Images are padded to multiples of 8.

  Attributes:
    dropout: rates of maps after the pyramid, and after each doubling.
    depth: of the ResNet: 34, 50 or 101.
  """

  dropout: tuple[float, float] = (0.3, 0.15)
  depth: int = 34

  choices: ClassVar = {"depth": tuple(DEPTHS)}
  auxiliary_losses: ClassVar = {"classes": AuxiliaryLoss("presence")}

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style = self.style
    x = pad_to_multiple(images.astype(style.dtype), 8)
    _, _, middle, x = ResNet(
      self.depth,
      self.width,
      style,
      LEXTAL_8,
      remat=self.remat,
      name="backbone",
    )(x, train)
    x = PyramidPooling(scaled(1024, self.width), style, name="pyramid")(x)
    x = dropout_maps(self.dropout[0], x, train)
    for i, features in enumerate(UP_FEATURES, start=1):
      features = scaled(features, self.width)
      x = Up(features, style, name=f"double_{i}")(x, train)
      x = dropout_maps(self.dropout[1], x, train)
    logits = score(self.num_classes, style, name="classify")(x)
    classes = ImageClasses(
      scaled(256, self.width), self.num_classes, name="classify_image"
    )(middle)
    return Outputs(crop_as(logits, images), auxiliary={"classes": classes})
