"""ResNet-v1 as a backbone, its modules named as torchvision names them.

He et al. 2016, with the stride on a bottleneck's 3 x 3 convolution. A stage
that keeps its resolution dilates its 3 x 3 convolutions instead; public
implementations do that in different ways, which are data here.
"""

import dataclasses

import flax.linen as nn
import jax

from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import conv, scaled
from lumbar_jax.models.review.resizing import max_pool


@dataclasses.dataclass(frozen=True)
class Dilation:
  """Strides and dilations of layer1 to layer4.

  Attributes:
    strides: of each stage's first block.
    dilations: of each stage's blocks; the last one holds for all that follow.
  """

  strides: tuple[int, int, int, int] = (1, 2, 2, 2)
  dilations: tuple[tuple[int, ...], ...] = ((1,), (1,), (1,), (1,))


def _stride_8(layer3: tuple[int, ...], layer4: tuple[int, ...]) -> Dilation:
  return Dilation((1, 2, 1, 1), ((1,), (1,), layer3, layer4))


STRIDE_32 = Dilation()
TORCHVISION_8 = _stride_8((1, 2), (2, 4))  # a first block keeps the one before
SEMSEG_8 = _stride_8((2,), (4,))  # all blocks alike
LEXTAL_8 = _stride_8((1, 2), (1, 4))  # a first block has none
EMANET_8 = _stride_8((1, 2), (2, 8, 16))  # layer4: 4 times (1, 2, 4)
DANET_8 = _stride_8((1, 2), (4, 8, 16))  # layer4: the multi-grid itself
JFZHANG_16 = Dilation((1, 2, 2, 1), ((1,), (1,), (1,), (2, 4, 8)))


class Downsample(nn.Module):
  """A shortcut's 1 x 1 convolution and normalisation."""

  features: int
  style: LayerStyle
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = conv(
      self.features, 1, self.style, stride=self.stride, bias=False, name="0"
    )(x)
    return batch_norm(self.style, train, name="1")(x)


def shortcut(
  x: jax.Array, features: int, style: LayerStyle, stride: int, train: bool
) -> jax.Array:
  """Returns x, through a `Downsample` if a block changes its shape."""
  if stride == 1 and x.shape[-1] == features:
    return x
  return Downsample(features, style, stride, name="downsample")(x, train)


class BasicBlock(nn.Module):
  """Two 3 x 3 convolutions and a shortcut (ResNet18, ResNet34)."""

  planes: int
  style: LayerStyle
  stride: int = 1
  dilation: int = 1

  expansion = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    y = x
    for i, stride in enumerate((self.stride, 1), start=1):
      y = conv(
        self.planes,
        3,
        self.style,
        stride=stride,
        dilation=self.dilation,
        bias=False,
        name=f"conv{i}",
      )(nn.relu(y) if i > 1 else y)
      y = batch_norm(self.style, train, name=f"bn{i}")(y)
    return nn.relu(y + shortcut(x, self.planes, self.style, self.stride, train))


class Bottleneck(nn.Module):
  """1 x 1, 3 x 3 and 1 x 1 convolution and a shortcut (ResNet50 and deeper)."""

  planes: int
  style: LayerStyle
  stride: int = 1
  dilation: int = 1

  expansion = 4

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    style, width = self.style, self.planes * self.expansion
    y = conv(self.planes, 1, style, bias=False, name="conv1")(x)
    y = nn.relu(batch_norm(style, train, name="bn1")(y))
    y = conv(
      self.planes,
      3,
      style,
      stride=self.stride,
      dilation=self.dilation,
      bias=False,
      name="conv2",
    )(y)
    y = nn.relu(batch_norm(style, train, name="bn2")(y))
    y = conv(width, 1, style, bias=False, name="conv3")(y)
    y = batch_norm(style, train, name="bn3")(y)
    return nn.relu(y + shortcut(x, width, style, self.stride, train))


class DeepStem(nn.Module):
  """Three 3 x 3 convolutions, the first with stride 2, instead of a 7 x 7."""

  features: tuple[int, int, int]
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    for i, features in enumerate(self.features):
      x = conv(
        features,
        3,
        self.style,
        stride=1 if i else 2,
        bias=False,
        name=str(3 * i),
      )(x)
      if i < 2:
        x = nn.relu(batch_norm(self.style, train, name=str(3 * i + 1))(x))
    return x


class Stage(nn.Module):
  """Blocks of one width: layer1 to layer4."""

  block: type[nn.Module]
  depth: int
  planes: int
  style: LayerStyle
  stride: int = 1
  dilations: tuple[int, ...] = (1,)
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    block = self.block
    if self.remat:
      block = nn.remat(block, static_argnums=(2,))
    for i in range(self.depth):
      x = block(
        self.planes,
        self.style,
        self.stride if i == 0 else 1,
        self.dilations[min(i, len(self.dilations) - 1)],
        name=str(i),
      )(x, train)
    return x


DEPTHS = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ResNet(nn.Module):
  """ResNet34, 50 or 101 without its classifier.

  Attributes:
    depth: 34, 50 or 101.
    width: 64 in the published networks.
    style: what all layers share.
    dilation: which stages keep their resolution, and how they dilate.
    deep_stem: channels of the `DeepStem` at width 64 instead of one 7 x 7
      convolution to 64.
    block: instead of `BasicBlock` (ResNet34) or `Bottleneck`.
    remat: recompute each block in the backward pass instead of keeping it.
  """

  depth: int
  width: int
  style: LayerStyle
  dilation: Dilation = STRIDE_32
  deep_stem: tuple[int, int, int] | None = None
  block: type[nn.Module] | None = None
  remat: bool = False

  def _stem(self, x: jax.Array, train: bool) -> jax.Array:
    if self.deep_stem:
      features = tuple(scaled(c, self.width) for c in self.deep_stem)
      x = DeepStem(features, self.style, name="conv1")(x, train)
    else:
      features = scaled(64, self.width)
      x = conv(features, 7, self.style, stride=2, bias=False, name="conv1")(x)
    x = nn.relu(batch_norm(self.style, train, name="bn1")(x))
    return max_pool(x, 3, 2, 1)

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, ...]:
    """Returns the maps of layer1 to layer4 of images [b h w c]."""
    x = self._stem(x, train)
    block = self.block or (BasicBlock if self.depth < 50 else Bottleneck)
    maps = []
    for i, depth in enumerate(DEPTHS[self.depth]):
      x = Stage(
        block,
        depth,
        scaled(64, self.width) * 2**i,
        self.style,
        self.dilation.strides[i],
        self.dilation.dilations[i],
        self.remat,
        name=f"layer{i + 1}",
      )(x, train)
      maps.append(x)
    return tuple(maps)
