"""Signs and colours of the blocks in a diagram, and its legend."""

import inspect
import re

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lumbar_jax.models import block_table, blocks, fcn
from lumbar_jax.models.block_table import Sign
from lumbar_jax.models.review import attention_unet, unet
from lumbar_jax.models.summary import Row
from lumbar_jax.reports import diagram_boxes
from lumbar_jax.reports.diagram_boxes import Box, Layout
from lumbar_jax.reports.style import LIGHT

# Blocks of the networks that are no `Topology`: kind -> how it is drawn.
_OTHERS = {
  "DoubleConv": Sign("U", "#a6cbe8", unet.DoubleConv),
  "NormedGate": Sign("A", "#f2a59a", attention_unet.NormedGate),
  "ConvNormAct": Sign("up", "#f8bf82", blocks.ConvNormAct),
  "FuseScores": Sign("score", "#d5e3a1", fcn.FuseScores),
}
_OTHER = "#d8dbe0"
LINKS = {
  diagram_boxes.POOL: ("#c8452f", "max-pooled"),
  diagram_boxes.FLOW: ("#667080", "passed on"),
  diagram_boxes.ADD_UP: ("#3f8f3a", "up-sampled; + adds"),
  diagram_boxes.ADD_DOWN: ("#1f6f8b", "max-pooled, added"),
}


def _sign(box: Box | Row) -> Sign | None:
  known = {**_OTHERS, **block_table.signs()}
  return known.get(box.block) or known.get(box.kind)


def is_known(box: Box | Row) -> bool:
  """Returns whether a block has a colour of its own."""
  return _sign(box) is not None


def sign(box: Box | Row) -> tuple[str, str]:
  """Returns what is written on a block, and its colour."""
  known = _sign(box)
  return (known.text, known.color) if known else (box.block, _OTHER)


def text(box: Box) -> str:
  """Returns a block's sign and the widths of its kernels."""
  name, _ = sign(box)
  kernels = ", ".join(map(str, box.kernels))
  return f"{name} ({kernels})" if kernels else name


def describe(box: Box | Row) -> str:
  """Returns the first line of a block's own documentation."""
  line = inspect.getdoc(_sign(box).source).splitlines()[0]
  line = line.split(";")[0].rstrip(".").replace(" x ", " × ")
  line = re.sub(r"([A-Z])_(\w|\{.*?\})", r"$\1_\2$", line)  # mathtext
  name = sign(box)[0]
  said = line.lower().startswith(name.lower())
  return line if said else f"{name}: {line}"


def _blocks(layout: Layout) -> list[Patch]:
  described = {}
  for box in layout.boxes:
    if is_known(box):
      described[describe(box)] = sign(box)[1]
  return [
    Patch(facecolor=color, edgecolor=LIGHT.muted, lw=0.6, label=label)
    for label, color in described.items()
  ]


def _links(layout: Layout) -> list[Line2D]:
  present = {link.kind for link in layout.links}
  joins = any(box.block.startswith("decoder") for box in layout.boxes)
  handles = []
  for kind, (color, label) in LINKS.items():
    if kind == diagram_boxes.FLOW and joins:
      label += "; a decoder's block concatenates its inputs"
    if kind in present:
      handles.append(Line2D([], [], color=color, lw=1.6, label=label))
  return handles


def add_legend(axes, layout: Layout, width: float) -> None:
  """Says below the axes what the blocks and the links are."""
  axes.legend(
    handles=[*_blocks(layout), *_links(layout)],
    title="sign (widths of kernels), rows × columns × channels of the output",
    title_fontsize=6.8,
    alignment="left",
    loc="upper left",
    bbox_to_anchor=(0, 0),
    ncols=1 if width < 5 else 2,
    fontsize=6.8,
    handlelength=1.6,
    columnspacing=1.6,
  )
