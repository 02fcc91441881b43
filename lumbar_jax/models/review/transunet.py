"""TransUNet as paper 002 measured it.

github.com/The-AI-Summer/self-attention-cv, TransUnet with patches of one pixel
of the map that the convolutions give: by its author's word not the network of
Chen et al. 2021, which is in `transunet_official.py`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import ConvNormAct, dropout, scaled, score
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import check_built_size
from lumbar_jax.models.review.resizing import enlarge
from lumbar_jax.models.review.resnet import Bottleneck
from lumbar_jax.models.review.unet import DoubleConv
from lumbar_jax.models.review.vit import NUM_HEADS, PostNormBlock, dense
from lumbar_jax.models.unet import Outputs, check_size

ENCODER = (256, 512, 1024)
DECODER = (256, 128, 64, 16)
HIDDEN = 768
STRIDE = 16


class NarrowBottleneck(Bottleneck):
  """A bottleneck as wide inside as outside."""

  expansion = 1


class PostNormTransformer(nn.Module):
  """Blocks on a map's pixels and a class token, which is dropped.

  Attributes:
    hidden: channels of a token.
    depth: number of blocks.
    style: what all layers share.
    dropout: rate after the embedding and within the blocks.
    remat: recompute each block in the backward pass instead of keeping it.
  """

  hidden: int
  depth: int
  style: LayerStyle
  dropout: float = 0.0
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    b, h, w, c = x.shape
    normal = nn.initializers.normal(1.0)
    token = self.param("cls_token", normal, (1, 1, self.hidden))
    places = self.param("pos_embedding", normal, (h * w + 1, self.hidden))
    x = dense(self.hidden, self.style, name="embed")(x.reshape(b, h * w, c))
    token = jnp.broadcast_to(token.astype(x.dtype), (b, 1, self.hidden))
    x = jnp.concatenate([token, x], axis=1) + places.astype(x.dtype)[None]
    x = dropout(self.dropout, x, train)
    block = PostNormBlock
    if self.remat:
      block = nn.remat(block, static_argnums=(2,))
    for i in range(1, self.depth + 1):
      x = block(self.style, self.dropout, name=f"block_{i}")(x, train)
    x = dense(c, self.style, name="project")(x[:, 1:])
    return x.reshape(b, h, w, c)


class TransUNet(Network):
  """Convolutions, a transformer at 1/16 of the size, and a decoder.

  Attributes:
    dropout: rate after the embedding and within the blocks.
    image_size: rows and columns, a multiple of 16; there is a learnt vector for
      each place.
    depth: transformer blocks.
  """

  dropout: tuple[float, ...] = (0.0,)
  image_size: int = 880
  depth: int = 12

  size_multiple = STRIDE

  def _encode(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns maps at 1/2, 1/4, 1/8 and 1/16 of the size."""
    stem = ConvNormAct(
      scaled(2 * 64, self.width), self.style, kernel=7, stride=2, name="stem"
    )
    block, maps = self._maybe_remat(NarrowBottleneck), [stem(x, train)]
    for level, channels in enumerate(ENCODER, start=2):
      width = scaled(channels, self.width)
      layer = block(width, self.style, 2, name=f"encoder_{level}")
      maps.append(layer(maps[-1], train))
    return maps

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c].

    Raises:
      InputError: h or w is not image_size, or that not a multiple of 16.
    """
    check_size(self.image_size, self.image_size, STRIDE)
    check_built_size(images, self.image_size)
    style, block = self.style, self._maybe_remat(DoubleConv)
    maps = self._encode(images.astype(style.dtype), train)
    hidden = scaled(HIDDEN, self.width, NUM_HEADS)
    transformer = PostNormTransformer(
      hidden,
      self.depth,
      style,
      self.dropout[0],
      self.remat,
      name="transformer",
    )
    x = transformer(maps.pop(), train)
    bridge = ConvNormAct(
      scaled(512, self.width), style, bias=True, name="bridge"
    )
    x = bridge(x, train)
    for i, channels in enumerate(DECODER):
      x = enlarge(x, 2, align_corners=True)
      x = join_channels([maps.pop(), x]) if maps else x
      width = scaled(channels, self.width)
      x = block(width, style, name=f"decoder_{len(DECODER) - i}")(x, train)
    return Outputs(score(self.num_classes, style, name="classify")(x), x)
