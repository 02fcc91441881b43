"""Tables 1 and 2 of paper 002, for any networks that have been evaluated.

Each number stands by two rules, both from the counts of `evaluation/` alone:

  pooled    ours: pixels of all studies are counted together, and a class that
            is absent from truth and prediction is left out (see `metrics`)
  by slice  what the paper seems to have done, see `metrics.slice_scores`

With several folds, values are means over the fold models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax import metrics
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.results import MEAN, Results, Row, load_counts
from lumbar_jax.evaluation.tables import MEAN_ROWS, with_means
from lumbar_jax.files import write_text
from lumbar_jax.reports import latex
from lumbar_jax.reports.paper_002 import paper_values
from lumbar_jax.runs import Run

POOLED, BY_SLICE = "pooled", "by slice"
TITLES = {
  "dice": "Dice",
  "iou": "mIoU",
  "fnr": "FN rate",
  "fpr": "FP rate",
  "recall": "Recall",
}
_LOWEST = ("fnr", "fpr")  # the smallest is the best

# {model: {rule: {metric: [k + 2] by class, then the means of MEAN_ROWS}}}
Scores = dict[str, dict[str, dict[str, np.ndarray]]]


def load_models(run: Run) -> dict[str, Results]:
  """Returns {network: its counts}: of a study's networks, or of a run.

  Networks of a study that are not evaluated yet are left out.

  Raises:
    InputError: nothing is evaluated.
  """
  folders = {run.title: run.folder}
  if run.config.mode == "study":
    names = run.config.study.networks
    folders = {name: run.folder / "runs" / name for name in names}
  paths = {n: f / "evaluation" / "counts.npz" for n, f in folders.items()}
  found = {n: load_counts(path) for n, path in paths.items() if path.is_file()}
  if not found:
    raise InputError(
      f"nothing is evaluated of {', '.join(folders)}",
      "run it to its end (--mode=study or crossval)",
      path=run.folder,
    )
  return found


def scores_of(models: Mapping[str, Results], labelling: str) -> Scores:
  """Computes every metric of every model by both rules.

  Args:
    models: {model: its counts}, all of one scheme.
    labelling: "MAP" is the paper's.

  Raises:
    InputError: the labelling was not evaluated.
  """
  found: Scores = {}
  for model, results in models.items():
    rows = results.select(MEAN, labelling)
    if not rows:
      raise InputError(
        f"{model} was not evaluated with {labelling}",
        f"evaluated: {', '.join(results.labellings) or 'nothing'}",
      )
    folds = [[r for r in rows if r.fold == fold] for fold in results.folds]
    found[model] = {POOLED: _over_folds(map(_pooled, folds))}
    if any(row.slices is None for row in rows):
      logging.warning("%s: no counts by slice; evaluate it anew", model)
    else:
      found[model][BY_SLICE] = _over_folds(map(_by_slice, folds))
  return found


def _pooled(rows: Sequence[Row]) -> dict[str, np.ndarray]:
  counts = np.sum([row.counts for row in rows], axis=0)
  return {name: metric(counts) for name, metric in metrics.REVIEW.items()}


def _by_slice(rows: Sequence[Row]) -> dict[str, np.ndarray]:
  return metrics.slice_scores(np.concatenate([row.slices for row in rows]))


def _over_folds(folds) -> dict[str, np.ndarray]:
  """Appends the means over classes and averages the folds."""
  folds = list(folds)
  return {
    name: metrics.nan_mean(with_means(np.stack([f[name] for f in folds])), 0)
    for name in metrics.REVIEW
  }


def _lines(scores: Scores):
  """Yields (model, rule, {metric: [k + 2]}), the rules one after the other."""
  for rule in (POOLED, BY_SLICE):
    for model, by_rule in scores.items():
      if rule in by_rule:
        yield model, rule, by_rule[rule]


def write_table1(folder: Path, scores: Scores, note: str = "") -> None:
  """Writes table1.csv (means over classes, without and with the background)
  and table1.tex (without).

  Args:
    folder: of the tables.
    scores: see `scores_of`.
    note: a last line of the .tex.
  """
  rows = [
    {"model": model, "rule": rule, "classes": name}
    | {metric: float(v[place]) for metric, v in values.items()}
    for model, rule, values in _lines(scores)
    for place, name in zip((-2, -1), MEAN_ROWS, strict=True)
  ]
  columns = ("model", "rule", "classes", *metrics.REVIEW)
  tables.write_table(folder / "table1.csv", columns, rows)
  shown = [row for row in rows if row["classes"] == MEAN_ROWS[0]]
  tex = latex.networks_table(shown, TITLES, _LOWEST, note)
  write_text(folder / "table1.tex", tex)


def write_table2(
  folder: Path, scores: Scores, names: Sequence[str], note: str = ""
) -> None:
  """Writes table2.csv and table2.tex: Dice by class, and its mean.

  Args:
    folder: of the tables.
    scores: see `scores_of`.
    names: of the k classes.
    note: a last line of the .tex.
  """
  named = (*names, *MEAN_ROWS)
  shown = (*names[1:], MEAN_ROWS[0])
  rows = [
    {"model": model, "rule": rule}
    | {name: float(values["dice"][named.index(name)]) for name in shown}
    for model, rule, values in _lines(scores)
  ]
  tables.write_table(folder / "table2.csv", ("model", "rule", *shown), rows)
  titles = {name: name for name in names[1:]} | {MEAN_ROWS[0]: "mDice"}
  tex = latex.networks_table(rows, titles, (), note)
  write_text(folder / "table2.tex", tex)


def comparable(
  table: int, scores: Scores, names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Returns our rows and the paper's for `paper_comparison.compare_table`.

  A row's "labelling" is the rule; the paper's value stands beside both, NaN
  where it has none. Table 1 has its metrics where others have classes.

  Args:
    table: 1 or 2.
    scores: see `scores_of`.
    names: of the k classes.
  """
  printed = {
    (row["model"], TITLES[row["metric"]] if table == 1 else row["class"]): row
    for row in paper_values(table)
  }
  ours, theirs = [], []
  for model, rule, values in _lines(scores):
    if table == 1:
      line = {title: values[name][-2] for name, title in TITLES.items()}
    else:
      dice = values["dice"]
      line = dict(zip(names[1:], dice[1 : len(names)], strict=True))
      line[MEAN_ROWS[0]] = dice[-2]
    for name, value in line.items():
      paper = printed.get((model, name), {"value": np.nan})
      ours.append(_row(model, rule, name, value))
      theirs.append(_row(model, rule, name, paper["value"]))
  return ours, theirs


def _row(model: str, rule: str, name: str, value: float) -> dict[str, Any]:
  named = {"model": model, "labelling": rule, "metric": ""}
  return named | {"class": name, "value": float(value)}
