"""What follows the training of a run or an ensemble: results and report."""

from absl import logging

from lumbar_jax import (
  distributed,
  doubts,
  held_out,
  records,
  remarks,
  stages,
)
from lumbar_jax.ensembles.weights import fold_scorers
from lumbar_jax.errors import InputError
from lumbar_jax.runs import Run


def evaluate(run: Run, data: stages.Material) -> None:
  """Tunes thresholds, evaluates, predicts, and records with what."""
  for doubt in doubts.of_training(run) if distributed.is_main() else ():
    logging.warning("%s is evaluated as it is: %s", run.folder, doubt)
  with records.evaluating(run.folder, records.reader(run)):
    _evaluate_all(run, data)


def _evaluate_all(run: Run, data: stages.Material) -> None:
  from lumbar_jax.inference.predict import predict_studies, save_labels
  from lumbar_jax.inference.segment import load_thresholds

  scorers = fold_scorers(run)
  stages.tune(run, data, scorers)
  results, maps = held_out.evaluate(run, data, scorers)
  save_labels(
    run,
    data.named(maps),
    maps,
    held_out.predictions_folder(run),
    fold_of=data.fold_of,
  )
  if data.unlabelled:
    predict_studies(
      *(run, data.unlabelled, held_out.predictions_folder(run)),
      thresholds=load_thresholds(run, "TH"),  # just tuned
    )
  distributed.on_main(held_out.show, run, results)
  distributed.on_main(remarks.after_evaluation, run, data, results)


def report(run: Run, data: stages.Material) -> None:
  """Writes report.html of what a run has so far."""
  from lumbar_jax.reports.html import write_report

  def write():
    if records.is_outdated(run.folder, run.config):
      logging.warning(
        "%s was evaluated before it was trained on: the figures of its report "
        "are the older ones until --mode=evaluate",
        run.folder,
      )
    logging.info("report: %s", write_report(run, data.studies))
    records.reported(run.folder)

  distributed.on_main(write)


def report_without(run: Run, error: InputError) -> None:
  """Writes report.html of a run whose data cannot be used.

  Raises:
    InputError: there are other processes, which wait where this one failed.
  """
  from lumbar_jax.reports.html import write_report

  if distributed.count() > 1:
    raise InputError(
      error.problem,
      f"{error.remedy.rstrip('.')}; or ask for the report in one process "
      "alone, which makes it without pictures",
      path=error.path,
    ) from error
  logging.warning("the report has no pictures: %s", error)
  logging.info("report: %s", write_report(run, (), [str(error)]))
