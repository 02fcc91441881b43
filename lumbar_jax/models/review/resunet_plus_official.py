"""ResUNet++ as its authors publish it: github.com/DebeshJha/ResUNetPlusPlus.

Jha et al. 2019, after their own code: squeeze and excitation at the end of
each block, 1 x 1 shortcuts, four summed branches in the pyramid, a weight for
each channel in the attention, nearest upsampling.
"""

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, upsample
from lumbar_jax.models.review.layers import (
  ConvNorm,
  conv,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import crop_as, pad_to_multiple
from lumbar_jax.models.review.resunet_plus import (
  DecoderAttention,
  PreActResidual,
  SqueezeExcite,
  norm_relu_conv,
)
from lumbar_jax.models.unet import Outputs

FILTERS = (16, 32, 64, 128, 256)
RATES = (1, 6, 12, 18)
SQUEEZE = 8


class SqueezedStem(nn.Module):
  """The first residual block, with squeeze and excitation."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features, style = self.features, self.style
    y = conv(features, 3, style, name="conv_1")(x)
    y = norm_relu_conv(y, features, style, train, "2")
    shortcut = ConvNorm(features, style, 1, bias=True, name="shortcut")
    y = y + shortcut(x, train)
    return SqueezeExcite(style, SQUEEZE, name="squeeze")(y)


class SqueezedResidual(nn.Module):
  """`PreActResidual` with a 1 x 1 shortcut, squeeze and excitation."""

  features: int
  style: LayerStyle
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    residual = PreActResidual(
      self.features, self.style, self.stride, kernel=1, name="residual"
    )
    squeeze = SqueezeExcite(self.style, SQUEEZE, name="squeeze")
    return squeeze(residual(x, train))


class SummedASPP(nn.Module):
  """Dilated convolutions and their normalisations, summed, without ReLU."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    def branch(rate):
      options = {"dilation": rate, "bias": True, "name": f"rate_{rate}"}
      return ConvNorm(self.features, self.style, **options)(x, train)

    total = sum(branch(rate) for rate in RATES)
    return conv(self.features, 1, self.style, name="fuse")(total)


class OfficialResUNetPlus(Network):
  """ResUNet++ of four levels; any size.

  Sizes that are no multiple of 8 are padded by repeating the last row and
  column, and cropped back.

  Attributes:
    dropout: it has none.
  """

  dropout: tuple[float, ...] = ()

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, widths = self.style, [scaled(c, self.width) for c in FILTERS]
    stem, block, aspp = map(
      self._maybe_remat, (SqueezedStem, SqueezedResidual, SummedASPP)
    )
    x = pad_to_multiple(images, 2 ** (len(FILTERS) - 2)).astype(style.dtype)
    maps = [stem(widths[0], style, name="encoder_1")(x, train)]
    for level in range(2, len(FILTERS)):
      layer = block(widths[level - 1], style, 2, name=f"encoder_{level}")
      maps.append(layer(maps[-1], train))
    x = aspp(widths[-1], style, name="bridge")(maps[-1], train)
    for level in range(len(maps) - 1, 0, -1):
      skip = maps[level - 1]
      gate = DecoderAttention(style, 3, None, name=f"gate_{level}")
      x = upsample(gate(skip, x, train))
      x = join_channels([x, skip])
      x = block(widths[level], style, name=f"decoder_{level}")(x, train)
    x = crop_as(aspp(widths[0], style, name="pyramid")(x, train), images)
    return Outputs(score(self.num_classes, style, name="classify")(x), x)
