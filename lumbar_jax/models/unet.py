"""The one interpreter of a `Topology` (paper 000, section 4.1; Figure 4)."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from lumbar_jax.choices import check_number
from lumbar_jax.errors import InputError
from lumbar_jax.models.block_table import (
  ENCODERS,
  FUSIONS,
  NUM_LEVELS,
  VGG_CONVS,
)
from lumbar_jax.models.blocks import MultiKernel
from lumbar_jax.models.checking import check_network
from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import (
  LayerStyle,
  TransposedConv,
  conv,
  max_pool,
)
from lumbar_jax.models.supervision import DeepSupervision
from lumbar_jax.models.topology import Topology

__all__ = ["NUM_LEVELS", "VGG_CONVS", "Outputs", "UNet", "check_size"]


@struct.dataclass
class Outputs:
  """What every network gives.

  Attributes:
    logits: [b h w k] float32, scores before the softmax, at the input's size.
    features: [b h w m], the input of the classification block, or None.
    auxiliary: {name: further map}, each with its own target; mostly empty.
  """

  logits: jax.Array
  features: jax.Array | None = None
  auxiliary: dict[str, jax.Array] = struct.field(default_factory=dict)


def check_size(height: int, width: int, multiple: int) -> None:
  """Raises InputError, naming the nearest valid size, unless both divide."""
  if height % multiple or width % multiple or min(height, width) < multiple:
    near = [
      max(multiple, round(s / multiple) * multiple) for s in (height, width)
    ]
    raise InputError(
      f"the network cannot take images of {height} x {width}",
      f"rows and columns must be multiples of {multiple}; "
      f"the nearest are {near[0]} x {near[1]}",
    )


class UNet(nn.Module):
  """A U-Net variant.

  Attributes:
    topology: which blocks it is made of.
    num_classes: classes, background included.
    width: m, the channels of the first level; doubled at each further one.
    style: what all layers share.
    dropout: rates after the first pooling, the other poolings, and each
      concatenation (the first author's code; 0 in the paper's text).
    remat: recompute each block in the backward pass instead of keeping it.
  """

  topology: Topology
  num_classes: int
  width: int = 64
  style: LayerStyle = LayerStyle()
  dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)
  remat: bool = False

  size_multiple = 2 ** (NUM_LEVELS - 1)  # of an image's rows and columns

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them makes no sense.
    """
    super().__post_init__()
    check_network(self)
    if self.topology.multi_kernel:
      least = self.topology.multi_kernel_divisor
      check_number("UNet.width (of M's branches)", self.width, least)

  def level_width(self, level: int) -> int:
    """Channels at a level, 1 (finest) to 5 (bottleneck)."""
    encoder = ENCODERS[self.topology.encoder]
    return encoder.channels(self.topology, self.width, level)

  def _maybe_remat(self, block: type[nn.Module]) -> type[nn.Module]:
    """Returns a block (x, train) that keeps only its input, if remat."""
    return nn.remat(block, static_argnums=(2,)) if self.remat else block

  def _block(self, letter: str, level: int, name: str) -> nn.Module:
    block, width = ENCODERS[letter], self.level_width(level)
    fields = block.fields(self.topology, level)
    module = self._maybe_remat(block.module)
    return module(features=width, style=self.style, name=name, **fields)

  def _drop(self, x: jax.Array, place: int, train: bool) -> jax.Array:
    rate = self.dropout[place]
    return nn.Dropout(rate, deterministic=not train)(x) if rate else x

  def _encode(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns C_1 .. C_5."""
    topology = self.topology
    if topology.multi_kernel:
      x = self._maybe_remat(MultiKernel)(
        self.width // topology.multi_kernel_divisor,
        self.style,
        topology.multi_kernel_depth,
        name="multi_kernel",
      )(x, train)
    maps = []
    for level in range(1, NUM_LEVELS + 1):
      if level > 1:
        x = self._drop(max_pool(x), min(level - 2, 1), train)
      x = self._block(topology.encoder, level, f"encoder_{level}")(x, train)
      maps.append(x)
    return maps

  def _decode(self, encoded: list[jax.Array], train: bool) -> list[jax.Array]:
    """Returns T_1 .. T_4."""
    topology = self.topology
    fusion, decoder = FUSIONS[topology.fusion], ENCODERS[topology.encoder]
    skips, maps = fusion.skips(encoded, self.width, self.style), []
    x = encoded[-1]
    for level in range(NUM_LEVELS - 1, 0, -1):
      width = self.level_width(level)
      up = TransposedConv(
        width, self.style, topology.up_kernel, name=f"up_{level}"
      )(x)
      skip = fusion.gate(skips[level - 1], up, topology, self.style, level)
      x = self._drop(join_channels([skip, up]), 2, train)
      x = self._block(decoder.decoder, level, f"decoder_{level}")(x, train)
      maps.insert(0, x)
    return maps

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c].

    Raises:
      InputError: h or w is not a multiple of 16.
    """
    check_size(images.shape[1], images.shape[2], self.size_multiple)
    encoded = self._encode(images.astype(self.style.dtype), train)
    decoded = self._decode(encoded, train)
    features = decoded[0]
    if self.topology.ds3:
      start = encoded[-1:] if self.topology.ds3_from_bottleneck else []
      ds3 = DeepSupervision(self.width, self.style, name="ds3")
      features = ds3([*decoded, *start])[0]
    # Scores, and the sums in their bias' gradient, want full precision.
    precise = dataclasses.replace(self.style, dtype=jnp.float32)
    logits = conv(self.num_classes, 1, precise, name="classify")(features)
    return Outputs(logits, features)
