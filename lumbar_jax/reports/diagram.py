"""Draws a network from its graph, as paper 000's Figures 4 and 5 do."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch

from lumbar_jax.files import atomic_path
from lumbar_jax.models.summary import Summary
from lumbar_jax.reports.diagram_boxes import IMAGE, Box, Layout, Link
from lumbar_jax.reports.diagram_layout import arrange
from lumbar_jax.reports.diagram_legend import LINKS, add_legend, sign, text
from lumbar_jax.reports.style import LIGHT, Theme, style, to_png

_SCALE_X, _SCALE_Y = 1.32, 1.0  # inches of a unit of the layout


def _draw_box(axes, box: Box, theme: Theme) -> None:
  image = box.kind == IMAGE
  color = theme.paper if image else sign(box)[1]
  half_width, half_height = box.half_width, box.half_height
  axes.add_patch(
    FancyBboxPatch(
      (box.x - half_width, box.y - half_height),
      2 * half_width,
      2 * half_height,
      boxstyle="round,pad=0,rounding_size=0.05",
      mutation_aspect=_SCALE_X / _SCALE_Y,
      facecolor=color,
      edgecolor=theme.muted,
      linestyle="--" if image else "-",
      linewidth=0.8,
      zorder=3,
    )
  )
  ink = theme.ink if image else LIGHT.ink
  shape = " × ".join(map(str, box.shape))
  size = 7.5 if half_height > 0.18 else 6.6
  place = {"ha": "center", "va": "center", "color": ink, "zorder": 4}
  axes.text(box.x, box.y - 0.4 * half_height, text(box), size=size,
            weight="bold", **place)  # fmt: skip
  axes.text(box.x, box.y + 0.45 * half_height, shape, size=6.2, **place)


def _draw_sum(axes, box: Box, theme: Theme) -> None:
  """Draws the sum at the right of a level of deep supervision."""
  x, half_width, half_height = box.exit
  axes.plot([box.x, x], [box.y, box.y], color=theme.muted, lw=1.1, zorder=1)
  axes.add_patch(
    Ellipse(
      (x, box.y),
      2 * half_width,
      2 * half_height,
      facecolor=theme.paper,
      edgecolor=theme.ink,
      linewidth=0.8,
      zorder=3,
    )
  )
  arms = {"color": theme.ink, "lw": 0.9, "zorder": 4}
  axes.plot([x - half_width / 2, x + half_width / 2], [box.y] * 2, **arms)
  axes.plot([x] * 2, [box.y - half_height / 2, box.y + half_height / 2], **arms)


def _draw_link(axes, link: Link) -> None:
  color, _ = LINKS[link.kind]
  xs, ys = zip(*link.points, strict=True)
  axes.plot(xs, ys, color=color, lw=1.1, solid_joinstyle="round", zorder=1)
  axes.annotate(
    "",
    xy=link.points[-1],
    xytext=link.points[-2],
    arrowprops={
      "arrowstyle": "-|>,head_width=0.14,head_length=0.28",
      "color": color,
      "lw": 1.1,
      "shrinkA": 0,
      "shrinkB": 0,
    },
    zorder=2,
  )


def _headline(summary: Summary) -> str:
  rows, columns, channels = summary.image
  field = summary.receptive_field_px
  return (
    f"{summary.params / 1e6:.1f} M parameters   "
    f"{summary.macs / 1e9:.1f} GMACs at {rows} × {columns} × {channels}   "
    f"receptive field {field or '?'} pixels"
  )


def draw(summary: Summary, title: str, theme: Theme = LIGHT) -> Figure | None:
  """Draws a network's blocks and what flows between them.

  Args:
    summary: of the network.
    title: its name.
    theme: colours of the page.

  Returns:
    The figure; None for networks that have no layout. On a box: the block, the
    widths of its kernels in brackets, and rows x columns x channels.
  """
  layout = arrange(summary)
  if layout is None:
    return None
  with style(theme, formulas=True):
    figure, axes = _canvas(layout)
    for link in layout.links:
      _draw_link(axes, link)
    for box in layout.boxes:
      _draw_box(axes, box, theme)
      if box.adds:
        _draw_sum(axes, box, theme)
    (left, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    place = {"x": left + 0.14, "va": "center"}
    axes.text(y=top + 0.14, s=title, size=14, weight="bold", **place)
    axes.text(
      y=top + 0.4, s=_headline(summary), size=7.5, color=theme.muted, **place
    )
    add_legend(axes, layout, right - left)
  return figure


def _canvas(layout: Layout) -> tuple[Figure, Axes]:
  """Returns empty axes in the layout's units, with room for the title."""
  xs = [box.x for box in layout.boxes]
  ys = [box.y for box in layout.boxes]
  corners = [x for link in layout.links for x, _ in link.points]
  left, right = min(xs) - 0.5, max(*xs, *corners) + 0.5
  top, bottom = min(ys) - 0.8, max(ys) + 0.35
  size = ((right - left) * _SCALE_X, (bottom - top) * _SCALE_Y)
  figure = Figure(figsize=size)
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set(xlim=(left, right), ylim=(bottom, top))
  axes.set_axis_off()
  return figure, axes


def write(figure: Figure, stem: Path) -> tuple[Path, Path]:
  """Writes STEM.png and STEM.svg, the same bytes for the same figure."""
  png, svg = (stem.with_name(stem.name + end) for end in (".png", ".svg"))
  with atomic_path(png) as scratch:
    scratch.write_bytes(to_png(figure, dpi=150))
  fixed = mpl.rc_context({"svg.hashsalt": stem.name})
  with fixed, atomic_path(svg) as scratch:
    figure.savefig(scratch, bbox_inches="tight", pad_inches=0.08,
                   metadata={"Date": None})  # fmt: skip
  return png, svg
