"""Pictures of slices: image, truth, prediction and where they differ.

Source: paper 000, Figure 7.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lumbar_jax import metrics
from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.arrays import StudyLabels
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.resampling import resize_images
from lumbar_jax.reports.figures import style

ENOUGH = 0.5  # of the foreground of the study's fullest slice
WORDS = ("best", "median", "worst")
_OPACITY = 0.62
_FILM, _PAPER = "#0b0c0e", "#e8eaed"  # surround and text, as on a light box
_WIDTH_IN = 9.6
_HEADING = {
  "xycoords": "axes fraction",
  "textcoords": "offset points",
  "ha": "center",
  "color": _PAPER,
  "fontsize": 9,
}
_GREY = np.array([128, 128, 128])


@dataclasses.dataclass(frozen=True)
class Case:
  """One slice of a held-out study.

  Attributes:
    study: the prepared study.
    number: of the slice, from 0, left to right.
    truth: [H W] uint8 classes, 255 = ignore.
    predicted: [H W] uint8 classes.
    dice: mean Dice over the foreground classes of this slice, NaN without.
    foreground: number of pixels whose truth is a target class.
  """

  study: PreparedStudy
  number: int
  truth: np.ndarray
  predicted: np.ndarray
  dice: float
  foreground: int


def cases_of(
  study: PreparedStudy, predicted: StudyLabels, scheme: Scheme
) -> list[Case]:
  """Scores every slice of a study.

  Args:
    study: with its truth.
    predicted: [n H W] classes on the native grid.
    scheme: the classes.

  Raises:
    ValueError: the prediction is not on the truth's grid.
  """
  cases = []
  for number, pair in enumerate(zip(study.native_mask, predicted, strict=True)):
    counts = metrics.confusion_host(*pair, scheme.num_classes)
    dice = float(metrics.mean(metrics.dice(counts), with_background=False))
    foreground = int(counts[1:].sum())
    cases.append(Case(study, number, *pair, dice, foreground))
  return cases


def telling(cases: Sequence[Case]) -> Case:
  """Returns the slice of a study with the most classes in its truth.

  Of equals the one nearest to the middle of the volume.
  """
  middle = (len(cases) - 1) / 2

  def rank(case: Case) -> tuple[int, float]:
    present = set(np.unique(case.truth).tolist()) - {IGNORE}
    return len(present), -abs(case.number - middle)

  return max(cases, key=rank)


def choose(studies: Sequence[Sequence[Case]]) -> dict[str, Case]:
  """Chooses the best, median and worst slice by mean foreground Dice.

  Only slices with at least half the foreground of their study's fullest one
  take part: where hardly anything is to be found, Dice says little.

  Args:
    studies: the slices of each study.

  Returns:
    {"best": ..., "median": ..., "worst": ...}; of an even number the lower
    median; fewer entries where there are fewer slices, none where no slice
    has any foreground.
  """
  ranked = []
  for cases in studies:
    enough = max(1.0, ENOUGH * max(case.foreground for case in cases))
    ranked += [case for case in cases if case.foreground >= enough]
  ranked.sort(key=lambda case: -case.dice)
  last = len(ranked) - 1
  places = {"best": 0, "median": (last + 1) // 2, "worst": last}
  words = {0: (), 1: ("best",), 2: ("best", "worst")}.get(len(ranked), WORDS)
  return {word: ranked[places[word]] for word in words}


def film(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Returns a channel [h w] as grey [H W 3] in 0..255, 1 % clipped."""
  picture = resize_images(np.asarray(image)[None], shape)[0]
  low, high = np.percentile(picture, (1, 99))
  grey = np.clip((picture - low) / max(high - low, 1e-6), 0, 1) * 255
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
  picture[counted & (truth > 0)] = 52
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
    grid = _panels(figure, len(cases), len(columns), frame[0] / frame[1])
    for number, (axes, case) in enumerate(zip(grid, cases, strict=True)):
      word = f"{headings[number]}: " if headings else ""
      _draw_row(axes, case, scheme, len(channels), frame)
      axes[0].set_title(word + title(case), color=_PAPER, fontsize=8.5, pad=4)
    for axes, name in zip(grid[0], columns, strict=True):
      axes.annotate(name, (0.5, 1), (0, 20), **_HEADING)
    _legend(figure, scheme, cases)
  return figure


def _panels(figure, num_rows: int, num_columns: int, ratio: float):
  """Returns [rows][columns] axes of height = ratio * width, on one sheet."""
  gap, line, margin = 0.07, 0.24, 0.1  # inches
  width = (_WIDTH_IN - 2 * margin + gap) / num_columns - gap
  height = width * ratio
  total = num_rows * (height + line) + line + 0.65  # the legend's
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


def title(case: Case) -> str:
  """Returns "sub-001_ses-01, slice 5 of 9, Dice 0.912"."""
  place = f"slice {case.number + 1} of {len(case.study.image)}"
  return f"{case.study.name}, {place}, Dice {case.dice:.3f}"


def _draw_row(axes, case: Case, scheme: Scheme, num_channels: int, frame):
  """Fills a row of panels, each `frame` (height, width) mm."""
  image = case.study.image[case.number]
  greys = [film(image[..., c], case.truth.shape) for c in range(num_channels)]
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


def _legend(figure, scheme: Scheme, cases: Sequence[Case]) -> None:
  """One legend of the classes that occur, and of the error map."""
  seen = {
    n for c in cases for m in (c.truth, c.predicted) for n in np.unique(m)
  }
  handles = [
    Patch(color=structure.color, label=structure.name)
    for number, structure in enumerate(scheme.structures)
    if number in seen and number > 0
  ]
  if IGNORE in seen:
    handles.append(Patch(color=_GREY / 255, label="not counted"))
  handles += [
    Patch(color="white", label="errors: nothing is there"),
    Patch(color="#343434", label="errors: none"),
  ]
  figure.legend(
    handles=handles,
    loc="lower center",
    ncols=7,
    labelcolor=_PAPER,
    fontsize=8,
    handlelength=1,
    handleheight=1,
  )
