"""Attention U-Net as paper 002 measured it.

github.com/LeeJunHyun/Image_Segmentation, AttU_Net, a 2-D reading of Oktay et
al. 2018; their own 3-D gates have strided convolutions and upsampled weights.
"""

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, upsample
from lumbar_jax.models.review.layers import (
  ConvNorm,
  ConvNormAct,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import crop_as, pad_to_multiple
from lumbar_jax.models.review.resizing import max_pool
from lumbar_jax.models.review.unet import DoubleConv
from lumbar_jax.models.unet import Outputs

LEVELS = (64, 128, 256, 512, 1024)
_MULTIPLE = 2 ** (len(LEVELS) - 1)


class NormedGate(nn.Module):
  """Weighs a skip connection by where the decoder looks.

  sigmoid(BN(conv1(relu(BN(conv1(gate)) + BN(conv1(skip)))))) multiplies the
  skip; all convolutions are 1 x 1 with bias.

  Attributes:
    features: inner channels.
    style: what all layers share.
  """

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(
    self, gate: jax.Array, skip: jax.Array, train: bool
  ) -> jax.Array:
    def project(features, name):
      return ConvNorm(features, self.style, kernel=1, bias=True, name=name)

    x = project(self.features, "gate")(gate, train)
    x = nn.relu(x + project(self.features, "skip")(skip, train))
    return nn.sigmoid(project(1, "weight")(x, train)) * skip


class AttentionUNet(Network):
  """U-Net of five levels with attention gates; any size.

  Sizes that are no multiple of 16 are padded by repeating the last row and
  column, and cropped back.

  Attributes:
    dropout: it has none.
  """

  dropout: tuple[float, ...] = ()

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    x = pad_to_multiple(images, _MULTIPLE).astype(self.style.dtype)
    block, style, skips = self._maybe_remat(DoubleConv), self.style, []
    widths = [scaled(channels, self.width) for channels in LEVELS]
    for level, width in enumerate(widths, start=1):
      x = max_pool(x, 2, 2) if skips else x
      x = block(width, style, name=f"encoder_{level}")(x, train)
      skips.append(x)
    for level in range(len(LEVELS) - 1, 0, -1):
      width = widths[level - 1]
      up = ConvNormAct(width, style, bias=True, name=f"up_{level}")
      x = up(upsample(x), train)
      gate = NormedGate(max(width // 2, 1), style, name=f"gate_{level}")
      skip = gate(x, skips[level - 1], train)
      x = join_channels([skip, x])
      x = block(width, style, name=f"decoder_{level}")(x, train)
    x = crop_as(x, images)
    return Outputs(score(self.num_classes, self.style, name="classify")(x), x)
