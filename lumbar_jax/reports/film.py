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
from lumbar_jax.reports.strips import Strip, draw_strips

_OPACITY = 0.6
_GAMMA = 0.8  # lifts tissue far from the coil
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
  rows = [
    Strip(
      (f"{headings[number]}: " if headings else "") + title(case),
      _pictures(case, scheme, len(channels)),
      tuple(np.multiply(case.truth.shape, case.study.spacing_mm[1:])),
    )
    for number, case in enumerate(cases)
  ]
  maps = [labels for c in cases for labels in (c.truth, c.predicted)]
  white = Patch(color="white", label="wrongly labelled background")
  right = Patch(color=_RIGHT / 255, label="labelled rightly")
  return draw_strips(
    columns, rows, [*class_entries(scheme, maps), white, right]
  )


def _pictures(case: Case, scheme: Scheme, num_channels: int):
  """Returns a case's channels, truth, prediction and errors as pictures."""
  image = case.study.image[case.number]
  greys = [
    grey_picture(image[..., c], case.truth.shape) for c in range(num_channels)
  ]
  return [
    *(grey.astype(np.uint8) for grey in greys),
    overlay(greys[0], case.truth, scheme),
    overlay(greys[0], case.predicted, scheme),
    error_map(case.truth, case.predicted, scheme),
  ]


def class_entries(scheme: Scheme, maps: Sequence[np.ndarray]) -> list[Patch]:
  """Returns a legend's entry for each class that occurs in label maps."""
  seen = {number for labels in maps for number in np.unique(labels)}
  entries = [
    Patch(color=structure.color, label=structure.name)
    for number, structure in enumerate(scheme.structures)
    if number in seen and number > 0
  ]
  if IGNORE in seen:
    entries.append(Patch(color=_GREY / 255, label="not counted"))
  return entries
