"""What paper 000 reports: its Tables 6, 7 and 8, to hold ours against.

The files have a line a number: table, model, labelling, class, metric, value.
Classes are those of `anatomy.MIDAS12` and the two means of the evaluation's
tables; values are shares, printed in the paper as percent with one decimal.
Models are named as ours: "E12-NAD" is the paper's E12 stacked by NAD, and
"without U1" that ensemble less the network U1 (Table 8, where a dash is 0).
"E11-stacking" is Table 6's E11, of which the paper does not say how it stacks.

Source: Saenz-Gamboa et al., Artif. Intell. Med. 2023.
"""

from pathlib import Path
from typing import Any

from lumbar_jax.reports.paper_values import read_values

TABLES = (6, 7, 8)


def paper_values(table: int) -> list[dict[str, Any]]:
  """Returns the rows of a table: 6 (IoU), 7 (F1 and its parts), 8 (ablation).

  Raises:
    ValueError: another table.
  """
  return read_values(Path(__file__).parent, table, TABLES)
