"""ResUNet++ as paper 002 measured it: github.com/rishikksh20/ResUnet.

Its filters are 32 to 512, twice those of the authors' own network, from which
it differs in more than that: see `resunet_plus_official.py`.
"""

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import (
  ConvNorm,
  conv,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import crop_as, pad_to_multiple
from lumbar_jax.models.review.resizing import (
  enlarge,
  global_avg_pool,
  max_pool,
)
from lumbar_jax.models.unet import Outputs

FILTERS = (32, 64, 128, 256, 512)
RATES = (6, 12, 18)
SQUEEZE = 16


def norm_relu_conv(
  x: jax.Array,
  features: int,
  style: LayerStyle,
  train: bool,
  name: str,
  *,
  stride: int = 1,
  kernel: int = 3,
) -> jax.Array:
  """Batch normalisation, ReLU, convolution with bias: `norm_`, `conv_NAME`."""
  x = nn.relu(batch_norm(style, train, name=f"norm_{name}")(x))
  layer = conv(features, kernel, style, stride=stride, name=f"conv_{name}")
  return layer(x)


class SqueezeExcite(nn.Module):
  """Weighs channels by what the whole image has in all of them."""

  style: LayerStyle
  ratio: int = SQUEEZE

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels, dtype = x.shape[-1], self.style.dtype

    def dense(features, name):
      return nn.Dense(features, use_bias=False, dtype=dtype, name=name)

    w = dense(max(channels // self.ratio, 1), "squeeze")(global_avg_pool(x))
    return nn.sigmoid(dense(channels, "excite")(nn.relu(w))) * x


class Stem(nn.Module):
  """The first residual block; the shortcut has no normalisation."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features, style = self.features, self.style
    y = conv(features, 3, style, name="conv_1")(x)
    y = norm_relu_conv(y, features, style, train, "2")
    return y + conv(features, 3, style, name="shortcut")(x)


class PreActResidual(nn.Module):
  """Two times normalisation, ReLU, 3 x 3 convolution; a convolved shortcut.

  Attributes:
    features: channels of the output.
    style: what all layers share.
    stride: of the first convolution and the shortcut.
    kernel: of the shortcut.
  """

  features: int
  style: LayerStyle
  stride: int = 1
  kernel: int = 3

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features, style = self.features, self.style
    y = norm_relu_conv(x, features, style, train, "1", stride=self.stride)
    y = norm_relu_conv(y, features, style, train, "2")
    shortcut = ConvNorm(
      features, style, self.kernel, self.stride, bias=True, name="shortcut"
    )
    return y + shortcut(x, train)


class ConcatASPP(nn.Module):
  """Dilated convolutions beside each other, normalised after their ReLU."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    branches = []
    for rate in RATES:
      layer = conv(
        self.features, 3, self.style, dilation=rate, name=f"rate_{rate}"
      )
      norm = batch_norm(self.style, train, name=f"norm_{rate}")
      branches.append(norm(nn.relu(layer(x))))
    x = join_channels(branches)
    return conv(self.features, 1, self.style, name="fuse")(x)


class DecoderAttention(nn.Module):
  """Weighs the decoder's map by what the encoder has at twice its size.

  The weight is not squashed: the public implementations have no sigmoid.

  Attributes:
    style: what all layers share.
    kernel: of the last convolution.
    weights: its channels, one for all channels or None: one for each.
  """

  style: LayerStyle
  kernel: int = 1
  weights: int | None = 1

  @nn.compact
  def __call__(
    self, encoded: jax.Array, decoded: jax.Array, train: bool
  ) -> jax.Array:
    """Returns [b h w c] of encoded [b 2h 2w e] and decoded [b h w c]."""
    style, features = self.style, decoded.shape[-1]
    x = norm_relu_conv(encoded, features, style, train, "encoded")
    x = max_pool(x, 2, 2)
    x = x + norm_relu_conv(decoded, features, style, train, "decoded")
    weights = self.weights or features
    x = norm_relu_conv(x, weights, style, train, "weight", kernel=self.kernel)
    return x * decoded


class ResUNetPlus(Network):
  """ResUNet++ of four levels; any size.

  Sizes that are no multiple of 8 are padded by repeating the last row and
  column, and cropped back.

  Attributes:
    dropout: it has none.
  """

  dropout: tuple[float, ...] = ()

  def _encode(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns the maps of all levels, finest first."""
    style = self.style
    width = scaled(FILTERS[0], self.width)
    maps = [self._maybe_remat(Stem)(width, style, name="encoder_1")(x, train)]
    block = self._maybe_remat(PreActResidual)
    for level, channels in enumerate(FILTERS[1:-1], start=2):
      x = SqueezeExcite(style, name=f"squeeze_{level - 1}")(maps[-1])
      width = scaled(channels, self.width)
      layer = block(width, style, stride=2, name=f"encoder_{level}")
      maps.append(layer(x, train))
    return maps

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, widths = self.style, [scaled(c, self.width) for c in FILTERS]
    aspp, block = self._maybe_remat(ConcatASPP), PreActResidual
    x = pad_to_multiple(images, 2 ** (len(FILTERS) - 2)).astype(style.dtype)
    maps = self._encode(x, train)
    x = aspp(widths[-1], style, name="bridge")(maps[-1], train)
    for level in range(len(maps) - 1, 0, -1):
      skip = maps[level - 1]
      x = DecoderAttention(style, name=f"gate_{level}")(skip, x, train)
      x = enlarge(x, 2, align_corners=False)
      x = join_channels([x, skip])
      decoder = self._maybe_remat(block)(
        widths[level], style, name=f"decoder_{level}"
      )
      x = decoder(x, train)
    x = crop_as(aspp(widths[0], style, name="pyramid")(x, train), images)
    return Outputs(score(self.num_classes, style, name="classify")(x), x)
