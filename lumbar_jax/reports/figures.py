"""Charts of a run: learning curves, scores by class, scores by study.

Each function returns a matplotlib Figure that belongs to nobody else (pyplot's
global state is never touched), so the charts also work in a notebook.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lumbar_jax.anatomy import Scheme
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.reports.style import LIGHT, Theme, style

# Told apart with every common colour blindness (Okabe and Ito 2008).
FOLD_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_CURVES = (("loss", "Loss"), ("accuracy", "Accuracy"), ("iou", "Mean IoU"))


def best_epoch(
  lines: Sequence[Mapping[str, Any]], best_by: str = "accuracy"
) -> int | None:
  """Returns the place of the best validation score, the first of equals.

  That epoch's weights are what the fold's model is (paper 000, section 5.3).

  Args:
    lines: of a metrics.jsonl.
    best_by: `config.training.best_by`.
  """
  values = _series(lines, f"val/{best_by}")
  return None if np.isnan(values).all() else int(np.nanargmax(values))


def _series(lines: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
  return np.array([line.get(name, np.nan) for line in lines], np.float64)


def learning_curves(
  histories: Mapping[int, Sequence[Mapping[str, Any]]],
  theme: Theme = LIGHT,
  best_by: str = "accuracy",
) -> Figure:
  """Draws loss, accuracy and mean foreground IoU by epoch, folds in colours.

  Args:
    histories: {fold: lines of its metrics.jsonl}, at least one line in all.
    theme: colours.
    best_by: `config.training.best_by`.

  Returns:
    Training dashed, validation solid; a dot marks each fold's best epoch.
  """
  with style(theme):
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 3), _CURVES, strict=True):
      for fold, lines in histories.items():
        best = best_epoch(lines, best_by)
        _curve(axes, lines, name, _fold_color(fold), best)
      axes.set(title=title, xlabel="epoch")
      axes.xaxis.get_major_locator().set_params(integer=True)
      axes.margins(x=0.03)
    figure.legend(
      handles=_curve_legend(histories, theme),
      loc="outside lower center",
      ncols=len(histories) + 3,
      handlelength=2.2,
    )
  return figure


def _curve(axes, lines, name: str, color: str, best: int | None) -> None:
  """Draws one fold's training and validation curve and its best epoch."""
  epochs = _series(lines, "epoch") + 1
  dot = "." if len(lines) == 1 else ""
  train, val = (_series(lines, f"{part}/{name}") for part in ("train", "val"))
  axes.plot(epochs, train, "--", marker=dot, color=color, lw=1, alpha=0.55)
  axes.plot(epochs, val, color=color, lw=1.6)
  if best is not None:
    axes.plot(
      epochs[best],
      val[best],
      "o",
      ms=5.5,
      color=color,
      mec=axes.get_facecolor(),
      mew=1,
      zorder=5,
      clip_on=False,
    )


def _curve_legend(histories, theme: Theme) -> list[Line2D]:
  folds = [
    Line2D([], [], color=_fold_color(fold), lw=3, label=f"fold {fold}")
    for fold in histories
  ]
  grey = {"color": theme.muted}
  return [
    *folds,
    Line2D([], [], ls="--", lw=1, label="training", **grey),
    Line2D([], [], lw=1.6, label="validation", **grey),
    Line2D([], [], ls="", marker="o", ms=5, label="best epoch", **grey),
  ]


def _fold_color(fold: int) -> str:
  return FOLD_COLORS[fold % len(FOLD_COLORS)]


def class_scores(
  rows: Sequence[Mapping[str, Any]], scheme: Scheme, theme: Theme = LIGHT
) -> Figure:
  """Draws IoU by class with intervals, one row a class, MAP above TH.

  Args:
    rows: of per_class.csv, all of one fold (or "mean", "averaged").
    scheme: the classes.
    theme: colours.

  Returns:
    Dots with bootstrap intervals; classes that are absent (NaN) stay empty.
  """
  labels = (*scheme.names, MEAN_ROWS[0])
  labellings = list(dict.fromkeys(row["labelling"] for row in rows))
  with style(theme):
    figure = Figure(figsize=(6.6, 0.7 + 0.27 * len(labels)))
    axes = figure.subplots()
    for number, labelling in enumerate(labellings):
      shift = 0.3 * (number - (len(labellings) - 1) / 2)
      found = {r["class"]: r for r in rows if r["labelling"] == labelling}
      color = theme.accent if labelling == "TH" else theme.muted
      for place, label in enumerate(labels):
        if label in found:
          _interval(axes, place + shift, found[label], color)
      axes.plot([], [], "o", ms=4.5, color=color, label=labelling)
    _class_axis(axes, labels, scheme, _lowest(rows))
    axes.axhline(len(labels) - 1.5, color=theme.rule, lw=1)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2)
  return figure


def _lowest(rows: Sequence[Mapping[str, Any]]) -> float:
  """Returns where an axis of IoU begins, a tenth below the lowest value."""
  values = [r[n] for r in rows for n in ("iou", "iou_low") if n in r]
  known = [value for value in values if not np.isnan(value)]
  return max(0.0, np.floor(min(known, default=0.0) * 10 - 0.2) / 10)


def _interval(axes, y: float, row: Mapping[str, Any], color: str) -> None:
  axes.plot([row["iou_low"], row["iou_high"]], [y, y], color=color, lw=2.2,
            alpha=0.45, solid_capstyle="round")  # fmt: skip
  axes.plot(row["iou"], y, "o", ms=4.5, color=color)


def _class_axis(axes, labels, scheme: Scheme, lowest: float) -> None:
  """Names the classes on the y axis, first on top, a swatch before each."""
  axes.set(xlim=(lowest, 1), ylim=(len(labels) - 0.4, -0.6), xlabel="IoU")
  axes.set_yticks(range(len(labels)), labels)
  axes.tick_params("y", pad=16)
  axes.grid(False, axis="y")
  for place, structure in enumerate(scheme.structures):
    axes.plot(
      -0.018,
      place,
      "s",
      ms=6,
      color=structure.color,
      mec=mpl.rcParams["axes.edgecolor"],
      mew=0.5,
      transform=axes.get_yaxis_transform(),
      clip_on=False,
    )


def study_boxes(
  rows: Sequence[Mapping[str, Any]], scheme: Scheme, theme: Theme = LIGHT
) -> Figure:
  """Draws the studies' IoU as one box a class, every study a dot.

  Args:
    rows: of per_study.csv, all of one fold and labelling.
    scheme: the classes.
    theme: colours.

  Returns:
    Boxes from quartile to quartile with the median, whiskers to the furthest
    study within 1.5 box lengths (as paper 000's Figure 8).
  """
  values = {name: [] for name in scheme.names}
  for row in rows:
    if row["class"] in values and not np.isnan(row["iou"]):
      values[row["class"]].append(row["iou"])
  with style(theme):
    figure = Figure(figsize=(6.6, 0.5 + 0.27 * len(values)))
    axes = figure.subplots()
    boxes = axes.boxplot(
      list(values.values()),
      orientation="horizontal",
      positions=range(len(values)),
      widths=0.6,
      showfliers=False,
      patch_artist=True,
      medianprops={"color": theme.ink, "lw": 1.4},
      boxprops={"edgecolor": theme.muted, "lw": 0.7},
      whiskerprops={"color": theme.muted, "lw": 0.7},
      capprops={"color": theme.muted, "lw": 0.7},
    )
    for box, structure in zip(boxes["boxes"], scheme.structures, strict=True):
      box.set_facecolor((*np.divide(structure.rgb, 255), 0.45))
    for place, scores in enumerate(values.values()):
      spread = 0.32 * (np.arange(len(scores)) * 0.618 % 1 - 0.5)
      axes.plot(scores, place + spread, ".", ms=3.2, color=theme.ink, alpha=0.6)
    _class_axis(axes, scheme.names, scheme, _lowest(rows))
  return figure
