"""Boxes and links of a network's diagram, read from the network's graph.

x runs right, y runs down by one for each halving of the feature maps.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

from lumbar_jax.models.graph import Edge
from lumbar_jax.models.summary import Summary

# Kinds of links, and of boxes that are no block.
POOL, FLOW, ADD_UP, ADD_DOWN = "pool", "flow", "add up", "add down"
IMAGE = "image"
_HALF = {"width": 0.36, "height": 0.2, "small": 0.165}
_SUM_X = 0.52  # from a box's centre to that of its sum
_SUM_HALF = (0.057, 0.075)
LADDERS = {  # name or kind of blocks drawn level by level -> way of their sums
  "DeepSupervision": ADD_UP,
  "FuseScores": ADD_UP,
  "ds2": ADD_DOWN,
}


@dataclasses.dataclass(frozen=True)
class Box:
  """A block, or one level of a deep supervision block.

  Attributes:
    block: its name; "input" and "output" are no blocks.
    kind: of the block, or "image".
    kernels: widths of its convolutions.
    shape: (h, w, c) of what it gives.
    x: of its centre.
    y: of its centre.
    adds: whether a sum stands at its right.
  """

  block: str
  kind: str
  kernels: tuple[int, ...]
  shape: tuple[int, int, int]
  x: float
  y: float
  adds: bool = False

  @property
  def half_width(self) -> float:
    return _HALF["width"]

  @property
  def half_height(self) -> float:
    small = self.kind == "TransposedConv"
    return _HALF["small" if small else "height"]

  @property
  def exit(self) -> tuple[float, float, float]:
    """Where links leave: x of the centre, half the width and height.

    Of the box, or of the sum at its right.
    """
    if self.adds:
      return self.x + _SUM_X, *_SUM_HALF
    return self.x, self.half_width, self.half_height


@dataclasses.dataclass(frozen=True)
class Link:
  """A line of horizontal and vertical pieces, with an arrow at its end."""

  kind: str
  points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Layout:
  boxes: tuple[Box, ...]
  links: tuple[Link, ...]


class Builder:
  """Places boxes by column, then draws the graph's edges between them."""

  def __init__(self, summary: Summary):
    self.summary = summary
    self.rows = {row.block: row for row in summary.rows}
    self.edges = list(_without_activations(summary))
    self.boxes: dict[tuple[str, float], Box] = {}
    self.links: list[Link] = []

  def level(self, shape) -> int:
    """Returns how often a shape is halved."""
    return round(math.log2(self.summary.image[0] / shape[-3]))

  def kernels(self, block: str, level: int | None = None) -> tuple[int, ...]:
    """Returns the widths of a block's convolutions; of one of its levels."""
    tree = self.summary.graph.variables["params"].get(block, {})
    if level is not None:
      tree = tree.get(f"level_{level + 1}", tree)
    return tuple(_kernels(tree))

  def place(self, block: str, x: float, y: float | None = None) -> None:
    row = self.rows[block]
    shape = row.shapes[0]
    y = self.level(shape) if y is None else y
    box = Box(block, row.kind, self.kernels(block), shape, x, y)
    self.boxes[block, self.level(shape)] = box

  def place_image(self, name: str, x: float, y: float, shape) -> None:
    self.boxes[name, 0] = Box(name, IMAGE, (), tuple(shape), x, y)

  def place_ladder(self, block: str, x: float) -> None:
    """Places a block level by level, with the sums from one to the next."""
    row = self.rows[block]
    way = LADDERS[row.kind]
    reads = [edge for edge in self.edges if edge.target == block]
    if way == ADD_DOWN:  # the first level passes through
      reads = [e for e in reads if self.level(e.shape) > 0]
    coarsest = max(self.level(edge.shape) for edge in reads)
    for edge in reads:
      level = self.level(edge.shape)
      pooled = 0.5 * (level - self.level(edge.map.shape))
      shape = (*edge.shape[1:3], row.shapes[0][-1])
      kernels = self.kernels(block, level)[:1]
      adds = way == ADD_UP and level < coarsest
      self.boxes[block, level] = Box(
        *(block, row.kind, kernels, shape, x, level - pooled, adds)
      )
    self._add_sums(block, way)

  def _add_sums(self, block: str, way: str) -> None:
    steps = sorted((b for (n, _), b in self.boxes.items() if n == block),
                   key=lambda box: box.y)  # fmt: skip
    for upper, lower in itertools.pairwise(steps):
      if way == ADD_DOWN:
        points = ((upper.x, upper.y + upper.half_height),
                  (lower.x, lower.y - lower.half_height))  # fmt: skip
      else:
        x, _, half_height = upper.exit
        points = ((x, lower.y), (x, upper.y + half_height))
        if not lower.adds:
          points = ((lower.x + lower.half_width, lower.y), *points)
      self.links.append(Link(way, points))

  def source(self, edge: Edge) -> Box:
    """Returns the box that gives a map; of a ladder without it the topmost."""
    level = self.level(edge.map.shape)
    found = [b for (name, _), b in self.boxes.items() if name == edge.source]
    at_level = self.boxes.get((edge.source, level))
    return at_level or min(found, key=lambda box: box.y)

  def target(self, edge: Edge) -> Box | None:
    """Returns the box that reads a map; None where a ladder passes it on."""
    found = [b for (name, _), b in self.boxes.items() if name == edge.target]
    at_level = self.boxes.get((edge.target, self.level(edge.shape)))
    return at_level or (found[0] if len(found) == 1 else None)

  def connect(self) -> Layout:
    """Draws every edge of the graph."""
    for edge in self.edges:
      link = self._link(edge, self.source(edge), self.target(edge))
      self.links.append(link)
    return Layout(tuple(self.boxes.values()), tuple(self.links))

  def _link(self, edge: Edge, source: Box, target: Box | None) -> Link:
    if target is None:  # a level that passes through: to the next one below
      target = self.boxes[edge.target, self.level(edge.shape) + 1]
      end = (target.x, target.y - target.half_height)
      return Link(ADD_DOWN, ((target.x, source.y), end))
    pooled = edge.shape[1] < edge.map.shape[1]
    if pooled and 0 < target.y - source.y < 1:  # branches off the pooling
      end = (target.x - target.half_width, target.y)
      return Link(FLOW, ((source.x, target.y), end))
    kind = POOL if pooled else FLOW
    if source.adds and source.shape[0] < edge.map.shape[1]:
      kind = ADD_UP  # the last step of a ladder
    return Link(kind, _route(source, target))


def _route(source: Box, target: Box) -> tuple[tuple[float, float], ...]:
  """Returns the corners of a line from one box to another."""
  x, half_width, half_height = source.exit
  right = 1 if target.x > x else -1
  down = 1 if target.y > source.y else -1
  side = (x + right * half_width, source.y)
  vertical_end = (target.x, target.y - down * target.half_height)
  horizontal_end = (target.x - right * target.half_width, target.y)
  if source.y == target.y:
    return side, horizontal_end
  if x == target.x:
    return (x, source.y + down * half_height), vertical_end
  if down > 0:
    return (x, source.y + half_height), (x, target.y), horizontal_end
  return side, (target.x, source.y), vertical_end


def _kernels(tree) -> Iterator[int]:
  for name, value in tree.items():
    if name == "kernel":
      yield value.shape[0]
    elif hasattr(value, "items"):
      yield from _kernels(value)


def _without_activations(summary: Summary) -> Iterator[Edge]:
  """Yields the edges, those of activations joined to what they activate."""
  kinds, before = summary.graph.kinds, {}
  for edge in summary.graph.edges:
    source = before.get(edge.source, edge.map)
    if kinds.get(edge.target) == "Activation":
      before[edge.target] = source
    else:
      yield dataclasses.replace(edge, map=source)
