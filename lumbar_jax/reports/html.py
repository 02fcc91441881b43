"""A run's report: one HTML file with everything in it.

No script, no link to another file, pictures inside: it can be mailed, opened
on a phone, printed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax import advice, records
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.evaluation.results import AVERAGED, MEAN
from lumbar_jax.evaluation.surface_table import summarise
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.progress import duration, working
from lumbar_jax.reports import (
  contents,
  ensemble_members,
  exchanges,
  figures,
  page,
  pictures,
)
from lumbar_jax.reports.contents import Facts, select
from lumbar_jax.runs import Run


@working("writing the report")
def write_report(
  run: Run,
  studies: Sequence[PreparedStudy] = (),
  missing: Sequence[str] = (),
) -> Path:
  """Writes `report.html` of what a run has so far.

  Files that are missing or damaged are named in it.

  Args:
    run: trained, half trained or new.
    studies: prepared studies with truth, for the pictures; may be empty.
    missing: sentences about what could not be had (the data).

  Returns:
    The file's path.
  """
  facts = contents.gather(run)
  context = _context(run, facts, studies, missing)
  return page.write(run.folder / "report.html", "report.html", context)


def _context(
  run: Run,
  facts: Facts,
  studies: Sequence[PreparedStudy],
  missing: Sequence[str],
) -> dict[str, Any]:
  """Returns everything that the template names."""
  cases, problems = contents.predicted_slices(run, facts, studies)
  ensemble = ensemble_members.view(run, facts.results, facts.labelling)
  return {
    "run": run,
    "facts": facts,
    "colors": {s.name: s.color for s in run.scheme.structures},
    "data_name": contents.data_name(run),
    "is_phantom": run.config.data.source == "phantom",
    "outdated": records.is_outdated(run.folder, run.config),
    "settings": contents.changed_settings(run),
    "training": _training(run, facts),
    "curves": pictures.learning_curves(run, facts),
    "headline": _headline(facts),
    "ensemble": ensemble,
    "ensemble_sentence": _ensemble_sentence(run, ensemble),
    "blocks": _blocks(facts),
    "means": _means(facts),
    "taken_for": _taken_for(facts),
    "missed_causes": advice.CAUSES[0].upper() + advice.CAUSES[1:],
    "class_chart": pictures.class_scores(run, facts),
    "study_rows": _study_rows(facts),
    "box_chart": pictures.study_boxes(run, facts),
    "surfaces": summarise(facts.surface, run.scheme) if facts.surface else [],
    "examples": pictures.examples(run, cases),
    "extremes": pictures.extremes(run, facts, cases),
    "problems": problems,
    "missing": list(missing),
    "flags": contents.study_flags(run, facts, studies),
    "num_studies": len(facts.environment.get("studies", studies)),
    "unlabelled": pictures.unlabelled(run, facts),
    "MEAN_ROWS": MEAN_ROWS,
  }


def _training(run: Run, facts: Facts) -> list[dict[str, Any]]:
  """Returns how far each fold is, its time, and its best epoch's scores."""
  table = []
  for fold in run.folds:
    lines = facts.histories.get(fold, [])
    best = figures.best_epoch(lines, run.config.training.best_by)
    seconds = sum(line.get("time_s", 0.0) for line in lines)
    chosen = lines[best] if best is not None else {}
    table.append(
      {
        "fold": fold,
        "epochs": len(lines),
        "time": duration(seconds) if seconds else "–",
        "best": None if best is None else chosen["epoch"] + 1,
        "accuracy": chosen.get("val/accuracy", np.nan),
        "iou": chosen.get("val/iou", np.nan),
      }
    )
  return table


def _ensemble_sentence(run: Run, ensemble: dict[str, Any] | None) -> str:
  """Returns how an ensemble compares with its best member, "" if unknown."""
  if ensemble is None or ensemble["best"] is None:
    return ""
  best = ensemble["best"]
  return ensemble_members.verdict(run.title, best["name"], best["difference"])


def _headline(facts: Facts) -> dict[str, Any] | None:
  """Returns the row that the report opens with: paper 000's number."""
  wanted = {"fold": MEAN, "class": MEAN_ROWS[0]}
  rows = select(facts.per_class, labelling=facts.labelling, **wanted)
  return rows[0] if rows else None


def _blocks(facts: Facts) -> list[dict[str, Any]]:
  """Returns the tables by class: {"fold", "rows": [(class, {MAP: row})]}."""
  blocks = []
  for fold in (MEAN, AVERAGED):
    rows = select(facts.per_class, fold=fold)
    classes = {}
    for row in rows:
      classes.setdefault(row["class"], {})[row["labelling"]] = row
    if rows:
      blocks.append({"fold": fold, "rows": list(classes.items())})
  return blocks


def _means(facts: Facts) -> list[dict[str, Any]]:
  """Returns the means of every fold: {"fold", class: {labelling: row}}."""
  table = {}
  for row in facts.per_class:
    if row["class"] in MEAN_ROWS:
      line = table.setdefault(row["fold"], {"fold": row["fold"]})
      line.setdefault(row["class"], {})[row["labelling"]] = row
  return list(table.values())


def _taken_for(facts: Facts) -> dict[str, Any] | None:
  """Returns which class is taken for which, None without counts."""
  if facts.results is None:
    return None
  return exchanges.view(facts.results, facts.shown_fold, facts.labelling)


def _study_rows(facts: Facts) -> list[dict[str, Any]]:
  """Returns [{"study", class or mean: row}], best mean Dice first."""
  rows = select(
    facts.per_study, fold=facts.shown_fold, labelling=facts.labelling
  )
  table = {}
  for row in rows:
    line = table.setdefault(row["study"], {"study": row["study"]})
    line[row["class"]] = row

  def rank(line: dict[str, Any]) -> float:
    dice = line[MEAN_ROWS[0]]["dice"]
    return 1.0 if np.isnan(dice) else -dice

  return sorted(table.values(), key=rank)
