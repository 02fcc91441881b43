"""Figures 18 and 19 of paper 002: all networks' pictures, and their curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lumbar_jax import metrics
from lumbar_jax.anatomy import Scheme
from lumbar_jax.reports import slices
from lumbar_jax.reports.figures import FOLD_COLORS
from lumbar_jax.reports.qualitative import Example, qualitative
from lumbar_jax.reports.slices import Case
from lumbar_jax.reports.study import Found
from lumbar_jax.reports.style import LIGHT, Theme, style
from lumbar_jax.runs import Run
from lumbar_jax.training.writers import read_metrics

History = Sequence[Mapping[str, Any]]  # lines of a metrics.jsonl
_PANELS = (
  ("train/loss", "Training loss"),
  ("val/loss", "Validation loss"),
  ("dice", "Validation Dice"),
  ("val/iou", "Validation mIoU"),
)
_COLORS = (*FOLD_COLORS, "#56b4e9")
_LINES = ("-", "--", ":")  # each with every colour
_NUM_RANDOM = 3


def load_histories(run: Run) -> dict[str, dict[int, History]]:
  """Returns {network: {fold: its epochs}} of a study's networks, or of a run.

  Networks and folds without an epoch are left out.
  """
  folders = {run.title: run.folder}
  if run.config.mode == "study":
    names = run.config.study.networks
    folders = {name: run.folder / "runs" / name for name in names}
  found = {
    name: {f: read_metrics(folder / f"fold_{f}") for f in run.folds}
    for name, folder in folders.items()
  }
  found = {n: {f: x for f, x in h.items() if x} for n, h in found.items()}
  return {name: folds for name, folds in found.items() if folds}


def validation_dice(history: History, scheme: Scheme) -> np.ndarray:
  """Returns the mean foreground Dice [epochs] on validation data.

  Counts are pooled and absent classes left out; it follows from the IoU.
  """
  names = [f"val/iou/{name}" for name in scheme.names[1:]]
  iou = np.array([[line[name] for name in names] for line in history], float)
  return metrics.nan_mean(2 * iou / (1 + iou), -1)


def draw_figure19(
  histories: Mapping[str, Mapping[int, History]],
  scheme: Scheme,
  theme: Theme = LIGHT,
) -> Figure:
  """Draws losses, Dice and mIoU by epoch, a line a network.

  With several folds a line is their mean, as far as all of them are trained.

  Args:
    histories: see `load_histories`, at least one network.
    scheme: the classes.
    theme: colours.
  """
  with style(theme):
    figure = Figure(figsize=(9.6, 6.2), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for axes, (name, title) in zip(panels, _PANELS, strict=True):
      for number, folds in enumerate(histories.values()):
        values = _mean_curve(list(folds.values()), name, scheme)
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, lw=1.4, **_look(number))
      axes.set(title=title, xlabel="epoch")
      axes.xaxis.get_major_locator().set_params(integer=True)
      axes.margins(x=0.02)
    figure.legend(
      handles=[
        Line2D([], [], lw=1.6, label=name, **_look(number))
        for number, name in enumerate(histories)
      ],
      loc="outside lower center",
      ncols=min(6, len(histories)),
      handlelength=2.6,
    )
  return figure


def _look(number: int) -> dict[str, str]:
  count = len(_COLORS)
  line = _LINES[number // count % len(_LINES)]
  return {"color": _COLORS[number % count], "ls": line}


def _mean_curve(folds: Sequence[History], name: str, scheme) -> np.ndarray:
  if name == "dice":
    curves = [validation_dice(history, scheme) for history in folds]
  else:
    curves = [np.array([line[name] for line in h], float) for h in folds]
  length = min(map(len, curves))
  return np.mean([curve[:length] for curve in curves], axis=0)


def draw_figure18(found: Found) -> Figure | None:
  """Draws the best, the worst and three random slices as all networks see them.

  By the mean over the networks of a slice's mean foreground Dice; slices with
  less than half of their study's most foreground take no part. None where no
  label maps were kept.
  """
  models = [m for m in found.shown if found.label_maps.get(m)]
  ranked = _ranked(found, models)
  if not ranked:
    return None
  middle = ranked[1:-1]
  rng = np.random.default_rng(found.run.config.seed)
  count = min(_NUM_RANDOM, len(middle))
  places = rng.choice(len(middle), count, replace=False) if count else []
  chosen = {"best": ranked[0]}
  if len(ranked) > 1:
    chosen["worst"] = ranked[-1]
  chosen |= {f"random {n + 1}": middle[p] for n, p in enumerate(places)}
  channels = found.run.config.data.channels
  examples = [
    _example(word, cases, channels[0]) for word, cases in chosen.items()
  ]
  width_in = 1.15 * (2 + len(models))
  return qualitative(examples, found.run.scheme, width_in=max(width_in, 6.0))


def _ranked(found: Found, models: Sequence[str]) -> list[dict[str, Case]]:
  """Returns {model: its case} of each slice that takes part, best first."""
  ranked = []
  for study in found.studies:
    maps = {m: found.label_maps[m].get(study.name) for m in models}
    if not maps or any(value is None for value in maps.values()):
      continue
    by_model = {
      m: slices.cases_of(study, value, found.run.scheme)
      for m, value in maps.items()
    }
    first = next(iter(by_model.values()))
    enough = max(1.0, slices.ENOUGH * max(case.foreground for case in first))
    for number, case in enumerate(first):
      if case.foreground >= enough:
        ranked.append({m: cases[number] for m, cases in by_model.items()})
  return sorted(ranked, key=lambda cases: -_mean_dice(cases))


def _mean_dice(cases: Mapping[str, Case]) -> float:
  return float(np.mean([case.dice for case in cases.values()]))


def _example(word: str, cases: Mapping[str, Case], channel: str) -> Example:
  case = next(iter(cases.values()))
  place = f"slice {case.number + 1} of {len(case.study.image)}"
  title = f"{word}: {case.study.name}, {place}, mean Dice"
  return Example(
    f"{title} {_mean_dice(cases):.3f}",
    {channel: case.study.image[case.number, ..., 0]},
    np.asarray(case.truth),
    {model: case.predicted for model, case in cases.items()},
    tuple(case.study.spacing_mm[1:]),
  )
