"""The blocks of the U-Nets: each is one entry of a table, and nothing else.

The interpreter (`unet.py`) builds what stands here, the diagrams and
`docs/topologies.md` take signs and colours from here, and a `Topology` allows
what stands here. To add a block, write its module (`blocks.py`) and its entry.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax

from lumbar_jax.errors import InputError
from lumbar_jax.models.blocks import (
  AttentionGate,
  MultiKernel,
  QBlock,
  UBlock,
  VBlock,
)
from lumbar_jax.models.layers import LayerStyle, TransposedConv
from lumbar_jax.models.supervision import DeepSupervision, deep_supervision_v2

NUM_LEVELS = 5  # four, and the bottleneck
VGG_CONVS = (2, 2, 3, 3, 3)
Maps = list[jax.Array]


@dataclasses.dataclass(frozen=True)
class Sign:
  """How a block is drawn.

  Attributes:
    text: what is written on it.
    color: of its box.
    source: the class or function whose documentation's first line tells what it
      is.
  """

  text: str
  color: str
  source: Callable[..., Any]

  def __post_init__(self):
    if not inspect.getdoc(self.source):
      raise InputError(
        f"the block {self.text!r} has no documentation", "write a docstring"
      )


def _own_width(topology: Any, width: int, level: int) -> int:
  del topology
  return width * 2 ** (level - 1)


def _nothing(topology: Any, level: int) -> dict[str, Any]:
  del topology, level
  return {}


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A convolution block of the descending branch.

  Attributes:
    module: a Flax module (features, style, ...), called with (x, train).
    color: of its box in a diagram.
    fields: (topology, level) -> further fields of the module.
    channels: (topology, m, level) -> its channels at a level from 1 (finest).
    decoder: the letter of the ascending branch's blocks.
  """

  module: type[nn.Module]
  color: str
  fields: Callable[[Any, int], dict[str, Any]] = _nothing
  channels: Callable[[Any, int, int], int] = _own_width
  decoder: str = "U"

  def __post_init__(self):
    fields = {field.name for field in dataclasses.fields(self.module)}
    if not {"features", "style"} <= fields:
      raise InputError(
        f"{self.module.__name__} cannot be a block: it has "
        f"{', '.join(sorted(fields))}",
        "a block's module has the fields features and style",
      )


def _vgg_fields(topology: Any, level: int) -> dict[str, Any]:
  return {"num_convs": VGG_CONVS[level - 1], "norm": topology.vgg_norm}


def _vgg_width(topology: Any, width: int, level: int) -> int:
  capped = topology.vgg_cap and level == NUM_LEVELS
  return width * 8 if capped else _own_width(topology, width, level)


ENCODERS: dict[str, Encoder] = {
  "U": Encoder(UBlock, "#a6cbe8"),
  "V": Encoder(VBlock, "#c9b3e0", _vgg_fields, _vgg_width),
  "Q": Encoder(
    QBlock,
    "#9fd9c4",
    channels=lambda topology, width, level: width,
    decoder="Q",
  ),
}


def _encoded(maps: Maps, width: int, style: LayerStyle) -> Maps:
  """Returns S_1 .. S_4, which are C_1 .. C_4."""
  del width, style
  return maps[:-1]


def _ds1(maps: Maps, width: int, style: LayerStyle) -> Maps:
  return DeepSupervision(width, style, name="ds1")(maps)[:-1]


def _ds2(maps: Maps, width: int, style: LayerStyle) -> Maps:
  signals = DeepSupervision(width, style, name="ds1")(maps)
  with jax.named_scope("ds2"):  # a block without parameters
    return deep_supervision_v2(signals[:-1])


def _ungated(skip, up, topology, style: LayerStyle, level: int) -> jax.Array:
  del up, topology, style, level
  return skip


def _gated(skip, up, topology, style: LayerStyle, level: int) -> jax.Array:
  inner = max(up.shape[-1] // topology.gate_divisor, 1)
  return AttentionGate(inner, style, name=f"gate_{level}")(skip, up)


@dataclasses.dataclass(frozen=True)
class Fusion:
  """What joins the two branches of a U-Net.

  Attributes:
    skips: (C_1 .. C_5, m, style) -> S_1 .. S_4, the maps that are passed on.
    gate: (S_n, the map from below, topology, style, n) -> what is joined.
    signs: {name of a module's class, or of a block: how it is drawn}.
  """

  skips: Callable[[Maps, int, LayerStyle], Maps] = _encoded
  gate: Callable[..., jax.Array] = _ungated
  signs: Mapping[str, Sign] = dataclasses.field(default_factory=dict)


_DS1 = Sign("DS.v1", "#b7d98b", DeepSupervision)

FUSIONS: dict[str, Fusion] = {
  "skip": Fusion(),
  "attention": Fusion(
    gate=_gated, signs={"AttentionGate": Sign("A", "#f2a59a", AttentionGate)}
  ),
  "ds1": Fusion(_ds1, signs={"ds1": _DS1}),
  "ds2": Fusion(
    _ds2,
    signs={"ds1": _DS1, "ds2": Sign("DS.v2", "#7fbf7b", deep_supervision_v2)},
  ),
}


def signs() -> dict[str, Sign]:
  """Returns {name of a module's class, or of a block: how it is drawn}."""
  found = {
    "MultiKernel": Sign("M", "#f6d96b", MultiKernel),
    "TransposedConv": Sign("TC", "#f8bf82", TransposedConv),
    "ds3": Sign("DS.v3", "#d5e3a1", DeepSupervision),
  }
  for letter, encoder in ENCODERS.items():
    name = encoder.module.__name__
    found[name] = Sign(letter, encoder.color, encoder.module)
  for fusion in FUSIONS.values():
    found.update(fusion.signs)
  return found
