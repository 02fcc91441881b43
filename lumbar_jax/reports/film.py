"""Pictures of slices: image, truth, prediction and where they differ.

Source: paper 000, Figure 7.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.data.resampling import resize_images
from lumbar_jax.reports.slices import Case, title
from lumbar_jax.reports.style import style

_OPACITY = 0.6
_GAMMA = 0.8  # lifts tissue far from the coil
_FILM, _PAPER = "#0b0c0e", "#e8eaed"  # surround and text, as on a light box
_WIDTH_IN = 9.6
_LEGEND_COLUMNS = 7
_HEADING = {
  "xycoords": "axes fraction",
  "textcoords": "offset points",
  "ha": "center",
  "color": _PAPER,
  "fontsize": 9,
}
_GREY, _RIGHT = np.full(3, 128), np.full(3, 52)


def grey_picture(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Returns a channel [h w] as grey [H W 3] in 0..255, 1 % clipped."""
  picture = resize_images(np.asarray(image)[None], shape)[0]
  low, high = np.percentile(picture, (1, 99))
  grey = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
  grey = 255 * grey**_GAMMA
  return np.repeat(grey[..., None], 3, axis=-1)


def overlay(grey: np.ndarray, labels: np.ndarray, scheme: Scheme) -> np.ndarray:
  """Lays the classes' colours over a picture [H W 3]; 255 becomes grey."""
  colors = np.zeros((256, 3))
  colors[: scheme.num_classes] = scheme.colors
  colors[IGNORE] = _GREY
  painted = (1 - _OPACITY) * grey + _OPACITY * colors[labels]
  return np.where((labels > 0)[..., None], painted, grey).astype(np.uint8)


def error_map(
  truth: np.ndarray, predicted: np.ndarray, scheme: Scheme
) -> np.ndarray:
  """Returns [H W 3] uint8: wrong pixels in the colour of what is there.

  White: nothing is there, yet a structure was predicted. Dark grey: a
  structure, labelled rightly. Pixels whose truth is 255 stay black.
  """
  picture = np.zeros((*truth.shape, 3), np.uint8)
  counted = truth != IGNORE
  wrong = counted & (truth != predicted)
  picture[counted & (truth > 0)] = _RIGHT
  missed = wrong & (truth > 0)
  picture[missed] = scheme.colors[truth[missed]]
  picture[wrong & (truth == 0)] = 255
  return picture


def draw_cases(
  cases: Sequence[Case],
  scheme: Scheme,
  channels: Sequence[str],
  headings: Sequence[str] = (),
) -> Figure:
  """Draws one row a slice: the channels, truth, prediction and errors.

  Superior is up and anterior left, in millimetres, all rows to one scale; the
  bar is 5 cm long.

  Args:
    cases: at least one.
    scheme: the classes.
    channels: names of the images' channels.
    headings: a word before each row's title ("best").
  """
  columns = [*channels, "truth", "prediction", "errors"]
  sizes = [np.multiply(c.truth.shape, c.study.spacing_mm[1:]) for c in cases]
  frame = np.max(sizes, axis=0)
  with style():
    figure = Figure(facecolor=_FILM)
    entries = _legend(scheme, cases)
    legend_in = 0.2 + 0.18 * -(-len(entries) // _LEGEND_COLUMNS)
    shape = (len(cases), len(columns))
    grid = _panels(figure, shape, frame[0] / frame[1], legend_in)
    for number, (axes, case) in enumerate(zip(grid, cases, strict=True)):
      word = f"{headings[number]}: " if headings else ""
      _draw_row(axes, case, scheme, len(channels), frame)
      axes[0].set_title(word + title(case), color=_PAPER, fontsize=8.5, pad=4)
    for axes, name in zip(grid[0], columns, strict=True):
      axes.annotate(name, (0.5, 1), (0, 20), **_HEADING)
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


def _panels(figure, shape: tuple[int, int], ratio: float, legend_in: float):
  """Returns [rows][columns] axes of height = ratio * width, on one sheet."""
  num_rows, num_columns = shape
  gap, line, margin = 0.07, 0.24, 0.1  # inches
  width = (_WIDTH_IN - 2 * margin + gap) / num_columns - gap
  height = width * ratio
  total = num_rows * (height + line) + line + legend_in
  figure.set_size_inches(_WIDTH_IN, total)
  return [
    [
      figure.add_axes(
        (
          (margin + column * (width + gap)) / _WIDTH_IN,
          1 - (line + (row + 1) * (line + height)) / total,
          width / _WIDTH_IN,
          height / total,
        )
      )
      for column in range(num_columns)
    ]
    for row in range(num_rows)
  ]


def _draw_row(axes, case: Case, scheme: Scheme, num_channels: int, frame):
  """Fills a row of panels, each `frame` (height, width) mm."""
  image = case.study.image[case.number]
  greys = [
    grey_picture(image[..., c], case.truth.shape) for c in range(num_channels)
  ]
  pictures = [
    *(grey.astype(np.uint8) for grey in greys),
    overlay(greys[0], case.truth, scheme),
    overlay(greys[0], case.predicted, scheme),
    error_map(case.truth, case.predicted, scheme),
  ]
  height, width = np.multiply(case.truth.shape, case.study.spacing_mm[1:])
  left, top = (frame[1] - width) / 2, (frame[0] - height) / 2
  for panel, picture in zip(axes, pictures, strict=True):
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


def _legend(scheme: Scheme, cases: Sequence[Case]) -> list[Patch]:
  """Returns an entry for each class that occurs, and for the error map."""
  maps = [labels for c in cases for labels in (c.truth, c.predicted)]
  seen = {number for labels in maps for number in np.unique(labels)}
  entries = [
    Patch(color=structure.color, label=structure.name)
    for number, structure in enumerate(scheme.structures)
    if number in seen and number > 0
  ]
  if IGNORE in seen:
    entries.append(Patch(color=_GREY / 255, label="not counted"))
  white = Patch(color="white", label="wrongly labelled background")
  return [*entries, white, Patch(color=_RIGHT / 255, label="labelled rightly")]
