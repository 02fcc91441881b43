"""DANet (Fu et al. 2019): attention over positions and over channels."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import (
  ConvNormAct,
  conv,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.resizing import resize
from lumbar_jax.models.review.resnet import DANET_8, STRIDE_32, ResNet
from lumbar_jax.models.unet import Outputs

# Output stride -> the backbone's strides and dilations.
STRIDES = {32: STRIDE_32, 8: DANET_8}


def _gamma(module: nn.Module) -> jax.Array:
  """Returns the learnt weight of an attention, at first 0, as [1 1 1 1]."""
  gamma = module.param("gamma", nn.initializers.zeros_init(), (1,))
  return gamma[None, None, None]


class PositionAttention(nn.Module):
  """x plus gamma times a mean over positions, weighed by likeness."""

  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels = x.shape[-1]
    inner = max(channels // 8, 1)

    def flat(features, name):
      y = conv(features, 1, self.style, name=name)(x)
      return y.reshape(len(x), -1, features)

    scores = jnp.einsum(
      "bic,bjc->bij", flat(inner, "query"), flat(inner, "key")
    )
    weights = nn.softmax(scores.astype(jnp.float32)).astype(x.dtype)
    y = jnp.einsum("bij,bjc->bic", weights, flat(channels, "value"))
    return _gamma(self).astype(x.dtype) * y.reshape(x.shape) + x


class ChannelAttention(nn.Module):
  """x plus gamma times a mean over channels, weighed by unlikeness."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    flat = x.reshape(len(x), -1, x.shape[-1])
    scores = jnp.einsum("bnc,bnd->bcd", flat, flat).astype(jnp.float32)
    scores = scores.max(-1, keepdims=True) - scores
    weights = nn.softmax(scores).astype(x.dtype)
    y = jnp.einsum("bcd,bnd->bnc", weights, flat)
    return _gamma(self).astype(x.dtype) * y.reshape(x.shape) + x


class DANet(Network):
  """Dual attention network on a ResNet101.

  `Outputs.auxiliary` has the scores [b h w k] of either attention alone,
  "position" and "channel", each with its own loss.

  Attributes:
    dropout: rate of maps before each classification.
    output_stride: of the backbone: 32, undilated, as paper 002 measured it, or
      8, the authors' own.
  """

  dropout: tuple[float] = (0.1,)
  output_stride: int = 32

  choices: ClassVar = {"output_stride": tuple(STRIDES)}
  auxiliary_losses: ClassVar = {
    "position": AuxiliaryLoss("segmentation"),
    "channel": AuxiliaryLoss("segmentation"),
  }

  def _attend(self, x, attention: nn.Module, name: str, train: bool):
    features = scaled(512, self.width)
    x = ConvNormAct(features, self.style, name=f"reduce_{name}")(x, train)
    return ConvNormAct(features, self.style, name=f"mix_{name}")(
      attention(x), train
    )

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, size = self.style, images.shape[1:3]
    *_, x = ResNet(
      101,
      self.width,
      style,
      STRIDES[self.output_stride],
      remat=self.remat,
      name="backbone",
    )(images.astype(style.dtype), train)
    position = PositionAttention(style, name="position")
    position = self._attend(x, position, "position", train)
    channel = ChannelAttention(name="channel")
    channel = self._attend(x, channel, "channel", train)

    def classify(x, name):
      x = dropout_maps(self.dropout[0], x, train)
      x = score(self.num_classes, style, name=name)(x)
      return resize(x, size, align_corners=True)

    return Outputs(
      classify(position + channel, "classify"),
      auxiliary={
        "position": classify(position, "classify_position"),
        "channel": classify(channel, "classify_channel"),
      },
    )
