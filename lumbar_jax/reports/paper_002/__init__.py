"""What paper 002 reports: its Tables 1, 2 and 3, to hold ours against.

The files have a line a number: table, model, class, metric, value. Models are
named as in `models.names()`, classes as in `anatomy.MRSPINESEG`.

Table 1: metrics dice, iou, fnr, fpr, recall (`metrics.REVIEW`), shares, of
class "overall". How they were averaged is not said: no mean of Table 2's Dice
with any value for the background gives Table 1's, and FNR and recall add up to
more than 1, although Eqs. 4 and 6 make them complementary.
Table 2: Dice by class, and "mean without background", the paper's mDice, the
plain mean of the nineteen. Values that several networks share are explained at
`metrics.slice_scores`. Inf-Net's T9 stands as printed, 0.97 %, which mDice
counts too.
Table 3: parameters, flops and memory_gb as printed (truncated); its class is
the backbone.

Source: Zhou et al., Proc. ICMR 2022, pp. 498-507.
"""

from pathlib import Path
from typing import Any

from lumbar_jax.reports.paper_values import read_values

TABLES = (1, 2, 3)


def paper_values(table: int) -> list[dict[str, Any]]:
  """Returns the rows of a table: 1 (overall), 2 (by class), 3 (costs).

  Raises:
    ValueError: another table.
  """
  return read_values(Path(__file__).parent, table, TABLES)
