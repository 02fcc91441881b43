"""DenseASPP (Yang et al. 2018) on a DenseNet169: its authors' version."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.densenet import DenseNet
from lumbar_jax.models.review.layers import (
  conv,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.resizing import enlarge, resize
from lumbar_jax.models.unet import Outputs

RATES = (3, 6, 12, 18, 24)
INNER, FEATURES = 336, 168

# Output stride -> what DenseNet pools and dilates.
STRIDES = {
  16: {"pools": (True, True, False, False), "dilations": (1, 1, 1, 2)},
  8: {"pools": (True, False, False, False), "dilations": (1, 1, 2, 4)},
}


class DenseBranch(nn.Module):
  """A dilated convolution of everything before it.

  Attributes:
    inner: channels of the 1 x 1 convolution.
    features: channels of the 3 x 3 convolution.
    rate: its dilation.
    norm: normalise and rectify the input first.
    style: what all layers share.
  """

  inner: int
  features: int
  rate: int
  norm: bool
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    if self.norm:
      x = nn.relu(batch_norm(self.style, train, name="norm1")(x))
    x = conv(self.inner, 1, self.style, name="conv1")(x)
    x = nn.relu(batch_norm(self.style, train, name="norm2")(x))
    return conv(self.features, 3, self.style, dilation=self.rate, name="conv2")(
      x
    )


class DenseASPP(Network):
  """Densely connected atrous spatial pyramid pooling on a DenseNet169.

  Attributes:
    dropout: rates of maps after each branch and before the classification.
    output_stride: 16, as paper 002 measured it, or 8, the authors' own.
    pyramid_momentum: BatchNorm's in the pyramid; .9997 in the public code.
      None is the style's.
  """

  dropout: tuple[float, float] = (0.1, 0.1)
  output_stride: int = 16
  pyramid_momentum: float | None = None

  choices: ClassVar = {"output_stride": tuple(STRIDES)}

  def _pyramid(self, x: jax.Array, train: bool) -> jax.Array:
    style = self.style
    if self.pyramid_momentum is not None:
      style = dataclasses.replace(
        style, batchnorm_momentum=self.pyramid_momentum
      )
    # The public code's first branch rectifies in place: all see that.
    x = nn.relu(x)
    for rate in RATES:
      y = DenseBranch(
        scaled(INNER, self.width),
        scaled(FEATURES, self.width),
        rate,
        rate != RATES[0],
        style,
        name=f"rate_{rate}",
      )(x, train)
      y = dropout_maps(self.dropout[0], y, train)
      x = join_channels([y, x])
    return x

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    x = DenseNet(
      self.width,
      self.style,
      **STRIDES[self.output_stride],
      remat=self.remat,
      name="backbone",
    )(images.astype(self.style.dtype), train)
    if self.output_stride == 16:
      x = enlarge(x, 2, align_corners=False)
    x = dropout_maps(self.dropout[1], self._pyramid(x, train), train)
    x = score(self.num_classes, self.style, name="classify")(x)
    return Outputs(resize(x, images.shape[1:3], align_corners=False))
