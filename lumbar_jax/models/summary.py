"""What a network costs and sees, block by block: nothing is computed."""

import dataclasses
import math

import flax.linen as nn
import jax

from lumbar_jax.models.graph import Graph, trace


@dataclasses.dataclass(frozen=True)
class Row:
  """A block: a top-level submodule of the network.

  Attributes:
    block: its name, under which its parameters are.
    kind: its module's class.
    shapes: (h, w, c) of each map that it gives.
    params: trainable parameters.
    batch_stats: BatchNorm's running statistics.
    macs: multiply-accumulates for one image, of convolutions and matrix
      products in their plain form.
    receptive_field_px: input pixels that an output pixel sees along an axis,
      at most; None where an operation has no rule for it.
  """

  block: str
  kind: str
  shapes: tuple[tuple[int, int, int], ...]
  params: int
  batch_stats: int
  macs: int
  receptive_field_px: int | None


@dataclasses.dataclass(frozen=True)
class Summary:
  """A network at an image size.

  Attributes:
    image: (h, w, c).
    rows: the blocks in order of execution.
    params: trainable parameters of the whole.
    batch_stats: BatchNorm's running statistics of the whole.
    graph: how the blocks are connected.
  """

  image: tuple[int, int, int]
  rows: tuple[Row, ...]
  params: int
  batch_stats: int
  graph: Graph

  @property
  def macs(self) -> int:
    return sum(self.graph.macs.values())

  @property
  def output(self) -> tuple[int, int, int]:
    return self.graph.logits.shape[1:]

  @property
  def receptive_field_px(self) -> int | None:
    field = self.graph.logits.field
    return field.size if field is not None else None


def _size(tree) -> int:
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _receptive_field(maps) -> int | None:
  fields = [found.field for found in maps]
  if not fields or None in fields:
    return None
  return max(field.size for field in fields)


def summarize(net: nn.Module, image: tuple[int, int, int]) -> Summary:
  """Returns the blocks of a network for images of (h, w, c).

  Raises:
    InputError: the network cannot take images of this size.
  """
  graph = trace(net, (1, *image))
  params, stats = (
    graph.variables["params"],
    graph.variables.get("batch_stats", {}),
  )
  rows = []
  for block in filter(None, graph.macs):
    maps = graph.outputs(block)
    rows.append(
      Row(
        block,
        graph.kinds[block],
        tuple(found.shape[1:] for found in maps),
        _size(params.get(block, {})),
        _size(stats.get(block, {})),
        graph.macs[block],
        _receptive_field(maps),
      )
    )
  return Summary(tuple(image), tuple(rows), _size(params), _size(stats), graph)


_HEAD = ("block", "kind", "output", "parameters", "MACs", "field px")
_LEGEND = "MACs: of one image; field: input pixels seen along an axis"


def _shapes_text(shapes) -> str:
  """Writes "256 x 256 x 64"; of several maps the first and the last."""
  texts = [" x ".join(map(str, shape)) for shape in shapes]
  if len(texts) > 2:
    return f"{texts[0]} .. {texts[-1]} ({len(texts)})"
  return ", ".join(texts)


def format_table(summary: Summary) -> str:
  """Returns the summary as text, a line a block, the whole and a legend."""
  lines = [
    (
      row.block,
      row.kind,
      _shapes_text(row.shapes),
      f"{row.params:,}",
      f"{row.macs:,}",
      str(row.receptive_field_px or "-"),
    )
    for row in summary.rows
  ]
  whole = (
    "whole",
    "",
    _shapes_text([summary.output]),
    f"{summary.params:,}",
    f"{summary.macs:,}",
    str(summary.receptive_field_px or "-"),
  )
  widths = [max(map(len, c)) for c in zip(_HEAD, *lines, whole, strict=True)]
  rule = tuple("-" * width for width in widths)

  def text(cells):
    left = [c.ljust(w) for c, w in zip(cells[:3], widths[:3], strict=True)]
    right = [c.rjust(w) for c, w in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join((*left, *right)).rstrip()

  table = map(text, (_HEAD, rule, *lines, rule, whole))
  stats = f"{summary.batch_stats:,} running statistics of BatchNorm besides"
  return "\n".join((*table, f"{stats}; {_LEGEND}"))
