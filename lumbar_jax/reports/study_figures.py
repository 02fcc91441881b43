"""A study's figures.

Source: paper 000, Figures 7 to 9.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lumbar_jax.reports.ensemble_sizes import Point, ensemble_sizes
from lumbar_jax.reports.model_boxes import model_boxes
from lumbar_jax.reports.qualitative import Example, qualitative
from lumbar_jax.reports.study import Found
from lumbar_jax.reports.study_tables import study_iou
from lumbar_jax.reports.style import LIGHT, Theme, save_png


def write_figures(
  found: Found, model_rows: Sequence[Mapping[str, Any]]
) -> dict[str, Path]:
  """Writes `figures/`, without what there is nothing to draw of.

  Args:
    found: the study.
    model_rows: of models.csv, see `study_tables.model_rows`.

  Returns:
    {"figure7": its file}.
  """
  folder = found.run.folder / "figures"
  drawn = {
    "figure7": draw_figure7(found),
    "figure8": draw_figure8(found),
    "figure9": draw_figure9(found, model_rows),
  }
  paths = {}
  for name, figure in drawn.items():
    path = folder / f"{name}.png"
    if figure is None:
      path.unlink(missing_ok=True)  # one of an earlier report
    else:
      save_png(path, figure)
      paths[name] = path
  return paths


def draw_figure9(
  found: Found, model_rows: Sequence[Mapping[str, Any]], theme: Theme = LIGHT
) -> Figure | None:
  """Returns Figure 9: IoU by ensemble; None without ensembles."""
  points = []
  for row in model_rows:
    if row["model"] in found.methods:
      name, method = found.methods[row["model"]]
      size = row["num_members"]
      points.append(
        Point(name, size, method, row["labelling"], row["iou"], row["iou_std"])
      )
  singles = {
    name: {r["labelling"]: r["iou"] for r in model_rows if r["model"] == name}
    for name in found.compared
    if name in found.networks
  }
  return ensemble_sizes(points, singles, theme) if points else None


def draw_figure8(found: Found, theme: Theme = LIGHT) -> Figure:
  """Returns Figure 8: the studies' IoU by class, with stars."""
  scores = study_iou(found, found.compared)
  return model_boxes(
    scores, found.run.scheme, found.reference, found.patients, theme
  )


def draw_figure7(found: Found) -> Figure | None:
  """Returns Figure 7: slices as the shown models label them.

  Of the first studies, the slice where most classes are. None where no label
  maps were kept.
  """
  models = [m for m in found.shown if found.label_maps.get(m)]
  examples = []
  channels = found.run.config.data.channels
  for study in found.studies[: found.run.config.study.num_pictures]:
    maps = {
      model: found.label_maps[model][study.name]
      for model in models
      if study.name in found.label_maps[model]
    }
    if not maps or len(maps) < len(models):
      continue
    number = _richest_slice(study.native_mask)
    examples.append(
      Example(
        f"{study.name}, slice {number + 1} of {len(study.image)}",
        {c: study.image[number, ..., i] for i, c in enumerate(channels)},
        np.asarray(study.native_mask[number]),
        {model: labels[number] for model, labels in maps.items()},
        tuple(study.spacing_mm[1:]),
      )
    )
  return qualitative(examples, found.run.scheme) if examples else None


def _richest_slice(mask: np.ndarray) -> int:
  """Returns the slice with most classes, the most central of equals."""
  middle = (len(mask) - 1) / 2
  return max(
    range(len(mask)),
    key=lambda n: (len(np.unique(mask[n])), -abs(n - middle)),
  )
