"""Numbers that a paper printed, as they lie in this package."""

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any


def read_values(
  folder: str | Path, table: int, tables: Collection[int]
) -> list[dict[str, Any]]:
  """Returns the rows of `tableN.csv`, table and value as numbers.

  Args:
    folder: of the paper's files.
    table: N.
    tables: those that there are.

  Raises:
    ValueError: another table.
  """
  if table not in tables:
    raise ValueError(f"table {table}, expected one of {tuple(tables)}")
  path = Path(folder) / f"table{table}.csv"
  with open(path, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  for row in rows:
    row |= {"table": int(row["table"]), "value": float(row["value"])}
  return rows
