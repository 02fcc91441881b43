"""A study's tables as its page shows them: one line a class or a model."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lumbar_jax.evaluation.surface_table import (
  AVERAGED,
  MEAN_OF_CLASSES,
  summarise,
)
from lumbar_jax.reports.page import score
from lumbar_jax.reports.paper_rows import WITHOUT
from lumbar_jax.reports.study import Found

Rows = Sequence[Mapping[str, Any]]
_MARKS = "abcdefghijklmnopqrstuvwxyz"


def ranking(found: Found, models: Rows) -> dict[str, list[dict[str, Any]]]:
  """Returns the models and the ablations, best IoU first.

  Args:
    found: the study.
    models: rows of models.csv.
  """
  by_model: dict[str, dict[str, Any]] = {}
  for row in models:
    line = by_model.setdefault(row["model"], dict(row, by_labelling={}))
    line["by_labelling"][row["labelling"]] = row

  def key(line: dict[str, Any]) -> float:
    iou = line["by_labelling"][found.labelling]["iou"]
    return np.inf if np.isnan(iou) else -iou

  lines = sorted(by_model.values(), key=key)
  ablated = set(found.ablations.values())
  return {
    "models": [line for line in lines if line["model"] not in ablated],
    "ablations": [line for line in lines if line["model"] in ablated],
  }


def by_class(rows: Rows, metric: str) -> dict[str, Any]:
  """Returns a table of one metric, a line a class and a column a model.

  Args:
    rows: tidy, see `paper_rows`.
    metric: which of theirs.

  Returns:
    {"columns": [(model, labelling)], "spans": [(model, its columns)], "lines":
    [(class, cells)]}; a cell is a row with "best", whether no other of its line
    shows a higher number.
  """
  columns: dict[tuple[str, str], None] = {}
  lines: dict[str, list[dict[str, Any]]] = {}
  for row in rows:
    if row["metric"] == metric:
      columns[row["model"], row["labelling"]] = None
      lines.setdefault(row["class"], []).append(dict(row))
  for cells in lines.values():
    known = [c["value"] for c in cells if not np.isnan(c["value"])]
    top = score(max(known)) if known and len(cells) > 1 else None
    for cell in cells:
      cell["best"] = score(cell["value"]) == top
  return {
    "columns": list(columns),
    "spans": list(Counter(model for model, _ in columns).items()),
    "lines": list(lines.items()),
  }


def ablation(rows: Rows) -> dict[str, Any]:
  """Returns Table 8, a line a class.

  Returns:
    {"whole": (model, labelling), "members": names,
    "lines": [(class, whole ensemble's IoU, [(IoU, impact)])]}.
  """
  iou, impact = by_class(rows, "iou"), by_class(rows, "impact")
  whole, *without = iou["columns"]
  lines = [
    (name, cells[0]["value"], _pairs(cells[1:], change))
    for (name, cells), (_, change) in zip(
      iou["lines"], impact["lines"], strict=True
    )
  ]
  members = [model.removeprefix(WITHOUT) for model, _ in without]
  return {"whole": whole, "members": members, "lines": lines}


def _pairs(first: Rows, second: Rows) -> list[tuple[float, float]]:
  pairs = zip(first, second, strict=True)
  return [(a["value"], b["value"]) for a, b in pairs]


def tests(rows: Rows) -> dict[str, Any]:
  """Returns the Wilcoxon tests, a line a class and a column a model.

  Args:
    rows: of wilcoxon.csv.

  Returns:
    {"models": names, "lines": [(class, cells)], "notes": {note: mark},
    "possible": whether there is any p-value}; a cell is a row.
  """
  lines: dict[str, list[Mapping[str, Any]]] = {}
  for row in rows:
    lines.setdefault(row["class"], []).append(row)
  notes = dict.fromkeys(row["note"] for row in rows if row["note"])
  return {
    "models": list(dict.fromkeys(row["model"] for row in rows)),
    "lines": list(lines.items()),
    "notes": dict(zip(notes, _marks(), strict=False)),
    "possible": any(not np.isnan(row["p"]) for row in rows),
    "stars": sum(row["star"] for row in rows),
    "survivors": sum(row["survives_holm"] for row in rows),
  }


def _marks() -> Iterable[str]:
  """Yields a, b ... z, aa, ab ..."""
  for size in itertools.count(1):
    for letters in itertools.product(_MARKS, repeat=size):
      yield "".join(letters)


def surfaces(found: Found, rows: Rows) -> dict[str, Any]:
  """Returns the surface distances, a line a class and a column a model.

  Means over classes are of those that every model has a distance of: a model
  that misses the difficult ones would seem the better for it.

  Args:
    found: the study.
    rows: of the study's surface.csv.

  Returns:
    {"models": names, "num_studies": [of each model], "lines": [(class,
    cells)], "means": cells, "common": number of classes in them, "missed":
    whether any is}; a cell is a row of `surface_table.summarise`.
  """
  models = list(dict.fromkeys(row["model"] for row in rows))
  lines: dict[str, list[dict[str, Any]]] = {}
  for model in models:
    mine = [row for row in rows if row["model"] == model]
    for row in summarise(mine, found.run.scheme):
      lines.setdefault(row["class"], []).append(row)
  whole = lines.pop(MEAN_OF_CLASSES, [])
  common = [
    cells
    for cells in lines.values()
    if not any(np.isnan(cell["hd95_mm"]) for cell in cells)
  ]
  return {
    "models": models,
    "num_studies": [row["num_studies"] for row in whole],
    "lines": list(lines.items()),
    "means": [_mean_cell(cells) for cells in zip(*common, strict=True)],
    "common": len(common),
    "missed": any(row["num_missed"] for row in whole),
    "tolerance_mm": rows[0]["tolerance_mm"] if rows else np.nan,
  }


def _mean_cell(cells: Rows) -> dict[str, float]:
  """Returns the means of one model's cells."""
  return {
    name: float(np.mean([cell[name] for cell in cells])) for name in AVERAGED
  }
