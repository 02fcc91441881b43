"""Rows of pictures of slices on black, to one scale, with a legend."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lumbar_jax.reports.style import style

_FILM, _PAPER = "#0b0c0e", "#e8eaed"  # surround and text, as on a light box
_WIDTH_IN = 9.6
_LEGEND_COLUMNS = 7


@dataclasses.dataclass(frozen=True)
class Strip:
  """A row of pictures of one slice.

  Attributes:
    title: words above the row.
    pictures: each [H W 3] uint8, all of one size.
    size_mm: (height, width).
  """

  title: str
  pictures: Sequence[np.ndarray]
  size_mm: tuple[float, float]


def draw_strips(
  columns: Sequence[str],
  rows: Sequence[Strip],
  entries: Sequence[Patch],
  width_in: float = _WIDTH_IN,
) -> Figure:
  """Draws strips of pictures below each other, all to one scale.

  Args:
    columns: names above the pictures.
    rows: as many pictures each as there are columns.
    entries: of the legend.
    width_in: of the figure, inches.
  """
  frame = np.max([row.size_mm for row in rows], axis=0)
  with style():
    figure = Figure(facecolor=_FILM)
    legend_in = 0.2 + 0.18 * -(-len(entries) // _LEGEND_COLUMNS)
    shape = (len(rows), len(columns))
    grid = _panels(figure, shape, frame[0] / frame[1], legend_in, width_in)
    for axes, row in zip(grid, rows, strict=True):
      _draw_row(axes, row, frame)
    for axes, name in zip(grid[0], columns, strict=True):
      axes.annotate(
        name,
        (0.5, 1),
        (0, 20),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        color=_PAPER,
        fontsize=_heading_size(columns, width_in),
      )
    figure.legend(
      handles=entries,
      loc="lower center",
      ncols=_LEGEND_COLUMNS,
      labelcolor=_PAPER,
      fontsize=8,
      handlelength=1,
      handleheight=1,
    )
  return figure


def _heading_size(columns: Sequence[str], width_in: float) -> float:
  """Returns the font size, points, at which the longest name has room."""
  longest = max(map(len, columns))
  return min(9.0, 72 * width_in / len(columns) / (0.65 * longest))


def _panels(
  figure,
  shape: tuple[int, int],
  ratio: float,
  legend_in: float,
  width_in: float,
):
  """Returns [rows][columns] axes of height = ratio * width, on one sheet."""
  num_rows, num_columns = shape
  gap, line, margin = 0.07, 0.24, 0.1  # inches
  width = (width_in - 2 * margin + gap) / num_columns - gap
  height = width * ratio
  total = num_rows * (height + line) + line + legend_in
  figure.set_size_inches(width_in, total)
  return [
    [
      figure.add_axes(
        (
          (margin + column * (width + gap)) / width_in,
          1 - (line + (row + 1) * (line + height)) / total,
          width / width_in,
          height / total,
        )
      )
      for column in range(num_columns)
    ]
    for row in range(num_rows)
  ]


def _draw_row(axes, row: Strip, frame) -> None:
  """Fills a row of panels, each `frame` (height, width) mm."""
  height, width = row.size_mm
  left, top = (frame[1] - width) / 2, (frame[0] - height) / 2
  for panel, picture in zip(axes, row.pictures, strict=True):
    extent = (left, left + width, top + height, top)
    panel.imshow(picture, extent=extent, aspect="equal")
    panel.set(xlim=(0, frame[1]), ylim=(frame[0], 0), xticks=[], yticks=[])
    panel.set_facecolor(_FILM)
    panel.spines[:].set_visible(False)
    panel.grid(False)
  marks = {"color": _PAPER, "fontsize": 7, "va": "center"}
  axes[0].text(0.02, 0.5, "A", transform=axes[0].transAxes, **marks)
  axes[0].text(0.95, 0.5, "P", transform=axes[0].transAxes, **marks)
  bar = left + 0.05 * width + np.array([0, 50])
  axes[0].plot(bar, [top + 0.97 * height] * 2, color=_PAPER, lw=1.6)
  axes[0].set_title(row.title, color=_PAPER, fontsize=8.5, pad=4)
