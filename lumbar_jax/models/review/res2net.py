"""Res2Net101 v1b 26w4s as a backbone (Gao et al. 2021; Inf-Net's).

Modules are named as in the public implementation, but convs_0, bns_0 ... where
it has lists.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import conv
from lumbar_jax.models.review.resizing import avg_pool
from lumbar_jax.models.review.resnet import Dilation, ResNet

BASE_WIDTH, SCALE = 26, 4
STEM = (32, 32, 64)


class Downsample(nn.Module):
  """v1b: what is left out by a stride is averaged before the 1 x 1."""

  features: int
  style: LayerStyle
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    if self.stride > 1:
      x = avg_pool(x, self.stride, self.stride, count_padding=False, ceil=True)
    x = conv(self.features, 1, self.style, bias=False, name="1")(x)
    return batch_norm(self.style, train, name="2")(x)


class Bottle2neck(nn.Module):
  """A bottleneck whose 3 x 3 convolutions see four scales, one by one.

  Attributes:
    planes: a fourth of the output's channels.
    style: what all layers share.
    stride: of a stage's first block. That one, which changes the number of
      channels, has a `Downsample`; its scales do not see each other, and the
      last is averaged.
    dilation: of the 3 x 3 convolutions.
  """

  planes: int
  style: LayerStyle
  stride: int = 1
  dilation: int = 1

  expansion = 4

  def _scale(self, i: int, x: jax.Array, train: bool) -> jax.Array:
    x = conv(
      x.shape[-1],
      3,
      self.style,
      stride=self.stride,
      dilation=self.dilation,
      bias=False,
      name=f"convs_{i}",
    )(x)
    return nn.relu(batch_norm(self.style, train, name=f"bns_{i}")(x))

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    style, features = self.style, self.planes * self.expansion
    width = max(self.planes * BASE_WIDTH // 64, 1)
    first = x.shape[-1] != features
    y = conv(SCALE * width, 1, style, bias=False, name="conv1")(x)
    y = nn.relu(batch_norm(style, train, name="bn1")(y))
    *parts, last = jnp.split(y, SCALE, axis=-1)
    done = []
    for i, part in enumerate(parts):
      seen = part if i == 0 or first else part + done[-1]
      done.append(self._scale(i, seen, train))
    last = avg_pool(last, 3, self.stride, 1) if first else last
    y = join_channels([*done, last])
    y = conv(features, 1, style, bias=False, name="conv3")(y)
    y = batch_norm(style, train, name="bn3")(y)
    if first:
      x = Downsample(features, style, self.stride, name="downsample")(x, train)
    return nn.relu(y + x)


def res2net101(width: int, style: LayerStyle, dilation: Dilation, **fields):
  """Returns the backbone; for `fields` see `ResNet`."""
  return ResNet(101, width, style, dilation, STEM, Bottle2neck, **fields)
