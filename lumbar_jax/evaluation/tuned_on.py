"""Which folds' training a run's thresholds were tuned on.

A `thresholds.json` fits other folds and other runs of the same classes as well
as its own. So it carries, fold by fold, what tells one training from another
however long it goes on, and the weights of that time; predictions compare.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumbar_jax.errors import InputError
from lumbar_jax.files import digest
from lumbar_jax.runs import Run
from lumbar_jax.training.identity import best_identity

FIELD = "folds"  # of thresholds.json
_TRAINING, _WEIGHTS = "training", "weights"


def record(run: Run, fold: int | None) -> dict[str, dict[str, str]]:
  """Returns {fold: what its thresholds are tuned on}; unknown: "".

  Args:
    run: trained; no ensemble.
    fold: one fold's thresholds; None: the run's own, of all folds.
  """
  folds = run.folds if fold is None else [fold]
  places = {str(number): run.fold_folder(number) for number in folds}
  return {
    number: {_TRAINING: _training(place), _WEIGHTS: best_identity(place)}
    for number, place in places.items()
  }


def _training(fold_folder: Path) -> str:
  """Returns the digest of a fold's first epoch: its figures and its seconds.

  It stays when the fold is trained on, and another training has another one.
  """
  try:
    with open(fold_folder / "metrics.jsonl", encoding="utf-8") as file:
      first = json.loads(file.readline())
    return digest(first) if first["epoch"] == 0 else ""
  except (OSError, ValueError, KeyError, TypeError, RecursionError):
    return ""


def check(run: Run, fold: int | None, content: Mapping[str, Any], path: Path):
  """Raises InputError if thresholds were tuned on another training's scores.

  Weights that were only trained on since are no error (`doubts` tells it), and
  of a file without a record nothing is known.

  Args:
    run: that the thresholds are wanted for.
    fold: as in `record`.
    content: of the file, its checksum compared.
    path: of the file.
  """
  kept = content.get(FIELD)
  if not kept:
    return
  found = record(run, fold)
  if kept.keys() != found.keys():
    what = f"fold {', '.join(kept)}, not {', '.join(found)}"
  else:
    other = [n for n in found if _is_other(kept[n], found[n])]
    what = f"another training of fold {', '.join(other)}" if other else ""
  if what:
    raise InputError(
      f"these thresholds were tuned on the scores of {what}",
      "restore the file that belongs here, or delete it and run "
      "--mode=evaluate, which tunes the thresholds anew",
      path=path,
    )


def _is_other(kept: Mapping[str, str], found: Mapping[str, str]) -> bool:
  if kept[_WEIGHTS] and kept[_WEIGHTS] == found[_WEIGHTS]:
    return False
  known = kept[_TRAINING] and found[_TRAINING]
  return bool(known) and kept[_TRAINING] != found[_TRAINING]
