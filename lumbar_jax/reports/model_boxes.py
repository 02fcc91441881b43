"""How several models do on the studies, class by class, with stars.

Source: paper 000, Figure 8.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lumbar_jax.anatomy import Scheme
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.evaluation.wilcoxon import Comparison, compare_models
from lumbar_jax.reports.style import LIGHT, Theme, style

# Told apart with every common colour blindness (Okabe and Ito 2008), then
# again, lighter: more than eight models need their order as well.
MODEL_COLORS = (
  *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
  *("#8c8c8c", "#f0e442", "#7fb8d8", "#f2cf80", "#80ceb9", "#e5bcd3"),
)
_COLUMNS = 4
_WIDTH_IN = 9.6
_ROOM = 0.17  # above the boxes, for stars; of the panel's span

# {class: {study: IoU}} of a model
StudyScores = Mapping[str, Mapping[str, float]]


def model_boxes(
  scores: Mapping[str, StudyScores],
  scheme: Scheme,
  reference: str,
  patients: Mapping[str, str],
  theme: Theme = LIGHT,
) -> Figure:
  """Draws the studies' IoU as boxes, a panel a class and a box a model.

  A star stands over a box whose model differs from the reference in that class
  (two-sided Wilcoxon signed-rank test, p < .05, as in the paper; a patient's
  studies averaged first); it is filled where the difference also survives
  Holm's correction for all tests drawn.
  Each panel has its own scale.

  Args:
    scores: {model: {class: {study: IoU}}}, see `wilcoxon.study_scores`; the
      boxes stand in this order. NaNs are left out.
    scheme: the classes, a panel each.
    reference: the model that the others are tested against.
    patients: {study: whose it is}; tests count patients, boxes studies.
    theme: colours.

  Returns:
    Boxes from quartile to quartile with the median, whiskers to the furthest
    study within 1.5 box lengths, studies beyond as dots.

  Raises:
    InputError: the reference is no model, or a model lacks a class.
  """
  _check(scores, scheme, reference)
  chosen = {m: {n: c[n] for n in scheme.names} for m, c in scores.items()}
  tests = compare_models(chosen, reference, patients)
  num_rows = -(-scheme.num_classes // _COLUMNS)
  with style(theme):
    figure = Figure((_WIDTH_IN, 1.75 * num_rows + 0.5), layout="constrained")
    grid = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
    for axes, name in zip(grid, scheme.names, strict=False):
      values = {model: list(c[name].values()) for model, c in chosen.items()}
      starred = {m: tests[m, name] for m in scores if m != reference}
      _panel(axes, name, values, starred, theme)
    for axes in grid[scheme.num_classes :]:
      axes.set_axis_off()
    for axes in grid[::_COLUMNS]:
      axes.set_ylabel("IoU")
    figure.legend(
      handles=_legend(list(scores), reference, theme),
      loc="outside lower center",
      ncols=min(5, len(scores) + 2),
      handlelength=1.2,
    )
  return figure


def _check(scores, scheme: Scheme, reference: str) -> None:
  if reference not in scores:
    raise InputError(
      f"no scores of the reference model {reference!r}",
      did_you_mean(reference, scores) + f"there are {', '.join(scores)}",
    )
  for model, classes in scores.items():
    for name in scheme.names:
      if name not in classes:
        raise InputError(
          f"model {model} has no scores of class {name}",
          f"give all classes of scheme {scheme.name}, NaN where absent",
        )


def _panel(
  axes,
  name: str,
  values: Mapping[str, Sequence[float]],
  tests: Mapping[str, Comparison],
  theme: Theme,
) -> None:
  """Draws one class: a box a model, and the stars."""
  known = [np.array(v)[~np.isnan(v)] for v in values.values()]
  boxes = axes.boxplot(
    known,
    widths=0.68,
    patch_artist=True,
    medianprops={"color": theme.ink, "lw": 1.3},
    boxprops={"edgecolor": theme.muted, "lw": 0.7},
    whiskerprops={"color": theme.muted, "lw": 0.7},
    capprops={"color": theme.muted, "lw": 0.7},
    flierprops={"marker": ".", "ms": 2.5, "mec": theme.muted},
  )
  for number, box in enumerate(boxes["boxes"]):
    box.set_facecolor(_color(number))
  axes.set_title(name)
  axes.set_xticks([])
  axes.grid(False, axis="x")
  pooled = np.concatenate(known)
  if not len(pooled):
    axes.text(0.5, 0.5, "absent", ha="center", transform=axes.transAxes)
    axes.set_yticks([])
    return
  low, high = pooled.min(), pooled.max()
  span = max(high - low, 0.02)
  axes.set_ylim(low - 0.06 * span, high + _ROOM * span)
  for place, (model, scores) in enumerate(zip(values, known, strict=True)):
    if model in tests and tests[model].star:
      y = scores.max() + 0.09 * span
      filled = tests[model].survives_holm
      axes.plot(place + 1, y, **_star(filled, theme))


def _star(filled: bool, theme: Theme) -> dict:
  face = theme.ink if filled else "none"
  return {"marker": "*", "ms": 7, "mew": 0.7, "mfc": face, "mec": theme.ink}


def _color(number: int) -> str:
  return MODEL_COLORS[number % len(MODEL_COLORS)]


def _legend(models: Sequence[str], reference: str, theme: Theme) -> list:
  entries = [
    Patch(
      fc=_color(number),
      ec=theme.muted,
      lw=0.7,
      label=f"{model} (reference)" if model == reference else model,
    )
    for number, model in enumerate(models)
  ]
  words = {False: "p < .05", True: "p < .05, Holm-corrected"}
  for filled, text in words.items():
    entries.append(Line2D([], [], ls="", label=text, **_star(filled, theme)))
  return entries
