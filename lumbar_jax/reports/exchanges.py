"""Which class is taken for which, as a page shows it."""

from typing import Any

import numpy as np

from lumbar_jax import advice
from lumbar_jax.evaluation import confusion
from lumbar_jax.evaluation.results import Results

_LEAST_SHOWN = 0.0005  # of a class's pixels; smaller shares stay blank
NUM_SENTENCES = 5


def view(results: Results, fold: str, labelling: str) -> dict[str, Any] | None:
  """Returns a table of shares for the page, None without any counts.

  Args:
    results: the counts.
    fold: a fold's number, "mean" or "averaged".
    labelling: "MAP" or "TH".

  Returns:
    {"fold", "labelling", "names": of the columns, "rows": [(name, cells)],
    "worst": sentences, "missed": sentences}; a cell is {"text": percent,
    "strength": 0..1 of its colour, "right": whether it is the true class}.
    Classes that occur nowhere are left out.
  """
  names = results.scheme.names
  found = confusion.shares(results, fold, labelling)
  rows = np.flatnonzero(~np.isnan(found).all(1))
  columns = np.flatnonzero(~np.isnan(found).all(0))
  if not rows.size:
    return None
  lines = [
    (names[i], [_cell(found[i, j], bool(i == j)) for j in columns])
    for i in rows
  ]
  counts = confusion.pooled(results, fold, labelling).sum(0)
  worst = confusion.worst_exchanges(found, names, NUM_SENTENCES)
  return {
    "fold": fold,
    "labelling": labelling,
    "names": [names[j] for j in columns],
    "rows": lines,
    "worst": list(map(str, worst)),
    "missed": advice.missed_classes(counts, names),
  }


def _cell(share: float, right: bool) -> dict[str, Any]:
  """Returns a cell: percent, a digit more below 10."""
  text = ""
  if share >= _LEAST_SHOWN:
    text = f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}"
  # The root shows small shares, which are what one looks for.
  return {
    "text": text,
    "strength": round(float(share) ** 0.5, 2),
    "right": right,
  }
