"""Segmenting studies with a trained run.

A folder of studies is worked through one by one: what is done stays done, and
a study that cannot be read is reported while the others go on. Each study is
one process' work, whether processes joined each other (`distributed`, which
divides the studies among them) or were just started on the same folder.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import allocation, distributed, hardware
from lumbar_jax.data.sources.found import ERROR, WARNING
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, printable
from lumbar_jax.escaping import cell
from lumbar_jax.evaluation.labelling import Thresholds
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.files import write_text
from lumbar_jax.formats.orientation import check_orientation
from lumbar_jax.inference import outputs
from lumbar_jax.inference.claims import Claims
from lumbar_jax.inference.inputs import find_inputs, require_channels
from lumbar_jax.inference.jobs import (
  BUSY,
  DONE,
  FAILED,
  SKIPPED,
  Job,
  Prediction,
  describe,
  save_labels,
)
from lumbar_jax.inference.segment import load_scorer, load_thresholds
from lumbar_jax.progress import Progress
from lumbar_jax.runs import Run, load_run

FAILED_TSV = "failed.tsv"
_TRIM_EVERY = 8  # studies after which free memory is given back

__all__ = [
  "BUSY",
  "DONE",
  "FAILED",
  "SKIPPED",
  "Prediction",
  "check_failures",
  "predict",
  "predict_studies",
  "save_labels",
]


def predict_studies(
  run: Run,
  studies: Sequence[Study],
  output: str | Path,
  *,
  fold: int | None = None,
  labelling: str = "TH",
  probabilities: bool = False,
  overwrite: bool = False,
  overlays: bool = True,
  scorer: Scorer | None = None,
  thresholds: Thresholds | None = None,
  failures: Sequence[Prediction] = (),
  on_study: Callable[[Prediction], None] | None = None,
) -> list[Prediction]:
  """Segments studies into a folder, see `outputs` for what lies there.

  Studies that are done are skipped, and a study that fails is logged and listed
  in `OUTPUT/failed.tsv`. One that another process is predicting is left to it.
  Memory does not grow with their number, and a network
  is loaded and compiled once, if there is anything to do at all.

  Args:
    run: the trained run.
    studies: files; masks are left aside.
    output: the folder.
    fold: one fold's model and thresholds instead of the folds' average.
    labelling: "TH" or "MAP".
    probabilities: whether to write `_probseg.nii.gz` too.
    overwrite: whether to predict again what is done.
    overlays: whether to draw `_overlay.png`.
    scorer: instead of the run's own (an ensemble's).
    thresholds: [k] instead of the run's own.
    failures: studies that failed before, to be listed with the others.
    on_study: called with each study's result.

  Returns:
    A `Prediction` for each failure and each study, in order.

  Raises:
    InputError: no such fold, not trained, no thresholds, an output folder with
      other predictions, or two studies with one place in it.
  """
  if fold is not None:
    run.check_fold(fold)
  if thresholds is None or labelling != "TH":
    thresholds = load_thresholds(run, labelling, fold)
  record = describe(run, fold, labelling, thresholds)
  job = Job(
    *(run, Path(output), labelling, thresholds, record),
    *(probabilities, overlays, overwrite),
  )
  studies = [dataclasses.replace(study, mask=None) for study in studies]
  _check_targets(job, studies)
  with distributed.main_first("predictions"):
    outputs.open_folder(output, run.scheme, record, overwrite=overwrite)
  numbered = distributed.share(list(enumerate(studies)))
  own = _predict_own(job, dict(numbered), scorer, fold, on_study)
  found = dict(distributed.gather_items(list(own.items())))
  results = [*failures, *(found[number] for number in sorted(found))]
  distributed.on_main(_write_failed, job.output / FAILED_TSV, results)
  logging.info("%s: %s", job.output, count(results))
  return results


def _predict_own(
  job: Job,
  studies: Mapping[int, Study],
  scorer: Scorer | None,
  fold: int | None,
  on_study: Callable[[Prediction], None] | None,
) -> dict[int, Prediction]:
  """Predicts this process' studies; those in other hands are asked for twice.

  Whoever holds one at first may have been killed by the end.
  """
  results: dict[int, Prediction] = {}
  claims = Claims(job.output)
  with Progress("predicting, studies", len(studies)) as progress:
    for turn in (1, 2):
      for number, study in studies.items():
        if number in results and results[number].status != BUSY:
          continue
        with claims.hold(job.target_name(study)) as mine:
          result = _skip(job, study) if mine else Prediction(study.name, BUSY)
          if result is None:
            if scorer is None:
              dtype = job.run.config.training.dtype
              logging.info("on %s; %s", hardware.describe(), dtype)
              scorer = load_scorer(job.run, fold)
            result = _attempt(job, study, scorer)
            if len(results) % _TRIM_EVERY == 0:
              allocation.return_memory()
        results[number] = result
        if result.status != BUSY or turn == 2:
          show = (
            progress.skip if result.status in (SKIPPED, BUSY) else progress.add
          )
          show(1, f"{study.name} {result.status}")
          if on_study is not None:
            on_study(result)
  return results


def count(results: Sequence[Prediction]) -> str:
  """Returns "2 done, 1 skipped, 0 failed"; busy ones where there are any."""
  states = [result.status for result in results]
  shown = [DONE, SKIPPED, FAILED] + [BUSY] * (BUSY in states)
  return ", ".join(f"{states.count(s)} {s}" for s in shown)


def check_failures(results: Sequence[Prediction], output: str | Path) -> None:
  """Raises InputError if a study failed, after the others are done."""
  failed = [result for result in results if result.status == FAILED]
  if failed:
    raise InputError(
      f"{len(failed)} of {len(results)} studies failed, the first being "
      f"{failed[0].name} ({failed[0].error.rstrip('.')})",
      "mend them and give the same command again: what is done is kept",
      path=Path(output) / FAILED_TSV,
    )


def _check_targets(job: Job, studies: Sequence[Study]) -> None:
  """Raises InputError if two studies would be written to one file."""
  channel, seen = job.run.config.data.channels[0], {}
  for study in studies:
    if channel not in study.images:
      continue
    folder, stem = job.target(study)
    twin = seen.setdefault((folder, stem.lower()), study)
    if twin is not study:
      raise InputError(
        f"studies {twin.name} and {study.name} would both be written to "
        f"{outputs.mask_path(folder, stem)}",
        "predict them into folders of their own",
        path=study.images[channel],
      )


def _skip(job: Job, study: Study) -> Prediction | None:
  """Returns the result of a study that needs no network, else None."""
  try:
    require_channels(study, job.run.config.data.channels)
    if job.is_done(study):
      return Prediction(
        study.name, SKIPPED, outputs.mask_path(*job.target(study))
      )
  except InputError as error:
    return _failed(study, error)
  return None


def _attempt(job: Job, study: Study, scorer: Scorer) -> Prediction:
  """Predicts a study; whatever goes wrong is logged and returned."""
  try:
    result = job.predict(study, scorer)
  except InputError as error:
    return _failed(study, error)
  except Exception as error:  # one study must not end a night's work
    logging.exception("study %s", study.name)
    return _failed(study, error)
  for flag in result.flags:
    logging.warning("study %s: %s", study.name, flag)
  times = ", ".join(f"{name} {s:.2f} s" for name, s in result.seconds.items())
  logging.debug("study %s: %s", study.name, times)
  return result


def _failed(study: Study, error: Exception) -> Prediction:
  text = str(error)
  if not isinstance(error, InputError):
    text = f"{type(error).__name__}: {text}"
  logging.error("study %s failed: %s", study.name, text)
  return Prediction(study.name, FAILED, error=text)


def _write_failed(path: Path, results: Sequence[Prediction]) -> None:
  """Writes `failed.tsv`, or takes it away where nothing failed."""
  failed = [result for result in results if result.status == FAILED]
  if not failed:
    path.unlink(missing_ok=True)
    return
  rows = [f"{cell(r.name)}\t{cell(r.error)}\n" for r in failed]
  write_text(path, "study\tproblem\n" + "".join(rows))


def predict(
  run_folder: str | Path,
  input: str | Path,
  output: str | Path,
  *,
  whole_slice: bool = False,
  assume_orientation: str = "",
  **options: Any,
) -> list[Prediction]:
  """Segments what a path stands for (`inputs`) with the run of a folder.

  Args:
    run_folder: the workdir of a finished run.
    input: a file, folder, tree or manifest.
    output: folder of the results.
    whole_slice: whole slices in one pass, however the run was evaluated.
    assume_orientation: where the axes of a file run to, such as "RAS", if its
      header does not say it; empty: such a file is refused.
    **options: fold, labelling, probabilities, overwrite, overlays, on_study of
      `predict_studies`.

  Returns:
    A `Prediction` for each study; callers report those that failed.

  Raises:
    InputError: as `predict_studies`, or nothing to predict at `input`.
  """
  run = load_run(run_folder)
  run.config.evaluation.whole_slice |= whole_slice
  # Of these files, whatever was assumed of those it learnt from.
  run.config.data.assume_orientation = check_orientation(
    assume_orientation, "--assume_orientation"
  )
  data = run.config.data
  found = find_inputs(input, data.channels, data.columns)
  failures = []
  for finding in found.findings:
    if finding.severity == ERROR:
      logging.error("%s", finding)
      name = finding.study or (finding.path.name if finding.path else "")
      failures.append(Prediction(printable(name), FAILED, error=str(finding)))
    elif finding.severity == WARNING:
      logging.warning("%s", finding)
    else:
      logging.info("%s", finding)
  return predict_studies(
    run, found.studies, output, failures=failures, **options
  )
