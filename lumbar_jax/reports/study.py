"""What a study found, as the paper's tables and figures.

Source: paper 000, Tables 6 to 8 and Figures 7 to 9.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.results import MEAN, Results
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.evaluation.wilcoxon import Comparison, compare_models
from lumbar_jax.evaluation.wilcoxon import study_scores as scores_by_study
from lumbar_jax.reports import paper_tables
from lumbar_jax.reports.ensemble_sizes import Point, ensemble_sizes
from lumbar_jax.reports.model_boxes import model_boxes
from lumbar_jax.reports.paper_rows import Entry
from lumbar_jax.reports.qualitative import Example, qualitative
from lumbar_jax.reports.style import save_png
from lumbar_jax.runs import Run

MODELS_COLUMNS = (
  *("model", "labelling", "num_members", "iou", "iou_std", "iou_low"),
  *("iou_high", "iou_with_background", "dice", "validation_iou"),
)
WILCOXON_COLUMNS = (
  *("model", "reference", "labelling", "class", "num_studies", "p", "star"),
  *("p_holm", "survives_holm", "note"),
)
PHANTOM_NOTE = "Measured on synthetic phantom data."
ONE_STUDY = (
  "there are fewer than two evaluated studies: no Wilcoxon test could be made"
)


@dataclasses.dataclass(frozen=True)
class Found:
  """All that a study's tables and figures are made of.

  Attributes:
    run: the study's folder, config and classes.
    results: {model: its counts}, networks first.
    members: {model: names of its networks}.
    methods: {ensemble: (its list's name, method)}; no networks, no ablations.
    ablations: {member: the ensemble without it}, empty without Table 8.
    shown: models of the tables' columns and the figures.
    validation: {model: mean IoU on validation pixels, see
      `assess.validation_iou`}.
    label_maps: {model: {study: [n H W] uint8}} of the shown models.
    studies: the prepared studies that were evaluated.
  """

  run: Run
  results: Mapping[str, Results]
  members: Mapping[str, Sequence[str]]
  methods: Mapping[str, tuple[str, str]]
  ablations: Mapping[str, str]
  shown: Sequence[str]
  validation: Mapping[str, float]
  label_maps: Mapping[str, Mapping[str, np.ndarray]]
  studies: Sequence[Any]

  @property
  def is_phantom(self) -> bool:
    """Whether the data are synthetic."""
    return self.run.config.data.source == "phantom"

  @property
  def labelling(self) -> str:
    """Of Tables 7 and 8 and the figures."""
    return self.run.config.study.labelling

  @property
  def reference(self) -> str:
    """Whom the others are tested against: the config's, or the best network."""
    wanted = self.run.config.study.reference
    if wanted in self.results:
      return wanted
    networks = [m for m in self.results if len(self.members[m]) == 1]
    best = max(networks, key=lambda name: self.validation[name])
    logging.info("no network %s: %s is the reference", wanted, best)
    return best

  @property
  def compared(self) -> list[str]:
    """The shown models, the reference among them."""
    return list(dict.fromkeys([*self.shown, self.reference]))

  @property
  def bootstrap(self) -> dict[str, int]:
    """How intervals are drawn."""
    config = self.run.config
    samples = config.evaluation.num_bootstrap
    return {"num_samples": samples, "seed": config.seed}


def write_tables(found: Found) -> dict[str, list[dict[str, Any]]]:
  """Writes `tables/` and returns its rows by table.

  Table 6 has the shown models by both labellings, Table 7 by the config's.
  """
  folder, note = found.run.folder / "tables", ""
  if found.is_phantom:
    note = PHANTOM_NOTE
  options = {"note": note, **found.bootstrap}
  both = [
    Entry(m, k, found.results[m]) for m in found.compared for k in ("MAP", "TH")
  ]
  one = [e for e in both if e.labelling == found.labelling]
  rows = {
    "table6": paper_tables.write_table6(folder, both, **options),
    "table7": paper_tables.write_table7(folder, one, **options),
  }
  if found.ablations:
    rows["table8"] = paper_tables.write_table8(
      folder, *_ablation_entries(found), **options
    )
  rows["models"] = model_rows(found)
  tables.write_table(folder / "models.csv", MODELS_COLUMNS, rows["models"])
  rows["wilcoxon"] = wilcoxon_rows(found)
  tables.write_table(
    folder / "wilcoxon.csv", WILCOXON_COLUMNS, rows["wilcoxon"]
  )
  return rows


def _ablation_entries(found: Found) -> tuple[Entry, dict[str, Entry]]:
  """Returns (the whole ensemble, {member: the ensemble without it})."""

  def entry(title):
    return Entry(title, found.labelling, found.results[title])

  whole = entry(found.run.config.study.ablation)
  return whole, {m: entry(title) for m, title in found.ablations.items()}


def model_rows(found: Found) -> list[dict[str, Any]]:
  """Returns the rows of models.csv: every model by both labellings."""
  rows = []
  for model, results in found.results.items():
    table = tables.per_class(results, **found.bootstrap)
    for labelling in results.labellings:
      without, with_background = (
        next(
          row
          for row in table
          if (row["fold"], row["labelling"], row["class"])
          == (MEAN, labelling, name)
        )
        for name in MEAN_ROWS
      )
      rows.append(
        {
          "model": model,
          "labelling": labelling,
          "num_members": len(found.members[model]),
          **{n: without[n] for n in ("iou", "iou_std", "iou_low", "iou_high")},
          "iou_with_background": with_background["iou"],
          "dice": without["dice"],
          "validation_iou": found.validation[model],
        }
      )
  return rows


def study_iou(found: Found, models: Sequence[str]) -> dict[str, dict]:
  """Returns {model: {class or mean: {study: IoU}}}, folds averaged first."""
  scores = {}
  for model in models:
    rows = [
      row
      for row in tables.per_study(found.results[model])
      if (row["fold"], row["labelling"]) == (MEAN, found.labelling)
    ]
    scores[model] = scores_by_study(rows)
  return scores


def wilcoxon_rows(found: Found) -> list[dict[str, Any]]:
  """Returns the rows of wilcoxon.csv: shown models against the reference."""
  tests: dict[tuple[str, str], Comparison] = compare_models(
    study_iou(found, found.compared), found.reference
  )
  if all(np.isnan(test.p) for test in tests.values()):
    logging.warning(ONE_STUDY)
  return [
    {
      "model": model,
      "reference": found.reference,
      "labelling": found.labelling,
      "class": name,
      "num_studies": test.n,
      "p": test.p,
      "star": int(test.star),
      "p_holm": test.p_holm,
      "survives_holm": int(test.survives_holm),
      "note": test.note,
    }
    for (model, name), test in tests.items()
  ]


def write_figures(found: Found) -> dict[str, Path]:
  """Writes `figures/` and returns {figure: its file}."""
  folder = found.run.folder / "figures"
  drawn = {
    "figure7": draw_figure7(found),
    "figure8": model_boxes(
      study_iou(found, found.compared), found.run.scheme, found.reference
    ),
    "figure9": draw_figure9(found),
  }
  paths = {}
  for name, figure in drawn.items():
    if figure is not None:
      paths[name] = folder / f"{name}.png"
      save_png(paths[name], figure)
  return paths


def draw_figure9(found: Found):
  """Returns Figure 9: IoU by ensemble; None without ensembles."""
  points, rows = [], model_rows(found)
  for row in rows:
    if row["model"] in found.methods:
      name, method = found.methods[row["model"]]
      size = row["num_members"]
      points.append(
        Point(name, size, method, row["labelling"], row["iou"], row["iou_std"])
      )
  baselines = [m for m in found.compared if len(found.members[m]) == 1]
  singles = {
    name: {r["labelling"]: r["iou"] for r in rows if r["model"] == name}
    for name in baselines
  }
  return ensemble_sizes(points, singles) if points else None


def draw_figure7(found: Found):
  """Returns Figure 7: slices as the shown models label them.

  Of the first studies, the slice where most classes are. None where no label
  maps were kept.
  """
  examples = []
  channels = found.run.config.data.channels
  for study in found.studies[: found.run.config.study.num_pictures]:
    maps = {
      model: found.label_maps[model][study.name]
      for model in found.compared
      if study.name in found.label_maps.get(model, {})
    }
    if len(maps) < len(found.compared):
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
