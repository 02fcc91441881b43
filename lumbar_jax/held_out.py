"""Evaluation of a run on patients that its folds have not trained on.

Several processes divide the studies among them; what they count is gathered,
and the main one writes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from lumbar_jax import distributed, leaks, remarks
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.evaluation import surface_table, tables
from lumbar_jax.evaluation.evaluate import evaluate_studies, patching
from lumbar_jax.evaluation.labelling import read_thresholds
from lumbar_jax.evaluation.results import AVERAGED, MEAN, Results
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.evaluation.statistics import bootstrap_options
from lumbar_jax.progress import Progress, working
from lumbar_jax.runs import Run

if TYPE_CHECKING:
  from lumbar_jax.stages import Material


class LabelKeeper:
  """Keeps the label maps that a run's predictions folder should show."""

  def __init__(self, fold: str, labelling: str):
    """Keeps one fold's (or the averaged scores') maps of one labelling."""
    self._kind = (fold, labelling)
    self.maps: dict[str, np.ndarray] = {}

  def __call__(self, study: Any, number: int, kind, labels) -> None:
    """Takes one slice, as `evaluate_studies` gives it."""
    if kind == self._kind:
      shape = (len(study.image), *study.native_shape)
      volume = self.maps.setdefault(study.name, np.zeros(shape, np.uint8))
      volume[number] = labels


def _held_out(
  run: Run, data: "Material", scorers: Sequence[Scorer], progress: Progress
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates all folds, and their average, on the test patients."""
  keeper = LabelKeeper(AVERAGED, "TH")
  results = evaluate_studies(
    scorers,
    distributed.share(data.of(data.splits.test)),
    run.scheme,
    [read_thresholds(run.thresholds_path(f), run.scheme) for f in run.folds],
    read_thresholds(run.thresholds_path(), run.scheme),
    **patching(run.config),
    on_study=lambda study: progress.update(progress.done + 1, study.name),
    on_labels=keeper,
  )
  return results, keeper.maps


def _out_of_fold(
  run: Run, data: "Material", scorers: Sequence[Scorer], progress: Progress
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates each fold on its validation patients: without a test set."""
  results, maps = Results(run.scheme), {}
  for fold, scorer in enumerate(scorers):
    keeper = LabelKeeper(str(fold), "TH")
    found = evaluate_studies(
      [scorer],
      distributed.share(data.of(data.splits.validation(fold))),
      run.scheme,
      [read_thresholds(run.thresholds_path(fold), run.scheme)],
      **patching(run.config),
      folds=[str(fold)],
      on_study=lambda study: progress.update(progress.done + 1, study.name),
      on_labels=keeper,
    )
    results.rows.extend(found.rows)
    maps.update(keeper.maps)
  return results, maps


def evaluate(
  run: Run, data: "Material", scorers: Sequence[Scorer]
) -> tuple[Results, dict[str, np.ndarray]]:
  """Evaluates a run and writes `evaluation/`.

  With test patients: every fold model and their averaged scores on them.
  Without (test_fraction=0): each fold model on its own validation patients,
  whose thresholds (and best epoch) were chosen on the same patients.

  Each process evaluates some of the studies.

  Returns:
    The counts of all, and the label maps {study: [n H W]} of the held-out
    studies that this process has evaluated.
  """
  held_out, studies = bool(data.splits.test), data.evaluated
  if not held_out:
    logging.warning(
      "no test patients: the figures are of the validation patients, on which "
      "thresholds and epochs were chosen, and so are optimistic"
    )
  own = -(-len(studies) // distributed.count())
  with Progress("evaluating studies", own) as progress:
    work = _held_out if held_out else _out_of_fold
    results, maps = work(run, data, scorers, progress)
  surfaces = distributed.gather_items(measure_surfaces(run, studies, maps))
  rows = distributed.gather_items(results.rows)
  if distributed.count() > 1:  # as one process would have them
    order = {study.name: number for number, study in enumerate(studies)}
    fold_of = data.fold_of or {}
    rows.sort(key=lambda row: (fold_of.get(row.study, 0), order[row.study]))
    surfaces.sort(key=lambda row: order[row["study"]])
  results = Results(run.scheme, rows)
  distributed.on_main(_write_evaluation, run, results, surfaces)
  return results, maps


@working("computing intervals and tables")
def _write_evaluation(
  run: Run, results: Results, surfaces: list[dict[str, Any]]
) -> None:
  """Writes `evaluation/`."""
  folder, note = run.folder / "evaluation", leaks.note(run.folder)
  tables.save(folder, results, note=note, **bootstrap_options(run.config))
  surface_table.write(folder, surfaces, note)


def measure_surfaces(
  run: Run, studies: Sequence[PreparedStudy], maps: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
  """Returns the rows of surface.csv, none if the config wants none."""
  tolerance_mm = run.config.evaluation.surface_tolerance_mm
  if not tolerance_mm:
    return []
  return surface_table.measure(studies, maps, run.scheme, tolerance_mm)


def predictions_folder(run: Run) -> Path:
  """Where a run keeps what it predicted of its own data."""
  return run.folder / "predictions"


def show(run: Run, results: Results) -> None:
  """Logs the table of a run's main figures, and says what data they are of."""
  fold = MEAN if AVERAGED not in results.folds else AVERAGED
  kind = remarks.data_words(run)
  for row in dict.fromkeys((MEAN, fold)):
    text = tables.format_table(results, row, **bootstrap_options(run.config))
    logging.info("on %s\n%s", kind, text)
  best = {
    row["labelling"]: row["iou"]
    for row in tables.per_class(results, num_samples=0)
    if row["fold"] == MEAN and row["class"] == tables.MEAN_ROWS[0]
  }
  logging.info(
    "held-out mean foreground IoU on %s: %s",
    *(kind, ", ".join(f"{v:.3f} ({k})" for k, v in best.items())),
  )
