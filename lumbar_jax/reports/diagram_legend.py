"""Signs and colours of the blocks in a diagram, and its legend."""

import inspect
import re

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lumbar_jax.models import blocks, fcn, layers, supervision
from lumbar_jax.models.review import attention_unet, unet
from lumbar_jax.models.summary import Row
from lumbar_jax.reports import diagram_boxes
from lumbar_jax.reports.diagram_boxes import Box, Layout
from lumbar_jax.reports.style import LIGHT

# Kind, or block where two are of one kind -> its sign and colour.
_SIGNS = {
  "UBlock": ("U", "#a6cbe8"),
  "VBlock": ("V", "#c9b3e0"),
  "QBlock": ("Q", "#9fd9c4"),
  "MultiKernel": ("M", "#f6d96b"),
  "AttentionGate": ("A", "#f2a59a"),
  "TransposedConv": ("TC", "#f8bf82"),
  "DoubleConv": ("U", "#a6cbe8"),
  "NormedGate": ("A", "#f2a59a"),
  "ConvNormAct": ("up", "#f8bf82"),
  "ds1": ("DS.v1", "#b7d98b"),
  "ds2": ("DS.v2", "#7fbf7b"),
  "ds3": ("DS.v3", "#d5e3a1"),
  "FuseScores": ("score", "#d5e3a1"),
}
_OTHER = "#d8dbe0"
LINKS = {
  diagram_boxes.POOL: ("#c8452f", "max-pooled"),
  diagram_boxes.FLOW: ("#667080", "passed on"),
  diagram_boxes.ADD_UP: ("#3f8f3a", "up-sampled; + adds"),
  diagram_boxes.ADD_DOWN: ("#1f6f8b", "max-pooled, added"),
}


def is_known(box: Box | Row) -> bool:
  """Returns whether a block has a colour of its own."""
  return box.block in _SIGNS or box.kind in _SIGNS


def sign(box: Box | Row) -> tuple[str, str]:
  """Returns what is written on a block, and its colour."""
  known = _SIGNS.get(box.block) or _SIGNS.get(box.kind)
  return known or (box.block, _OTHER)


def text(box: Box) -> str:
  """Returns a block's sign and the widths of its kernels."""
  name, _ = sign(box)
  kernels = ", ".join(map(str, box.kernels))
  return f"{name} ({kernels})" if kernels else name


def describe(box: Box | Row) -> str:
  """Returns the first line of a block's own documentation."""
  if box.block == "ds2":
    found = supervision.deep_supervision_v2
  else:
    modules = (blocks, layers, supervision, fcn, unet, attention_unet)
    found = next(vars(m)[box.kind] for m in modules if box.kind in vars(m))
  line = inspect.getdoc(found).splitlines()[0]
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
