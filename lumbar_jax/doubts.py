"""What is doubtful of a run's weights and thresholds.

A run that is trained on for more epochs, or was interrupted, has folds of
different lengths, and thresholds of its weights before. It can be used all the
same; whoever uses it has to know.
"""

from collections.abc import Sequence

from absl import logging

from lumbar_jax import records
from lumbar_jax.errors import InputError
from lumbar_jax.runs import ENSEMBLE_FILE, Run
from lumbar_jax.training.writers import read_metrics


def of_training(run: Run, folds: Sequence[int] | None = None) -> list[str]:
  """Returns a sentence if folds are not trained to the end, or [].

  Of a fold whose `metrics.jsonl` does not tell how long it was trained nothing
  is known, and an ensemble is not made of such folds at all.

  Args:
    run: the run, its config with the epochs that are wanted.
    folds: which ones are used; all by default.
  """
  if (run.folder / ENSEMBLE_FILE).is_file():
    return []
  folds, wanted = folds or run.folds, run.config.training.num_epochs
  done = {fold: _epochs(run, fold) for fold in folds}
  short = [f"fold {f} has {n}" for f, n in done.items() if 0 < n < wanted]
  if not short:
    return []
  return [f"not trained to the end: of {wanted} epochs {', '.join(short)}"]


def _epochs(run: Run, fold: int) -> int:
  """Returns how many epochs a fold has, 0 where that is not known."""
  try:
    lines = read_metrics(run.fold_folder(fold))
  except InputError as error:
    logging.warning("%s", error)
    return 0
  epochs = [x["epoch"] for x in lines if isinstance(x["epoch"], int)]
  return max(epochs, default=-1) + 1


def of_thresholds(run: Run, fold: int | None = None) -> list[str]:
  """Returns a sentence if thresholds were tuned with older weights, or [].

  That is known of what was evaluated since: by itself, or in a study.

  Args:
    run: a run or an ensemble.
    fold: whose thresholds; None: the run's own, of all folds.
  """
  folder, folds = run.folder.absolute(), run.folds if fold is None else [fold]
  study = folder.parent.parent
  places = (folder, "."), (study, folder.relative_to(study).as_posix())
  if not any(
    records.is_untuned(place, model, folds, fold) for place, model in places
  ):
    return []
  return [
    "the network was trained on after its thresholds were tuned: "
    "--mode=evaluate (of a study: its stage tune) tunes them anew"
  ]
