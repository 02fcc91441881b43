"""A picture of a segmentation: slices, and the same with the classes on top."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.arrays import SliceLabels, StudyLabels
from lumbar_jax.data.volumes import Volume
from lumbar_jax.escaping import one_line
from lumbar_jax.files import atomic_path
from lumbar_jax.timing import stage

NUM_SLICES = 3
OPACITY = 0.4
_PANEL_IN = 3.9  # longer side of a panel, inches
_LEGEND_IN = 2.3
_LOWEST_IN = 4.2  # room for the legend beside flat slices
_DPI = 110
_GAMMA = 0.8  # lifts dark tissue far from the coil
_BACK, _INK, _FAINT, _WARN = "#14161a", "#e8eaed", "#7b8088", "#ffb020"


def choose_slices(labels: StudyLabels, num_slices: int = NUM_SLICES):
  """Returns the slices to show: spread evenly over what was found.

  The foreground of all slices is cut into `num_slices` equal parts and the
  slice in the middle of each is taken; without foreground, or with fewer
  slices that have any, the slices themselves are cut.
  """
  content = (np.asarray(labels) > 0).sum(axis=(1, 2)).astype(float)
  num_slices = min(num_slices, len(labels))
  if (content > 0).sum() < num_slices:
    content = np.ones(len(labels)) + content / max(content.max(), 1)
  parts = (np.arange(num_slices) + 0.5) / num_slices
  chosen = np.searchsorted(np.cumsum(content) / content.sum(), parts)
  chosen = sorted(set(np.minimum(chosen, len(labels) - 1).tolist()))
  return chosen


@stage("overlay")
def write_overlay(
  path: str | Path,
  volume: Volume,
  labels: StudyLabels,
  scheme: Scheme,
  *,
  title: str = "",
  flags: Sequence[str] = (),
) -> None:
  """Writes a PNG: superior at the top, anterior at the left, true aspect.

  Args:
    path: the file.
    volume: the image, [n H W].
    labels: [n H W] uint8 classes of `scheme`.
    scheme: names and colours.
    title: what is written above.
    flags: warnings that are written below the title.
  """
  from matplotlib import rc_context

  with rc_context({"text.parse_math": False}):  # names may hold a $
    figure = _draw_overlay(volume, labels, scheme, title, flags)
  with atomic_path(path) as scratch:
    figure.savefig(scratch, format="png", facecolor=_BACK)


def _draw_overlay(volume: Volume, labels, scheme: Scheme, title: str, flags):
  """Returns the figure that `write_overlay` writes."""
  chosen = choose_slices(labels)
  figure, axes = _figure(volume, len(chosen))
  low, width = _window(volume.array)
  for column, number in enumerate(chosen):
    gray = np.clip((volume.array[number] - low) / width, 0, 1) ** _GAMMA
    _draw(axes[:, column], gray, labels[number], volume, scheme)
    axes[0, column].set_title(
      f"slice {number + 1} of {len(labels)}", color=_INK, fontsize=9, pad=4
    )
  _directions(axes[0, 0])
  _write_title(figure, one_line(title), list(map(one_line, flags)))
  _legend(figure, volume, labels, scheme)
  return figure


def _figure(volume: Volume, num_columns: int):
  """Returns a figure with 2 rows of panels shaped like a slice."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  height, width = np.multiply(volume.array.shape[1:], volume.spacing_mm[1:])
  longest = max(height, width)
  panel = np.maximum([width, height], longest / 4) * _PANEL_IN / longest
  size = (panel[0] * num_columns + _LEGEND_IN, 2 * panel[1] + 0.95)
  size = (size[0], max(size[1], _LOWEST_IN))
  figure = Figure(figsize=size, dpi=_DPI, facecolor=_BACK)
  FigureCanvasAgg(figure)  # not pyplot: no display, no state between calls
  axes = figure.subplots(2, num_columns, squeeze=False)
  figure.subplots_adjust(
    left=0.06 / size[0],
    right=1 - _LEGEND_IN / size[0],
    bottom=0.06 / size[1],
    top=1 - 0.85 / size[1],
    wspace=0.02,
    hspace=0.02,
  )
  return figure, axes


def _window(array: np.ndarray) -> tuple[float, float]:
  """Returns (lowest, width) of the grey values to show."""
  tissue = array[array > array.min()]
  low, high = np.percentile(tissue if tissue.size else array, (0.5, 99))
  return float(low), float(max(high - low, 1e-6))


def _draw(
  axes, gray: np.ndarray, labels: SliceLabels, volume: Volume, scheme: Scheme
) -> None:
  """Draws a slice into axes[0], and with its classes into axes[1]."""
  _, row_mm, column_mm = volume.spacing_mm
  image = np.repeat(gray[..., None], 3, axis=-1)
  shown = np.flatnonzero(np.bincount(labels.ravel(), minlength=1))
  shown = [k for k in shown if 0 < k < scheme.num_classes and k != IGNORE]
  mixed = image.copy()
  for number in shown:
    here = labels == number
    color = scheme.colors[number] / 255
    mixed[here] = (1 - OPACITY) * image[here] + OPACITY * color
  for place, picture in zip(axes, (image, mixed), strict=True):
    place.imshow(
      picture, aspect=row_mm / column_mm, interpolation="antialiased"
    )
    place.set_axis_off()
  if min(labels.shape) < 2:  # nothing to draw a contour in
    return
  for number in shown:
    axes[1].contour(
      labels == number,
      levels=[0.5],
      colors=[scheme.structures[number].color],
      linewidths=0.9,
    )


def _directions(axes) -> None:
  """Marks superior, inferior, anterior and posterior on a panel."""
  from matplotlib.patheffects import withStroke

  ends = {
    "S": (0.5, 0.97),
    "I": (0.5, 0.03),
    "A": (0.03, 0.5),
    "P": (0.97, 0.5),
  }
  for letter, (x, y) in ends.items():
    axes.text(
      *(x, y, letter),
      transform=axes.transAxes,
      color=_WARN,
      fontsize=9,
      ha="center",
      va="center",
      path_effects=[withStroke(linewidth=2, foreground=_BACK)],
    )


def _write_title(figure, title: str, flags: Sequence[str]) -> None:
  """Writes the title, and below it the flags."""
  width, height = figure.get_size_inches()
  left, letters = 0.1 / width, max(int(width * 11), 20)
  warnings = "; ".join(flags)
  for text, size, color, top in (
    (textwrap.shorten(title, letters, placeholder="..."), 12, _INK, 0.12),
    (textwrap.shorten(warnings, letters, placeholder="..."), 9, _WARN, 0.37),
  ):
    figure.text(left, 1 - top / height, text, color=color, size=size, va="top")


def _legend(
  figure, volume: Volume, labels: StudyLabels, scheme: Scheme
) -> None:
  """Lists the classes with their volumes in the whole study."""
  width, height = figure.get_size_inches()
  voxel_ml = float(np.prod(volume.spacing_mm)) / 1000
  counts = np.bincount(np.ravel(labels), minlength=256)
  step = min(0.27, (height - 1.2) / max(scheme.num_classes - 1, 1))
  for row, structure in enumerate(scheme.structures[1:]):
    top = 1 - (0.95 + row * step) / height
    found = counts[row + 1] * voxel_ml
    name = one_line(structure.name)
    name = textwrap.shorten(name, 18, placeholder="...")
    amount = f"{found:.1f} mL" if counts[row + 1] else "none"
    ink = _INK if counts[row + 1] else _FAINT
    for inset, text, color, size, side in (
      (_LEGEND_IN - 0.2, "\N{BLACK SQUARE}", structure.color, 12, "left"),
      (_LEGEND_IN - 0.4, name, ink, 8.5, "left"),
      (0.12, amount, ink, 8.5, "right"),
    ):
      figure.text(
        *(1 - inset / width, top, text),
        color=color,
        size=size,
        ha=side,
        va="center",
      )
