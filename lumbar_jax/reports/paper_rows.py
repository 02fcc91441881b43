"""The numbers of the paper's tables of models, as tidy rows.

A row is one number: `table, model, labelling, class, metric, value`, and its
spread `std` over the fold models and bootstrap interval `low, high`, NaN where
there is none. The value is the paper's: counts pooled over the test set, then
the mean over the fold models (section 5.5); shares, not percent.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.results import AVERAGED, MEAN, Results

# The tables' metrics by our names.
METRICS = {"iou": "iou", "f1": "dice"}
METRICS |= {"precision": "precision", "recall": "recall"}
STATISTICS = ("value", "std", "low", "high")
WITHOUT = "without "  # before a member's name: the ensemble less that member

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
  """A column of a table.

  Attributes:
    model: its name, "UMD" or "E12-NAD".
    labelling: "MAP" or "TH".
    results: the counts of its fold models.
  """

  model: str
  labelling: str
  results: Results


def metric_rows(
  number: int, entries: Sequence[Entry], metrics: Sequence[str], **bootstrap
) -> list[Row]:
  """Returns the rows of some metrics, by entry, metric and class.

  Precision and recall have no interval.

  Args:
    number: of the table.
    entries: at least one.
    metrics: names of `METRICS`.
    **bootstrap: see `statistics.bootstrap`.

  Raises:
    InputError: nothing was evaluated for an entry, two are of one model and
      labelling, or the schemes differ.
  """
  _check(entries)
  rows = []
  for entry in entries:
    found = tables.per_class(_fold_models(entry), **bootstrap)
    for metric in metrics:
      source = METRICS[metric]
      by_fold = _by_fold(found, metric)
      for row in found:
        if row["fold"] == MEAN:
          name = row["class"]
          _, std = _mean_and_std(by_fold[name].values())
          ends = [row.get(f"{source}_{e}", np.nan) for e in ("low", "high")]
          values = (row[source], std, *ends)
          rows.append(make_row(number, entry, name, metric, values))
  return rows


def impact_rows(
  number: int, full: Entry, ablated: Sequence[Entry]
) -> list[Row]:
  """Returns what leaving out members does to the IoU.

  It is the IoU without the member less the whole ensemble's, in each fold; the
  value is its mean and `std` the spread of the difference.

  Args:
    number: of the table.
    full: the whole ensemble.
    ablated: the same ensemble with a member left out.
  """
  whole, *others = (
    _by_fold(tables.per_class(_fold_models(entry), num_samples=0), "iou")
    for entry in (full, *ablated)
  )
  rows = []
  for entry, found in zip(ablated, others, strict=True):
    for name, values in found.items():
      folds = sorted(values.keys() & whole[name].keys())
      differences = [values[fold] - whole[name][fold] for fold in folds]
      both = _mean_and_std(differences)
      rows.append(make_row(number, entry, name, "impact", both))
  return rows


def make_row(
  number: int, entry: Entry, name: str, metric: str, values: Sequence[float]
) -> Row:
  """Returns one row; `STATISTICS` missing at the end are NaN."""
  named = {"table": number, "model": entry.model, "labelling": entry.labelling}
  named |= {"class": name, "metric": metric}
  padded = [*values, *[np.nan] * (len(STATISTICS) - len(values))]
  return named | dict(zip(STATISTICS, map(float, padded), strict=True))


def _check(entries: Sequence[Entry]) -> None:
  first, seen = entries[0], set()
  for entry in entries:
    names, wanted = (e.results.scheme.names for e in (entry, first))
    if names != wanted:
      raise InputError(
        f"{entry.model} has the classes {', '.join(names)}",
        f"{first.model} has {', '.join(wanted)}: compare models of one scheme",
      )
    key = (entry.model, entry.labelling)
    if key in seen:
      raise InputError(f"{' '.join(key)} is given twice", "give it once")
    seen.add(key)


def _fold_models(entry: Entry) -> Results:
  """Returns the counts of an entry's fold models and labelling.

  Raises:
    InputError: there are none.
  """
  rows = [
    row
    for row in entry.results.rows
    if row.labelling == entry.labelling and row.fold != AVERAGED
  ]
  if not rows:
    raise InputError(
      f"no fold model of {entry.model} was evaluated with {entry.labelling}",
      f"evaluated: {', '.join(entry.results.labellings) or 'nothing'}",
    )
  return Results(entry.results.scheme, rows)


def _by_fold(
  found: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, dict[str, float]]:
  """Returns {class: {fold: value}} of per_class rows, without NaNs."""
  values = {}
  for row in found:
    folds = values.setdefault(row["class"], {})
    value = row[METRICS[metric]]
    if row["fold"] != MEAN and not np.isnan(value):
      folds[row["fold"]] = value
  return values


def _mean_and_std(values) -> tuple[float, float]:
  """Returns the mean and the sample deviation, NaN where undefined."""
  values = list(values)
  mean = np.mean(values) if values else np.nan
  return mean, np.std(values, ddof=1) if len(values) > 1 else np.nan
