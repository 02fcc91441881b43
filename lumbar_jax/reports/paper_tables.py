"""The paper's tables of several models: IoU, F1 with its parts, ablation.

Each is written as `tableN.csv`, a line a class and for each model the number,
its spread over the fold models and its bootstrap interval, and as
`tableN.tex`, to be put into a manuscript.

Source: paper 000, Tables 6, 7 and 8.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.files import write_text
from lumbar_jax.reports import latex
from lumbar_jax.reports.paper_rows import (
  STATISTICS,
  WITHOUT,
  Entry,
  Row,
  impact_rows,
  make_row,
  metric_rows,
)


def write_table6(
  folder: str | Path,
  entries: Sequence[Entry],
  *,
  spread: bool = False,
  note: str = "",
  **bootstrap: Any,
) -> list[Row]:
  """Writes table6.csv and table6.tex: IoU by class and model.

  Args:
    folder: of the tables.
    entries: at least one, all of one scheme.
    spread: add the standard deviation over folds to the .tex.
    note: a last line of the .tex, such as "Synthetic phantom data.".
    **bootstrap: see `statistics.bootstrap`.

  Returns:
    The tidy rows, see `paper_rows`.

  Raises:
    InputError: nothing was evaluated for an entry, one is given twice, or the
      schemes differ.
  """
  rows = metric_rows(6, entries, ("iou",), **bootstrap)
  _write(folder, rows, latex.iou_table(rows, spread, note))
  return rows


def write_table7(
  folder: str | Path,
  entries: Sequence[Entry],
  *,
  spread: bool = False,
  note: str = "",
  **bootstrap: Any,
) -> list[Row]:
  """Writes table7.csv and table7.tex: F1, precision, recall by class and model.

  Precision and recall have no interval; the rest is as in `write_table6`.
  """
  rows = metric_rows(7, entries, ("f1", "precision", "recall"), **bootstrap)
  _write(folder, rows, latex.f1_table(rows, spread, note))
  return rows


def write_table8(
  folder: str | Path,
  full: Entry,
  without: Mapping[str, Entry],
  *,
  note: str = "",
  **bootstrap: Any,
) -> list[Row]:
  """Writes table8.csv and table8.tex: an ensemble with one member left out.

  The impact is the IoU without the member less the whole ensemble's. The whole
  ensemble itself stands in the .csv only.

  Args:
    folder: of the tables.
    full: the whole ensemble.
    without: {member left out: the ensemble without it}, at least one.
    note: as in `write_table6`.
    **bootstrap: see `statistics.bootstrap`.

  Returns:
    The tidy rows; an ablated ensemble's model is "without MEMBER".

  Raises:
    InputError: as `write_table6`.
  """
  ablated = [
    dataclasses.replace(entry, model=WITHOUT + member)
    for member, entry in without.items()
  ]
  rows = metric_rows(8, [full, *ablated], ("iou",), **bootstrap)
  rows += impact_rows(8, full, ablated)
  _write(folder, rows, latex.ablation_table(rows, note))
  return rows


def _column(row: Row, statistic: str) -> str:
  """Returns "UMD TH iou" or "UMD TH iou_std"."""
  end = "" if statistic == "value" else f"_{statistic}"
  return f"{row['model']} {row['labelling']} {row['metric']}{end}"


def _write(folder: str | Path, rows: Sequence[Row], tex: str) -> None:
  """Writes a table's two files."""
  lines, columns = {}, {"class": None}
  for row in rows:
    line = lines.setdefault(row["class"], {"class": row["class"]})
    for statistic in STATISTICS:
      line[_column(row, statistic)] = row[statistic]
    columns |= line
  path = Path(folder) / f"table{rows[0]['table']}.csv"
  tables.write_table(path, list(columns), list(lines.values()))
  write_text(path.with_suffix(".tex"), tex)


def read_paper_table(path: str | Path) -> list[Row]:
  """Reads table6.csv, table7.csv or table8.csv back as tidy rows.

  Raises:
    InputError: no such file, or not such a table.
  """
  path = Path(path)
  if not path.is_file():
    raise InputError("no such file", "run --mode=study first", path=path)
  rows = []
  _, lines = tables.read_rows(path)
  try:
    number = int(path.stem.removeprefix("table"))
    for column in (c for c in lines[0] if f"{c}_std" in lines[0]):
      model, labelling, metric = column.rsplit(" ", 2)
      entry = Entry(model, labelling, None)
      blank = make_row(number, entry, "", metric, ())
      for line in lines:
        values = [float(line[_column(blank, name)]) for name in STATISTICS]
        rows.append(make_row(number, entry, line["class"], metric, values))
  except (IndexError, KeyError, TypeError, ValueError) as error:
    raise InputError(
      f"not a table of models ({type(error).__name__}: {error})",
      "expected a study's table6.csv, table7.csv or table8.csv",
      path=path,
    ) from error
  return rows
