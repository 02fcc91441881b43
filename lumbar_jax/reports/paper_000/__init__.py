"""What paper 000 reports: its Tables 6, 7 and 8, to hold ours against.

The files have a line a number: table, model, labelling, class, metric, value.
Classes are those of `anatomy.MIDAS12` and the two means of the evaluation's
tables; values are shares, printed in the paper as percent with one decimal.
Models are named as ours: "E12-NAD" is the paper's E12 stacked by NAD, and
"without U1" that ensemble less the network U1 (Table 8, where a dash is 0).
"E11-stacking" is Table 6's E11, of which the paper does not say how it stacks.

Source: Saenz-Gamboa et al., Artif. Intell. Med. 2023.
"""

import csv
from pathlib import Path
from typing import Any

TABLES = (6, 7, 8)


def paper_values(table: int) -> list[dict[str, Any]]:
  """Returns the rows of a table: 6 (IoU), 7 (F1 and its parts), 8 (ablation).

  Raises:
    ValueError: another table.
  """
  if table not in TABLES:
    raise ValueError(f"table {table}, expected one of {TABLES}")
  path = Path(__file__).with_name(f"table{table}.csv")
  with open(path, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  for row in rows:
    row |= {"table": int(row["table"]), "value": float(row["value"])}
  return rows
