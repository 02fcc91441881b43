"""Where the blocks of a network stand in its diagram.

A layout only knows which column a block's name belongs to; all else is read
from the network's graph.
"""

import re

from lumbar_jax.models.graph import INPUT, OUTPUT
from lumbar_jax.models.summary import Summary
from lumbar_jax.reports.diagram_boxes import LADDERS, Builder, Layout


def _part(name: str) -> str:
  """Returns a block's name without its level."""
  return re.sub(r"_\d+$", "", name)


def _columns(names: list[str]) -> dict[str, float]:
  """Returns x of each part of a U-Net; sums need a little more room."""
  x = {"multi_kernel": -1.0, "encoder": 0.0, "gate": 1.0, "ds1": 1.0}
  x["bottleneck"], x["ds2"], x["decoder"] = 1.0, 2.15, 2.0
  if "ds1" in names:
    x["decoder"] = 3.15 if "ds2" in names else 2.15
  x["up"], x["ds3"] = x["decoder"], x["decoder"] + 1
  x["classify"] = x["decoder"] + (2.15 if "ds3" in names else 1)
  return x


def _unet(summary: Summary) -> Layout:
  """The encoder descends, the decoder ascends (paper 000, Figures 4 and 5)."""
  builder = Builder(summary)
  names = list(builder.rows)
  columns = _columns(names)
  encoders = [name for name in names if name.startswith("encoder_")]
  for name in names:
    part = _part(name)
    level = builder.level(builder.rows[name].shapes[0])
    if builder.rows[name].kind in LADDERS:
      builder.place_ladder(name, columns[name])
    elif name == encoders[-1]:  # below the level that a ladder has there
      builder.place(name, columns["bottleneck"], level + ("ds1" in names))
    else:
      builder.place(name, columns[part], level + 0.5 * (part == "up"))
  first = "multi_kernel" if "multi_kernel" in names else encoders[0]
  return _with_images(builder, first)


def _fcn(summary: Summary) -> Layout:
  """VGG16 descends; scores of three depths are summed on the way up."""
  builder = Builder(summary)
  names = [r.block for r in summary.rows if r.kind != "Activation"]
  for name in names:
    if name == "classify":
      builder.place_ladder(name, 2)
    else:
      builder.place(name, 1 if name == names[-2] else 0)
  return _with_images(builder, names[0])


def _with_images(builder: Builder, first: str) -> Layout:
  """Places the input over the first block, the output over the last."""
  boxes = list(builder.boxes.values())
  (start,) = (box for box in boxes if box.block == first)
  end = min((box for box in boxes if box.block == "classify"),
            key=lambda box: box.y)  # fmt: skip
  builder.place_image(INPUT, start.x, -0.8, builder.summary.image)
  builder.place_image(OUTPUT, end.exit[0], -0.8, builder.summary.output)
  return builder.connect()


def arrange(summary: Summary) -> Layout | None:
  """Returns the layout of a network; None where there is none for its kind."""
  kinds = set(summary.graph.kinds.values())
  names = [row.block for row in summary.rows]
  known = {_part(name) for name in names} <= set(_columns(names))
  if "decoder_1" in names and known:
    return _unet(summary)
  return _fcn(summary) if "FuseScores" in kinds else None
