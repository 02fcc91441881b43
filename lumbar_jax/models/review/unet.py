"""U-Net as paper 002 measured it: github.com/milesial/Pytorch-UNet, 2dceff8.

Table 3 of the paper (13 M parameters, 366.85 G) is that implementation's as of
December 2019: bilinear upsampling and a bottleneck of 512 channels, not 1024.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import ConvNormAct, scaled, score
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import check_minimum
from lumbar_jax.models.review.resizing import enlarge, max_pool
from lumbar_jax.models.unet import Outputs

ENCODER = (64, 128, 256, 512, 512)
DECODER = (64, 64, 128, 256)


class DoubleConv(nn.Module):
  """Two times 3 x 3 convolution, batch normalisation, ReLU."""

  features: int
  style: LayerStyle
  bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    for name in ("conv_1", "conv_2"):
      block = ConvNormAct(self.features, self.style, bias=self.bias, name=name)
      x = block(x, train)
    return x


def pad_as(x: jax.Array, skip: jax.Array) -> jax.Array:
  """Surrounds x with zeros up to the size of skip, more after it than before.

  Poolings of odd sizes leave x one or two pixels smaller.
  """
  widths = [(0, 0)]
  for size, target in zip(x.shape[1:3], skip.shape[1:3], strict=True):
    more = target - size
    widths.append((more // 2, more - more // 2))
  return jnp.pad(x, (*widths, (0, 0)))


class BilinearUNet(Network):
  """U-Net of five levels with bilinear upsampling; any size from 16 x 16.

  Attributes:
    dropout: it has none.
  """

  dropout: tuple[float, ...] = ()

  def _block(self, channels: int, name: str) -> nn.Module:
    block = self._maybe_remat(DoubleConv)
    return block(scaled(channels, self.width), self.style, name=name)

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c].

    Raises:
      InputError: h or w is below 16.
    """
    check_minimum(images, 2 ** (len(ENCODER) - 1))
    x, skips = images.astype(self.style.dtype), []
    for level, channels in enumerate(ENCODER, start=1):
      x = max_pool(x, 2, 2) if skips else x
      x = self._block(channels, f"encoder_{level}")(x, train)
      skips.append(x)
    for level in range(len(DECODER), 0, -1):
      skip = skips[level - 1]
      x = pad_as(enlarge(x, 2, align_corners=True), skip)
      x = join_channels([skip, x])
      x = self._block(DECODER[level - 1], f"decoder_{level}")(x, train)
    return Outputs(score(self.num_classes, self.style, name="classify")(x), x)
