"""The tables of an evaluation: per class, per study, and for the terminal."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.arrays import Counts
from lumbar_jax.errors import InputError
from lumbar_jax.escaping import cell, uncell
from lumbar_jax.evaluation import confusion, statistics
from lumbar_jax.evaluation.results import MEAN, Results, Row, save_counts
from lumbar_jax.files import atomic_path

MEAN_ROWS = ("mean without background", "mean with background")
PER_CLASS_COLUMNS = (
  *("fold", "labelling", "class", "iou", "iou_low", "iou_high"),
  *("precision", "recall", "dice", "dice_low", "dice_high"),
  *("num_studies", "num_patients", "iou_std", "dice_std"),
)
PER_STUDY_COLUMNS = (
  *("fold", "labelling", "study", "patient", "class"),
  *("iou", "precision", "recall", "dice"),
)
SURFACE_COLUMNS = (
  *("study", "patient", "class", "hd95_mm", "assd_mm", "nsd", "tolerance_mm"),
)
NOTE = "note"  # a last column, where there is anything to say of all rows
_TEXT = {"fold", "labelling", "class", "study", "patient"}
_WHOLE = {"num_studies", "num_patients"}


def save(
  folder: str | Path, results: Results, *, note: str = "", **bootstrap: Any
) -> None:
  """Writes counts.npz and the tables made of it, each atomically.

  The tables: per_class.csv, per_study.csv and confusion.csv.

  Args:
    folder: a run's `evaluation` folder.
    results: the counts.
    note: what a reader has to know of all rows, a column of its own; "": none.
    **bootstrap: num_samples, level and seed of `statistics.bootstrap`.
  """
  folder = Path(folder)
  save_counts(folder / "counts.npz", results)
  rows = per_class(results, **bootstrap)
  write_table(folder / "per_class.csv", PER_CLASS_COLUMNS, rows, note)
  rows = per_study(results)
  write_table(folder / "per_study.csv", PER_STUDY_COLUMNS, rows, note)
  columns = confusion.columns(results.scheme.names)
  rows = confusion.table_rows(results)
  write_table(folder / "confusion.csv", columns, rows, note)


def with_means(values: np.ndarray) -> np.ndarray:
  """Appends the two means over classes: [... k] -> [... k+2] (`MEAN_ROWS`)."""
  means = [metrics.mean(values, with_background=b) for b in (False, True)]
  return np.concatenate([values, np.stack(means, -1)], -1)


def fold_counts(rows: Sequence[Row]) -> tuple[int, Counts]:
  """Returns the number of studies and the counts [p f k k] of each patient.

  A patient that a fold's model was not applied to counts nothing there.
  """
  folds = list(dict.fromkeys(row.fold for row in rows))
  counts = np.zeros((len(rows), len(folds), *rows[0].counts.shape), np.int64)
  for number, row in enumerate(rows):
    counts[number, folds.index(row.fold)] = row.counts
  _, summed = statistics.sum_by_patient([row.patient for row in rows], counts)
  return len({row.study for row in rows}), summed


def _mean_over_folds(counts: np.ndarray) -> np.ndarray:
  """Returns IoU and Dice [... 2 k+2] of counts [... f k k], folds averaged."""
  both = np.stack([metrics.iou(counts), metrics.dice(counts)], -2)
  return metrics.nan_mean(with_means(both), -3)


def per_class(results: Results, **bootstrap: Any) -> list[dict[str, Any]]:
  """Returns the rows of per_class.csv.

  Counts are pooled over a fold's studies, then turned into metrics (paper 000
  section 5.5). Row fold="mean" averages the fold models' metrics (the paper's
  number; its interval draws the same patients for every fold) and alone has
  `iou_std` and `dice_std`, the standard deviation over folds (n - 1).

  Args:
    results: the counts.
    **bootstrap: see `statistics.bootstrap`.
  """
  table = []
  for labelling in results.labellings:
    for fold in results.reported_folds:
      rows = results.select(fold, labelling)
      if rows:
        named = {"fold": fold, "labelling": labelling}
        block = _class_block(results.scheme, rows, fold == MEAN, bootstrap)
        table += [named | row for row in block]
  return table


def _class_block(scheme, rows, is_mean, bootstrap):
  """Returns per_class rows of one fold and labelling."""
  num_studies, counts = fold_counts(rows)
  interval = statistics.bootstrap(counts, _mean_over_folds, **bootstrap)
  by_fold = {
    name: with_means(metric(counts.sum(0)))
    for name, metric in metrics.PER_CLASS.items()
  }
  columns = {n: metrics.nan_mean(v, 0) for n, v in by_fold.items()}
  for number, name in enumerate(("iou", "dice")):
    columns[f"{name}_low"] = interval.low[number]
    columns[f"{name}_high"] = interval.high[number]
    spread = _std(by_fold[name]) if is_mean else np.nan
    columns[f"{name}_std"] = np.broadcast_to(spread, columns[name].shape)
  block = []
  for place, label in enumerate((*scheme.names, *MEAN_ROWS)):
    row = {name: float(values[place]) for name, values in columns.items()}
    size = {"num_studies": num_studies, "num_patients": len(counts)}
    block.append({"class": label} | row | size)
  return block


def _std(values: np.ndarray) -> np.ndarray:
  """Returns the sample deviation over axis 0 without NaNs, NaN below two."""
  known = (~np.isnan(values)).sum(0)
  squares = (values - metrics.nan_mean(values, 0)) ** 2
  variance = metrics.nan_mean(squares, 0) * known / np.maximum(known - 1, 1)
  return np.where(known > 1, np.sqrt(variance), np.nan)


def per_study(results: Results) -> list[dict[str, Any]]:
  """Returns the rows of per_study.csv.

  Counts are pooled over a study's slices. Row fold="mean" averages a study's
  metrics over the fold models first, so that n is the number of studies.
  """
  table = []
  for labelling in results.labellings:
    for fold in results.reported_folds:
      studies = {}
      for row in results.select(fold, labelling):
        studies.setdefault((row.study, row.patient), []).append(row.counts)
      for (study, patient), counts in studies.items():
        named = {"fold": fold, "labelling": labelling}
        named |= {"study": study, "patient": patient}
        block = _study_block(results.scheme, np.stack(counts))
        table += [named | row for row in block]
  return table


def _study_block(scheme, counts):
  """Returns per_study rows of one study's counts [f k k]."""
  columns = {
    name: metrics.nan_mean(with_means(metric(counts)), 0)
    for name, metric in metrics.PER_CLASS.items()
  }
  return [
    {"class": label} | {n: float(v[place]) for n, v in columns.items()}
    for place, label in enumerate((*scheme.names, *MEAN_ROWS))
  ]


def write_table(
  path: str | Path,
  columns: Sequence[str],
  rows: Sequence[dict[str, Any]],
  note: str = "",
) -> None:
  """Writes a CSV file atomically; numbers in six digits, NaN as nan.

  A note gets a column of its own, the last one, and stands in each row.

  Text that a spreadsheet would take for a formula is escaped, see `escaping`;
  `read_rows` takes that back.
  """
  if note:
    columns, rows = (*columns, NOTE), [{**row, NOTE: note} for row in rows]
  with (
    atomic_path(path) as scratch,
    open(scratch, "w", newline="", encoding="utf-8") as file,
  ):
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(cell, columns))
    for row in rows:
      unknown = sorted(row.keys() - set(columns))
      if unknown:
        raise ValueError(f"values of no column: {', '.join(unknown)}")
      values = (row.get(name, "") for name in columns)
      writer.writerow(
        f"{v:.6f}" if isinstance(v, float) else cell(v) for v in values
      )


def read_rows(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
  """Returns (columns, rows of text) of a table of `write_table`.

  Raises:
    InputError: no such file, or not a table.
  """
  if not Path(path).is_file():
    raise InputError("no such file", "run --mode=evaluate first", path=path)
  try:
    with open(path, newline="", encoding="utf-8") as file:
      lines = [list(map(uncell, line)) for line in csv.reader(file)]
    columns, rows = (lines or [[]])[0], lines[1:]
    return columns, [dict(zip(columns, r, strict=True)) for r in rows if r]
  except (csv.Error, UnicodeDecodeError, ValueError) as error:
    raise InputError(
      f"not a table that was written to its end ({error})",
      "delete it and run --mode=evaluate again",
      path=path,
    ) from None


def read_table(path: str | Path) -> list[dict[str, Any]]:
  """Reads per_class.csv, per_study.csv or surface.csv, numbers as numbers.

  Raises:
    InputError: no such file, other columns, or a value that is no number.
  """
  names, rows = read_rows(path)
  columns = tuple(names)
  if columns[-1:] == (NOTE,):
    columns = columns[:-1]
  if columns not in (PER_CLASS_COLUMNS, PER_STUDY_COLUMNS, SURFACE_COLUMNS):
    raise InputError(
      f"columns {', '.join(columns)}",
      f"expected {', '.join(PER_CLASS_COLUMNS)} (per_class.csv), "
      f"{', '.join(PER_STUDY_COLUMNS)} (per_study.csv) or "
      f"{', '.join(SURFACE_COLUMNS)} (surface.csv)",
      path=path,
    )
  kinds = {n: int if n in _WHOLE else float for n in columns if n not in _TEXT}
  try:
    for row in rows:
      row |= {name: kind(row[name]) for name, kind in kinds.items()}
  except (TypeError, ValueError) as error:
    raise InputError(str(error), "expected a number", path=path) from None
  return rows


def format_table(results: Results, fold: str = MEAN, **bootstrap: Any) -> str:
  """Returns IoU and Dice by labelling and class as text, under 80 columns.

  Args:
    results: the counts.
    fold: "mean", "averaged" or a fold's number.
    **bootstrap: see `statistics.bootstrap`.

  Raises:
    InputError: nothing was evaluated for this fold.
  """
  rows = [r for r in per_class(results, **bootstrap) if r["fold"] == fold]
  if not rows:
    raise InputError(
      f"no results for fold {fold!r}",
      f"there are {', '.join(results.reported_folds) or 'none'}",
    )
  share = bootstrap.get("level", statistics.LEVEL)
  size = (rows[0]["num_studies"], rows[0]["num_patients"])
  lines = [
    f"fold {fold}: {size[0]} studies of {size[1]} patients; in brackets the "
    f"{share:.0%} interval",
    f"{'':4} {'class':24} {'IoU':22} {'Dice':22}".rstrip(),
  ]
  for row in rows:
    values = f"{_cell(row, 'iou')} {_cell(row, 'dice')}"
    lines.append(f"{row['labelling']:4} {row['class']:24} {values}".rstrip())
  return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str) -> str:
  """Returns "0.912 [0.893, 0.931]", "-" for an absent class, 22 wide."""
  value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
  if np.isnan(value):
    return f"{'-':22}"
  span = "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
  return f"{value:.3f}{span}".ljust(22)
