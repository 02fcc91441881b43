"""PSANet (Zhao et al. 2018): each position attends to all by learnt offsets."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lumbar_jax.errors import InputError
from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import ConvNormAct, conv, scaled
from lumbar_jax.models.review.resizing import resize
from lumbar_jax.models.review.semseg import SemsegNetwork


def _absolute(x: jax.Array, axis: int) -> jax.Array:
  """Turns an axis of offsets into one of positions: y[i, j] = x[i, j-i+n-1].

  Args:
    x: [.. n 2n-1 ..].
    axis: of i; the next one is of the offsets.

  Returns:
    [.. n n ..].
  """
  before, (size, offsets), after = (
    x.shape[:axis],
    x.shape[axis : axis + 2],
    x.shape[axis + 2 :],
  )
  if size == 1:
    return x
  x = x.reshape(*before, size * offsets, *after)
  # Each position's row is read from one offset earlier than the one before.
  x = lax.slice_in_dim(x, size - 1, size - 1 + size * (offsets - 1), axis=axis)
  x = x.reshape(*before, size, offsets - 1, *after)
  return lax.slice_in_dim(x, 0, size, axis=axis + 1)


def attention_of_offsets(x: jax.Array) -> jax.Array:
  """Turns scores of offsets into scores of positions.

  Args:
    x: [b h w (2h-1)(2w-1)]: for a position, scores of all offsets to others,
      row by row; the middle one is its own.

  Returns:
    [b h*w h*w]: for a position (second axis), scores of positions (third).
  """
  b, h, w, _ = x.shape
  x = x.reshape(b, h, w, 2 * h - 1, 2 * w - 1).transpose(0, 1, 3, 2, 4)
  x = _absolute(_absolute(x, 3), 1)  # [b i_row j_row i_column j_column]
  return x.transpose(0, 1, 3, 2, 4).reshape(b, h * w, h * w)


class PointwiseAttention(nn.Module):
  """Context that each position collects from, or distributes to, all others.

  Attributes:
    features: channels of the context.
    size: (h, w) of the maps on which it is computed.
    collect: collect it, else distribute it.
    style: what all layers share.
  """

  features: int
  size: tuple[int, int]
  collect: bool
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    h, w = self.size
    x = ConvNormAct(self.features, self.style, 1, name="reduce")(x, train)
    x = resize(x, self.size, align_corners=True)
    y = ConvNormAct(self.features, self.style, 1, name="attend")(x, train)
    offsets = (2 * h - 1) * (2 * w - 1)
    y = conv(offsets, 1, self.style, bias=False, name="offsets")(y)
    scores = attention_of_offsets(y.astype(jnp.float32))
    # Of collecting, the weights of what one position reads sum to 1; of
    # distributing, those of what all positions give to one.
    weights = nn.softmax(scores, axis=2 if self.collect else 1)
    x = x.reshape(len(x), h * w, self.features)
    sums = "bij,bjc->bic" if self.collect else "bij,bic->bjc"
    x = jnp.einsum(sums, weights.astype(x.dtype), x)
    return x.reshape(len(x), h, w, self.features)


class PSANet(SemsegNetwork):
  """Point-wise spatial attention network, its authors' version.

  Its parameters depend on the images' size, which is fixed when it is built.

  Attributes:
    image_size: rows and columns of the images.
  """

  image_size: int = 880

  def _context(self, x: jax.Array, train: bool) -> jax.Array:
    expected = -(-(self.image_size - 1) // 8) + 1
    if x.shape[1:3] != (expected, expected):
      raise InputError(
        f"the network was built for images of {self.image_size} pixels, and "
        f"got some of about {8 * x.shape[1] - 7} x {8 * x.shape[2] - 7}",
        "build it with their size as image_size",
      )
    size = tuple((n - 1) // 2 + 1 for n in x.shape[1:3])
    features = scaled(512, self.width)
    both = []
    for name in ("collect", "distribute"):
      attention = PointwiseAttention(
        features, size, name == "collect", self.style, name=name
      )
      both.append(attention(x, train))
    y = join_channels(both)
    y = ConvNormAct(x.shape[-1], self.style, 1, name="project")(y, train)
    return resize(y, x.shape[1:3], align_corners=True)
