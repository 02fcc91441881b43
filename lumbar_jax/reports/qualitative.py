"""Slices as several models segment them, beside the truth.

Source: paper 000, Figure 7.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.errors import InputError
from lumbar_jax.reports.film import class_entries, grey_picture, overlay
from lumbar_jax.reports.strips import Strip, draw_strips


@dataclasses.dataclass(frozen=True)
class Example:
  """One slice.

  Attributes:
    title: words above it, "sub-001_ses-01, slice 5 of 9".
    channels: {name: [h w] intensities}; the classes are laid over the first.
    truth: [H W] uint8 classes, 255 = ignore.
    predictions: {model: [H W] uint8 classes}.
    spacing_mm: (row, column) of the label maps.
  """

  title: str
  channels: Mapping[str, np.ndarray]
  truth: np.ndarray
  predictions: Mapping[str, np.ndarray]
  spacing_mm: tuple[float, float]


def qualitative(
  examples: Sequence[Example],
  scheme: Scheme,
  margin_mm: float | None = 8,
  **size: float,
) -> Figure:
  """Draws a row an example: the channels, truth, then every model.

  Superior is up and anterior left, in millimetres, all rows to one scale; the
  bar is 5 cm long.

  Args:
    examples: at least one, all with the same channels and models.
    scheme: the classes.
    margin_mm: what is shown around the classes of truth and predictions; None
      shows whole slices.
    **size: width_in of `draw_strips`.

  Raises:
    InputError: the examples' channels or models differ.
  """
  columns = _columns(examples[0])
  for example in examples:
    if _columns(example) != columns:
      raise InputError(
        f"example {example.title!r} has {', '.join(_columns(example))}",
        f"the first one has {', '.join(columns)}: give all the same",
      )
  strips = [_strip(example, scheme, margin_mm) for example in examples]
  maps = [labels for example in examples for labels in _maps(example)]
  return draw_strips(columns, strips, class_entries(scheme, maps), **size)


def _columns(example: Example) -> list[str]:
  return [*example.channels, "truth", *example.predictions]


def _maps(example: Example) -> list[np.ndarray]:
  return [example.truth, *example.predictions.values()]


def _strip(example: Example, scheme: Scheme, margin_mm) -> Strip:
  """Returns an example's pictures, cut to what is to be shown."""
  shape = example.truth.shape
  greys = [grey_picture(c, shape) for c in example.channels.values()]
  pictures = [grey.astype(np.uint8) for grey in greys]
  pictures += [overlay(greys[0], maps, scheme) for maps in _maps(example)]
  part = _part(example, margin_mm)
  cut = [picture[part] for picture in pictures]
  size_mm = tuple(np.multiply(cut[0].shape[:2], example.spacing_mm))
  return Strip(example.title, cut, size_mm)


def _part(example: Example, margin_mm: float | None) -> tuple[slice, ...]:
  """Returns the rows and columns around the classes, all if there are none."""
  maps = np.stack(_maps(example))
  classes = ((maps > 0) & (maps != IGNORE)).any(0)
  if margin_mm is None or not classes.any():
    return slice(None), slice(None)
  part = []
  for axis, spacing in enumerate(example.spacing_mm):
    found = np.flatnonzero(classes.any(1 - axis))
    margin = round(margin_mm / spacing)
    part.append(slice(max(found[0] - margin, 0), found[-1] + margin + 1))
  return tuple(part)
