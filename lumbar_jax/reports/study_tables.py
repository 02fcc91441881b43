"""A study's tables: `tables/*.csv` and, of the paper's, `tables/*.tex`.

Source: paper 000, Tables 6 to 8 and the tests of Figure 8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax import leaks
from lumbar_jax.evaluation import confusion, surface_table, tables
from lumbar_jax.evaluation.results import MEAN
from lumbar_jax.evaluation.tables import MEAN_ROWS, SURFACE_COLUMNS
from lumbar_jax.evaluation.wilcoxon import Comparison, compare_models
from lumbar_jax.evaluation.wilcoxon import study_scores as scores_by_study
from lumbar_jax.reports import paper_tables
from lumbar_jax.reports.paper_rows import Entry
from lumbar_jax.reports.study import Found

MODELS_COLUMNS = (
  *("model", "labelling", "num_members", "iou", "iou_std", "iou_low"),
  *("iou_high", "iou_with_background", "dice", "validation_iou"),
)
WILCOXON_COLUMNS = (
  *("model", "reference", "labelling", "class", "num_patients", "p", "star"),
  *("p_holm", "survives_holm", "note"),
)
STUDY_SURFACE_COLUMNS = ("model", *SURFACE_COLUMNS)
PHANTOM_NOTE = "Measured on synthetic phantom data."
ONE_PATIENT = (
  "there are fewer than two evaluated patients: no Wilcoxon test could be made"
)


def write_tables(found: Found) -> dict[str, list[dict[str, Any]]]:
  """Writes `tables/` and returns its rows by table.

  Table 6 has the shown models by both labellings, Table 7 by the config's.
  """
  folder, shared = found.run.folder / "tables", leaks.note(found.run.folder)
  for name in ("table8.csv", "table8.tex", "surface.csv"):
    (folder / name).unlink(missing_ok=True)  # those of an earlier report
  notes = [PHANTOM_NOTE] if found.is_phantom else []
  notes += [f"{shared[0].upper()}{shared[1:]}."] if shared else []
  options = {"note": " ".join(notes), **found.bootstrap}
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
  tables.write_table(
    folder / "models.csv", MODELS_COLUMNS, rows["models"], shared
  )
  rows["wilcoxon"] = wilcoxon_rows(found)
  tables.write_table(
    folder / "wilcoxon.csv", WILCOXON_COLUMNS, rows["wilcoxon"], shared
  )
  names = found.run.scheme.names
  rows["confusion"] = confusion_rows(found)
  tables.write_table(
    folder / "confusion.csv",
    ("model", *confusion.columns(names)),
    rows["confusion"],
    shared,
  )
  rows["surface"] = surface_rows(found)
  if rows["surface"]:
    tables.write_table(
      folder / "surface.csv", STUDY_SURFACE_COLUMNS, rows["surface"], shared
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


def confusion_rows(found: Found) -> list[dict[str, Any]]:
  """Returns the rows of confusion.csv: of the shown models."""
  return [
    {"model": model} | row
    for model in found.compared
    for row in confusion.table_rows(found.results[model])
  ]


def surface_rows(found: Found) -> list[dict[str, Any]]:
  """Returns the rows of surface.csv: of the label maps that were kept."""
  tolerance_mm = found.run.config.evaluation.surface_tolerance_mm
  rows = []
  for model in found.compared if tolerance_mm else ():
    measured = surface_table.measure(
      found.studies,
      found.label_maps.get(model, {}),
      found.run.scheme,
      tolerance_mm,
      f"{model}: measuring surfaces, studies",
    )
    rows += [{"model": model} | row for row in measured]
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
  """Returns the rows of wilcoxon.csv: shown models against the reference.

  By class, as in Figure 8, so that Holm's correction is for the same tests. A
  pair is a patient, whose studies are averaged first.
  """
  scores = {
    model: {name: classes[name] for name in found.run.scheme.names}
    for model, classes in study_iou(found, found.compared).items()
  }
  tests: dict[tuple[str, str], Comparison] = compare_models(
    scores, found.reference, found.patients
  )
  if tests and all(np.isnan(test.p) for test in tests.values()):
    logging.warning(ONE_PATIENT)
  return [
    {
      "model": model,
      "reference": found.reference,
      "labelling": found.labelling,
      "class": name,
      "num_patients": test.n,
      "p": test.p,
      "star": int(test.star),
      "p_holm": test.p_holm,
      "survives_holm": int(test.survives_holm),
      "note": test.note,
    }
    for (model, name), test in tests.items()
  ]
