"""The parts of Inf-Net: receptive fields, decoder, edge, reverse attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import ConvNorm, score
from lumbar_jax.models.review.resizing import resize


class ReceptiveField(nn.Module):
  """Four branches of growing dilation (RFB); only the sum is rectified."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features, style = self.features, self.style

    def block(x, kernel, name, dilation=1):
      return ConvNorm(features, style, kernel, dilation=dilation, name=name)(
        x, train
      )

    branches = [block(x, 1, "k1")]
    for k in (3, 5, 7):
      y = block(x, 1, f"k{k}_point")
      y = block(y, (1, k), f"k{k}_row")
      y = block(y, (k, 1), f"k{k}_column")
      branches.append(block(y, 3, f"k{k}_dilated", dilation=k))
    y = block(join_channels(branches), 3, "mix")
    return nn.relu(y + block(x, 1, "shortcut"))


class PartialDecoder(nn.Module):
  """Scores at the size of the finest of three maps, from the deepest up."""

  num_classes: int
  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, deep, middle, fine, train: bool) -> jax.Array:
    """Computes scores [b h w k] of maps [b h' w' m], [b h" w" m], [b h w m]."""

    def block(x, count, name):
      return ConvNorm(count * self.features, self.style, name=name)(x, train)

    def up(x, like):
      return resize(x, like.shape[1:3], align_corners=True)

    once = up(deep, middle)
    a = block(once, 1, "deep_1") * middle
    b = block(up(once, fine), 1, "deep_2") * block(
      up(middle, fine), 1, "middle"
    )
    b = b * fine
    c = join_channels([a, block(once, 1, "deep_3")])
    c = block(c, 2, "join_1")
    d = join_channels([b, block(up(c, fine), 2, "join_2")])
    d = block(block(d, 3, "join_3"), 3, "mix")
    return score(self.num_classes, self.style, name="score")(d)


class Edge(nn.Module):
  """Scores of borders, and the map that they are made of."""

  features: int
  num_maps: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool):
    x = ConvNorm(self.features, self.style, 1, name="reduce")(x, train)
    for i in (1, 2):
      x = ConvNorm(self.features, self.style, name=f"conv_{i}")(x, train)
    edge = ConvNorm(self.num_maps, self.style, name="score")(x, train)
    return x, edge


def background(scores: jax.Array) -> jax.Array:
  """Returns the probability of background [b h w 1] of scores [b h w k].

  With one class, the scores are of a sigmoid; else class 0 is background.
  """
  scores = scores.astype(jnp.float32)
  if scores.shape[-1] == 1:
    return nn.sigmoid(-scores)
  return nn.softmax(scores)[..., :1]


class ReverseAttention(nn.Module):
  """Adds to scores what is seen where they say background.

  Attributes:
    num_classes: of the scores.
    features: inner channels.
    style: what all layers share.
    deep: as for the deepest map: three 5 x 5 convolutions and one 1 x 1, not
      two 3 x 3 and one 3 x 3.
  """

  num_classes: int
  features: int
  style: LayerStyle
  deep: bool = False

  @nn.compact
  def __call__(self, x, scores, edge, train: bool) -> jax.Array:
    """Computes scores [b h w k] of x [b h w m], scores, and an edge's map."""

    def block(x, kernel, name, features=self.features):
      return ConvNorm(features, self.style, kernel, name=name)(x, train)

    x = background(scores).astype(x.dtype) * x
    edge = resize(edge, x.shape[1:3], align_corners=False)
    x = join_channels([block(x, 1, "reduce"), edge])
    kernel, count = (5, 3) if self.deep else (3, 2)
    for i in range(1, count + 1):
      x = nn.relu(block(x, kernel, f"conv_{i}"))
    last = block(x, 1 if self.deep else 3, "score", self.num_classes)
    return last + scores
