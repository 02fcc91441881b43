"""Does a larger ensemble help, and which way to combine its members?

Source: paper 000, Figure 9.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lumbar_jax.reports.figures import FOLD_COLORS
from lumbar_jax.reports.style import LIGHT, Theme, style

_MARKERS = "osD^vP"
_SINGLE_LINES = (":", "-.", (0, (6, 4)), (0, (1, 4)))
_DODGE = 0.11  # between techniques at one size, so that bars do not overlap
_WIDTH_IN = 9.6


@dataclasses.dataclass(frozen=True)
class Point:
  """One ensemble.

  Attributes:
    ensemble: its name on the axis, "E4".
    num_members: of networks.
    technique: how they are combined, "arithmetic" or "NAD".
    labelling: "MAP" or "TH".
    iou: mean without the background, NaN where it was not run.
    std: its standard deviation over the fold models, NaN for none.
  """

  ensemble: str
  num_members: int
  technique: str
  labelling: str
  iou: float
  std: float = float("nan")


def ensemble_sizes(
  points: Sequence[Point],
  singles: Mapping[str, Mapping[str, float]] | None = None,
  theme: Theme = LIGHT,
) -> Figure:
  """Draws IoU by ensemble, a line a technique and a panel a labelling.

  Args:
    points: at least one; a technique's line has gaps where one is missing.
    singles: {network: {labelling: IoU}}, level lines to compare with.
    theme: colours.

  Returns:
    Means over the fold models, bars one standard deviation to each side.
  """
  labellings = list(dict.fromkeys(p.labelling for p in points))
  techniques = list(dict.fromkeys(p.technique for p in points))
  sizes = {p.ensemble: p.num_members for p in points}
  ensembles = sorted(sizes, key=lambda name: (sizes[name], name))
  with style(theme):
    width = _WIDTH_IN if len(labellings) > 1 else 0.6 * _WIDTH_IN
    figure = Figure((width, 3.6), layout="constrained")
    grid = figure.subplots(1, len(labellings), sharey=True, squeeze=False)[0]
    for axes, labelling in zip(grid, labellings, strict=True):
      shown = [p for p in points if p.labelling == labelling]
      for number, technique in enumerate(techniques):
        shift = _DODGE * (number - (len(techniques) - 1) / 2)
        mine = {p.ensemble: p for p in shown if p.technique == technique}
        _line(axes, [mine.get(e) for e in ensembles], shift, number, technique)
      _singles(axes, singles or {}, labelling, theme)
      axes.set_title(labelling)
      names = [f"{name}\n{sizes[name]}" for name in ensembles]
      axes.set_xticks(range(len(ensembles)), names)
      axes.set_xlim(-0.5, len(ensembles) - 0.5)
      axes.set_xlabel("ensemble, and its number of networks")
    grid[0].set_ylabel("mean IoU without background")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(
      handles, names, loc="outside lower center", ncols=len(handles)
    )
  return figure


def _line(axes, row: Sequence[Point | None], shift, number, name) -> None:
  """Draws one technique; None and NaN leave gaps."""
  color = FOLD_COLORS[number % len(FOLD_COLORS)]
  iou = np.array([np.nan if p is None else p.iou for p in row])
  std = np.array([np.nan if p is None else p.std for p in row])
  axes.errorbar(
    np.arange(len(row)) + shift,
    iou,
    yerr=np.nan_to_num(std),
    label=name,
    color=color,
    marker=_MARKERS[number % len(_MARKERS)],
    ms=5,
    lw=1.3,
    elinewidth=0.8,
  )


def _singles(axes, singles, labelling: str, theme: Theme) -> None:
  """Draws single networks as level lines; their names are in the legend."""
  for number, (name, values) in enumerate(singles.items()):
    axes.axhline(
      values.get(labelling, np.nan),
      ls=_SINGLE_LINES[number % len(_SINGLE_LINES)],
      lw=1.2,
      color=theme.muted,
      label=name,
    )
