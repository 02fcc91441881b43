"""The pictures of a report, as data URIs with their words."""

import base64
import dataclasses
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging
from matplotlib.figure import Figure

from lumbar_jax.evaluation.results import AVERAGED, MEAN
from lumbar_jax.reports import figures, film, slices
from lumbar_jax.reports.contents import Facts, select
from lumbar_jax.reports.predicted import overlays_of_others
from lumbar_jax.reports.style import DARK, LIGHT, to_jpeg, to_png
from lumbar_jax.runs import Run

FILM_DPI = 130
NUM_EXAMPLES = 3  # evaluated studies in the picture of examples
NUM_OVERLAYS = 8  # pictures of studies without masks


@dataclasses.dataclass(frozen=True)
class Picture:
  """A picture inside the page.

  Attributes:
    source: data URI.
    alt: what it shows, for those who cannot see it.
    caption: what is seen.
    kind: "chart" or "film" (slices on black).
    dark: data URI for dark pages, where it differs.
  """

  source: str
  alt: str
  caption: str
  kind: str = "chart"
  dark: str = ""


def _uri(image: bytes) -> str:
  form = "png" if image.startswith(b"\x89PNG") else "jpeg"
  code = base64.b64encode(image).decode("ascii")
  return f"data:image/{form};base64,{code}"


def chart(draw, *args: Any, alt: str, caption: str) -> Picture:
  """Returns `draw(*args, theme)` for light and for dark pages."""
  light, dark = (_uri(to_png(draw(*args, theme))) for theme in (LIGHT, DARK))
  return Picture(light, alt, caption, dark=dark)


def learning_curves(run: Run, facts: Facts) -> Picture | None:
  """Returns the learning curves, None before the first epoch."""
  if not facts.histories:
    return None
  best_by = run.config.training.best_by
  words = {"accuracy": "accuracy", "iou": "mean IoU"}[best_by]
  return chart(
    lambda theme: figures.learning_curves(facts.histories, theme, best_by),
    alt="Line charts of loss, accuracy and mean IoU by epoch and fold.",
    caption="Loss, accuracy and mean foreground IoU on training (dashed) and "
    "validation patches (solid). The dot is the epoch with the best "
    f"validation {words}, whose weights are used.",
  )


def class_scores(run: Run, facts: Facts) -> Picture | None:
  """Returns the chart of IoU by class, None without an evaluation."""
  rows = select(facts.per_class, fold=MEAN)
  if not rows:
    return None
  return chart(
    figures.class_scores,
    *(rows, run.scheme),
    alt="Dot chart of IoU by class with intervals, MAP and TH.",
    caption="IoU by class, the fold models' mean, with 95 % bootstrap "
    "intervals over patients. The numbers are in the table below.",
  )


def study_boxes(run: Run, facts: Facts) -> Picture | None:
  """Returns the box plot over studies, None without an evaluation."""
  rows = select(
    facts.per_study, fold=facts.shown_fold, labelling=facts.labelling
  )
  if not rows:
    return None
  return chart(
    figures.study_boxes,
    *(rows, run.scheme),
    alt="Box plot of each study's IoU by class.",
    caption=f"IoU by class over the {len(facts.studies)} studies "
    f"({facts.labelling}). Box: quartiles and median; whiskers: the furthest "
    "study within 1.5 box lengths; dots: studies.",
  )


def slices_picture(figure: Figure, alt: str, caption: str) -> Picture:
  """Returns slices, which are black on every page."""
  return Picture(_uri(to_png(figure, FILM_DPI)), alt, caption, "film")


def _film(run: Run, cases, words, alt: str, caption: str) -> Picture:
  channels = run.config.data.channels
  figure = film.draw_cases(cases, run.scheme, channels, words)
  return slices_picture(figure, alt, caption)


def examples(
  run: Run, cases: Mapping[str, Sequence[slices.Case]]
) -> Picture | None:
  """Returns one slice of each of the first studies, None without any."""
  shown = [slices.telling(c) for c in list(cases.values())[:NUM_EXAMPLES]]
  if not shown:
    return None
  return _film(
    run,
    shown,
    (),
    "Slices with truth, prediction and errors: "
    + "; ".join(map(slices.title, shown)),
    f"Of the first {len(shown)} evaluated studies by name, the slice with the "
    "most classes: not chosen by score.",
  )


def extremes(
  run: Run, facts: Facts, cases: Mapping[str, Sequence[slices.Case]]
) -> Picture | None:
  """Returns the best, median and worst slice, None without any."""
  chosen = slices.choose(list(cases.values()))
  if not chosen:
    return None
  shown = list(chosen.values())
  maker = "the fold model that did not see the patient"
  if facts.shown_fold == AVERAGED:
    maker = "the folds' averaged scores"
  return _film(
    run,
    shown,
    list(chosen),
    "; ".join(f"{w}: {slices.title(c)}" for w, c in chosen.items()),
    "Chosen by mean foreground Dice among the slices with at least half the "
    f"foreground of the fullest slice of their study. Prediction: {maker}, "
    "TH. Errors: wrong pixels in "
    "the colour of what is there, white where nothing is there. Superior is "
    "up, anterior (A) left; the bar is 5 cm long.",
  )


def unlabelled(run: Run, facts: Facts) -> dict[str, Any]:
  """Returns pictures of studies without masks, and the paths of the others."""
  digests = facts.environment.get("studies", {})
  scored = [digests[name] for name in facts.studies if name in digests]
  paths = overlays_of_others(run, scored)  # the slices show those already
  shown: dict[Path, Picture] = {}
  for path in paths:
    if len(shown) < NUM_OVERLAYS and (picture := _overlay(path)):
      shown[path] = picture
  left_out = [path for path in paths if path not in shown]
  names = [path.relative_to(run.folder).as_posix() for path in left_out]
  return {"shown": list(shown.values()), "left_out": names}


def _overlay(path: Path) -> Picture | None:
  """Returns a predicted study's picture, as JPEG to keep the page small.

  A damaged file, of a prediction that was killed or copied badly, is None.
  """
  name = path.name.removesuffix("_overlay.png")
  alt = f"Slices of {name} with the predicted classes over them"
  try:
    return Picture(_uri(to_jpeg(path)), alt, name, "film")
  except (OSError, SyntaxError, ValueError, zlib.error, struct.error) as error:
    logging.warning("%s: damaged picture (%s)", path, error)
    return None
