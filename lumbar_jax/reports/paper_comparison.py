"""Our numbers beside the paper's, as text for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lumbar_jax.reports.paper_000 import paper_values

_GROUPS_A_BLOCK = {8: 2}  # (model, labelling, metric) side by side; else 3
_MIDAS = "MIDAS, whose\nmasks are not public: its patients are others."
_NAMES = 24  # characters for the classes' names
_CELL = 7  # and for a number
_LOUD = "!" * 79

Rows = Sequence[Mapping[str, Any]]


def data_lines(data: Mapping[str, Any], theirs: str = _MIDAS) -> str:
  """Returns in words which data our numbers are of.

  Args:
    data: "source" ("phantom", "mids" or "manifest") and "root".
    theirs: which data the paper's are, after "The paper's are".
  """
  if data.get("source") == "phantom":
    return "\n".join(
      [
        _LOUD,
        "SYNTHETIC PHANTOM: our numbers are of simulated images with simulated",
        "masks. They say nothing of how the method does on patients, and the",
        "differences below are not a reproduction of the paper.",
        _LOUD,
      ]
    )
  place = data.get("root") or data.get("manifest") or "an unnamed place"
  return (
    f"Our data: {place} ({data.get('source', 'unknown source')}). The paper's "
    f"are {theirs}"
  )


def compare_table(table: int, ours: Rows, theirs: Rows | None = None) -> str:
  """Returns our values, the paper's and their difference, in percent.

  Args:
    table: its number.
    ours: tidy rows, see `paper_rows`.
    theirs: the paper's; None: those of paper 000's Table 6, 7 or 8.

  Returns:
    Blocks of columns for what both have, then the names of what one has only.
  """
  theirs = paper_values(table) if theirs is None else theirs
  mine, paper = _by_group(ours), _by_group(theirs)
  models = list(dict.fromkeys(key[:2] for key in mine))
  common = [key for key in mine if key in paper]
  common.sort(key=lambda key: models.index(key[:2]))
  step = _GROUPS_A_BLOCK.get(table, 3)
  blocks = [
    _block(common[start : start + step], mine, paper)
    for start in range(0, len(common), step)
  ]
  lines = [f"Table {table}: ours, paper, ours less paper (percent points)"]
  lines += blocks or ["", "No model and labelling is in both."]
  for found, other, words in (
    (mine, paper, "Only here"),
    (paper, mine, "Only in the paper"),
  ):
    alone = dict.fromkeys(
      f"{m} {t}" for m, t, x in found if (m, t, x) not in other
    )
    if alone:
      lines += ["", f"{words}: {', '.join(alone)}"]
  return "\n".join(lines) + "\n"


def _by_group(rows: Rows) -> dict[tuple[str, str, str], dict[str, float]]:
  """Returns {(model, labelling, metric): {class: value}}."""
  groups = {}
  for row in rows:
    key = (row["model"], row["labelling"], row["metric"])
    groups.setdefault(key, {})[row["class"]] = row["value"]
  return groups


def _block(keys, mine, paper) -> str:
  """Returns a few groups side by side, a line a class of both."""
  head = "".join(f"{' '.join(key):>{2 + 3 * _CELL}}" for key in keys)
  under = "".join(
    "  " + "".join(f"{word:>{_CELL}}" for word in ("ours", "paper", "diff"))
    for _ in keys
  )
  lines = ["", " " * _NAMES + head, " " * _NAMES + under]
  names = [n for n in mine[keys[0]] if all(n in paper[key] for key in keys)]
  for name in names:
    cells = [_cells(mine[key][name], paper[key][name]) for key in keys]
    lines.append(f"{name:{_NAMES}}" + "".join(cells))
  return "\n".join(lines)


def _cells(ours: float, paper: float) -> str:
  """Returns ours, the paper's and the difference; "-" for what is not there."""
  values = ((ours, ""), (paper, ""), (ours - paper, "+"))
  return "  " + "".join(
    f"{'-':>{_CELL}}" if np.isnan(value) else f"{100 * value:{sign}{_CELL}.1f}"
    for value, sign in values
  )
