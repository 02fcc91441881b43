"""TransUNet R50-ViT-B_16: Chen et al. 2021, github.com/Beckschen/TransUNet."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.hybrid_resnet import HybridResNet
from lumbar_jax.models.review.layers import (
  ConvNormAct,
  conv,
  dropout,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import check_built_size
from lumbar_jax.models.review.resizing import enlarge
from lumbar_jax.models.review.unet import DoubleConv
from lumbar_jax.models.review.vit import NUM_HEADS, PreNormBlock, layer_norm
from lumbar_jax.models.unet import Outputs, check_size

DECODER = (256, 128, 64, 16)
HIDDEN = 768
STRIDE = 16


class PreNormTransformer(nn.Module):
  """Blocks on a map's pixels.

  Attributes:
    hidden: channels of a token and of the output.
    depth: number of blocks.
    style: what all layers share.
    dropout: rate after the embedding and in the blocks' MLPs.
    remat: recompute each block in the backward pass instead of keeping it.
  """

  hidden: int
  depth: int
  style: LayerStyle
  dropout: float
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = conv(self.hidden, 1, self.style, name="embed")(x)
    b, h, w, c = x.shape
    places = self.param("pos_embedding", nn.initializers.zeros, (h * w, c))
    x = x.reshape(b, h * w, c) + places.astype(x.dtype)[None]
    x = dropout(self.dropout, x, train)
    block = PreNormBlock
    if self.remat:
      block = nn.remat(block, static_argnums=(2,))
    for i in range(1, self.depth + 1):
      x = block(self.style, self.dropout, name=f"block_{i}")(x, train)
    x = layer_norm(self.style, 1e-6, name="norm")(x)
    return x.reshape(b, h, w, c)


class OfficialTransUNet(Network):
  """The hybrid ResNet, a transformer at 1/16 of the size, and a decoder.

  Images of one channel are repeated to three, as published.

  Attributes:
    dropout: rate after the embedding and in the blocks' MLPs.
    image_size: rows and columns, a multiple of 16; there is a learnt vector for
      each place.
    depth: transformer blocks.
  """

  dropout: tuple[float, ...] = (0.1,)
  image_size: int = 880
  depth: int = 12

  size_multiple = STRIDE

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c].

    Raises:
      InputError: h or w is not image_size, or that not a multiple of 16.
    """
    check_size(self.image_size, self.image_size, STRIDE)
    check_built_size(images, self.image_size)
    style, remat = self.style, self.remat
    x = images.astype(style.dtype)
    x = jnp.tile(x, (1, 1, 1, 3)) if x.shape[-1] == 1 else x
    maps = list(HybridResNet(self.width, style, remat, name="backbone")(x))
    hidden = scaled(HIDDEN, self.width, NUM_HEADS)
    x = PreNormTransformer(
      hidden, self.depth, style, self.dropout[0], remat, name="transformer"
    )(maps.pop(), train)
    x = ConvNormAct(scaled(512, self.width), style, name="bridge")(x, train)
    block = self._maybe_remat(DoubleConv)
    for i, channels in enumerate(DECODER):
      x = enlarge(x, 2, align_corners=True)
      x = join_channels([x, maps.pop()]) if maps else x
      layer = block(
        scaled(channels, self.width),
        style,
        bias=False,
        name=f"decoder_{len(DECODER) - i}",
      )
      x = layer(x, train)
    logits = score(self.num_classes, style, kernel=3, name="classify")(x)
    return Outputs(logits, x)
