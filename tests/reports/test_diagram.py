"""Diagrams: every block is there, nothing overlaps, nothing is typed in."""

import functools
import itertools
import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lumbar_jax import models
from lumbar_jax.models.summary import summarize
from lumbar_jax.reports import diagram
from lumbar_jax.reports.diagram_layout import arrange
from lumbar_jax.reports.style import DARK

IMAGE = (128, 96, 3)
CASES = [
  *((name, {}) for name in ("FCN", "U1", "UAMD", "UVMD", "UMDD", "UDD2")),
  ("UD", {"ds3_from_bottleneck": True}),
  ("UDD", {"ds3_from_bottleneck": True}),
  ("U-Net", {}),
  ("AttentionU-Net", {}),
]


@functools.cache
def _summary(name, image=IMAGE, classes=7, **overrides):
  return summarize(models.build(name, classes, **overrides), image)


def _overlap(a, b):
  return (
    abs(a.x - b.x) < a.half_width + b.half_width
    and abs(a.y - b.y) < a.half_height + b.half_height
  )


def _crosses(start, end, box):
  """Whether a horizontal or vertical piece goes through a box' inside."""
  (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(start, end, strict=True))
  inside = 1e-6
  return (
    x0 < box.x + box.half_width - inside
    and x1 > box.x - box.half_width + inside
    and y0 < box.y + box.half_height - inside
    and y1 > box.y - box.half_height + inside
  )


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_every_block_is_there_and_nothing_overlaps(name, overrides):
  summary = _summary(name, width=4, **overrides)
  layout = arrange(summary)
  drawn = {box.block for box in layout.boxes}
  blocks = {r.block for r in summary.rows if r.kind != "Activation"}
  assert drawn == blocks | {"input", "output"}
  for a, b in itertools.combinations(layout.boxes, 2):
    assert not _overlap(a, b), (a, b)
  for link in layout.links:
    for start, end in itertools.pairwise(link.points):
      assert start[0] == end[0] or start[1] == end[1], link
      for box in layout.boxes:
        assert not _crosses(start, end, box), (link, box)


@pytest.mark.parametrize("name", ["UMD", "UDD2", "FCN", "AttentionU-Net"])
def test_texts_stand_inside_their_boxes(name):
  summary = _summary(name, (1024, 1024, 2), 20)
  figure = diagram.draw(summary, name)
  renderer = FigureCanvasAgg(figure).get_renderer()
  (axes,) = figure.axes
  boxes = {(box.x, box.y): box for box in arrange(summary).boxes}
  checked = 0
  for text in axes.texts:
    x, y = text.get_position()
    near = [b for b in boxes.values() if b.x == x and abs(b.y - y) < 0.2]
    if text.get_text() and near:
      ends = text.get_window_extent(renderer).get_points()
      (x0, y0), (x1, y1) = axes.transData.inverted().transform(ends)
      (box,) = near
      assert box.x - box.half_width < x0 < x1 < box.x + box.half_width, text
      assert box.y - box.half_height < y1 < y0 < box.y + box.half_height, text
      checked += 1
  assert checked == 2 * len(boxes)


def _texts(summary, title="net"):
  (axes,) = diagram.draw(summary, title, DARK).axes
  legend = [text.get_text() for text in axes.get_legend().get_texts()]
  return [text.get_text() for text in axes.texts], legend


def test_what_is_written_is_the_network():
  narrow, _ = _texts(_summary("UVDD", width=6))
  assert narrow.count("V (3, 3)") == 2
  assert narrow.count("V (3, 3, 3)") == 3
  assert narrow.count("DS.v1 (1)") == 5
  assert narrow.count("TC (3)") == 4
  assert "128 × 96 × 7" in narrow  # the output
  assert "8 × 6 × 96" in narrow  # the bottleneck
  assert "TC (2)" in _texts(_summary("U1", width=4, up_kernel=2))[0]


def test_the_legend_names_the_kinds_that_are_there():
  signs = {
    name: {re.split(r"\W", t)[0] for t in _texts(_summary(name, width=4))[1]}
    for name in ("UMDD", "U1")
  }
  assert {"U", "M", "TC", "DS"} <= signs["UMDD"]
  assert not {"M", "DS"} & signs["U1"]
  _, legend = _texts(_summary("UDD2", width=4))
  assert sum(text.startswith("DS.v") for text in legend) == 3


def test_a_network_without_a_layout_is_not_drawn():
  assert diagram.draw(_summary("ResUNet++", width=8), "net") is None


def test_files_are_the_same_for_the_same_network(tmp_path):
  written = []
  for folder in ("a", "b"):
    figure = diagram.draw(_summary("U1", width=4), "U1")
    paths = diagram.write(figure, tmp_path / folder / "U1")
    assert [path.name for path in paths] == ["U1.png", "U1.svg"]
    written.append([path.read_bytes() for path in paths])
  assert written[0] == written[1]
  assert written[0][0][:4] == b"\x89PNG"
  assert b"</svg>" in written[0][1]
