"""Segmenting studies with a trained run.

A folder of studies is worked through one by one: what is done stays done, and
a study that cannot be read is reported while the others go on. Each study is
one process' work, whether processes joined each other (`distributed`, which
divides the studies among them) or were just started on the same folder.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import allocation, distributed, doubts, hardware
from lumbar_jax.data.sources.found import ERROR, WARNING
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import printable
from lumbar_jax.evaluation.labelling import Thresholds
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.formats.orientation import check_orientation
from lumbar_jax.inference import failures as failures_lib
from lumbar_jax.inference import outputs, targets
from lumbar_jax.inference.claims import Claims
from lumbar_jax.inference.failures import check_failures, count
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

  Studies that are done are skipped, and a study that fails, however it does, is
  logged and listed in `OUTPUT/failed.tsv`. One that another process is
  predicting is left to it. What can be checked is checked before a network is
  loaded, which is done once, if there is anything to do at all. Memory does not
  grow with the number of studies.

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
    thresholds: [k] instead of the run's own, tuned with its present weights.
    failures: studies that failed before, to be listed with the others.
    on_study: called with each study's result.

  Returns:
    A `Prediction` for each failure and each study, in order.

  Raises:
    InputError: no such fold, not trained, no thresholds, or an output folder
      with other predictions.
    OSError: the output folder cannot be written.
  """
  if fold is not None:
    run.check_fold(fold)
  known = doubts.of_training(run, None if fold is None else [fold])
  if thresholds is None or labelling != "TH":
    thresholds = load_thresholds(run, labelling, fold)
    known += doubts.of_thresholds(run, fold) if labelling == "TH" else []
  record = describe(run, fold, labelling, thresholds)
  job = Job(
    *(run, Path(output), labelling, thresholds, record),
    *(probabilities, overlays, overwrite, tuple(known)),
  )
  studies = [dataclasses.replace(study, mask=None) for study in studies]
  with distributed.main_first("predictions"):
    outputs.open_folder(output, run.scheme, record, overwrite=overwrite)
  numbered = dict(enumerate(studies))
  refused = targets.refused(job, numbered)
  good = {n: study for n, study in numbered.items() if n not in refused}
  if distributed.is_main():
    for doubt in known:
      logging.warning("%s: %s", run.folder, doubt)
    targets.warn_of_space(job, _with_image(job, good))
  own = dict(distributed.share(list(numbered.items())))
  own = _predict_own(job, own, refused, scorer, fold, on_study)
  found = dict(distributed.gather_items(list(own.items())))
  results = [*failures, *(found[number] for number in sorted(found))]
  distributed.on_main(failures_lib.record, job.output, results)
  logging.info("%s: %s", job.output, count(results))
  return results


def _with_image(job: Job, studies: Mapping[int, Study]) -> dict[int, Study]:
  channel = job.run.config.data.channels[0]
  return {n: study for n, study in studies.items() if channel in study.images}


def _predict_own(
  job: Job,
  studies: Mapping[int, Study],
  refused: Mapping[int, Exception],
  scorer: Scorer | None,
  fold: int | None,
  on_study: Callable[[Prediction], None] | None,
) -> dict[int, Prediction]:
  """Predicts this process' studies; those in other hands are asked for twice.

  Whoever holds one at first may have been killed by the end.
  """
  results: dict[int, Prediction] = {}
  claims = Claims(job.output)
  load = functools.lru_cache(lambda: scorer or _load(job, fold))
  with Progress("predicting, studies", len(studies)) as progress:
    for turn in (1, 2):
      for number, study in studies.items():
        if number in results and results[number].status != BUSY:
          continue
        if number in refused:
          result = failures_lib.failed(job, study, refused[number])
        else:
          result = _predict_one(job, study, claims, load)
        results[number] = result
        if len(results) % _TRIM_EVERY == 0:
          allocation.return_memory()
        if result.status != BUSY or turn == 2:
          show = (
            progress.skip if result.status in (SKIPPED, BUSY) else progress.add
          )
          show(1, f"{printable(study.name)} {result.status}")
          if on_study is not None:
            on_study(result)
  return results


def _load(job: Job, fold: int | None) -> Scorer:
  dtype = job.run.config.training.dtype
  logging.info("on %s; %s", hardware.describe(), dtype)
  return load_scorer(job.run, fold)


class _NoNetwork(Exception):
  """The network cannot be loaded: no study can be predicted."""


def _predict_one(
  job: Job, study: Study, claims: Claims, load: Callable[[], Scorer]
) -> Prediction:
  """Predicts a study unless it is done or in other hands.

  Whatever goes wrong is logged and returned: one study must not end a night's
  work. Only a network that cannot be loaded is the end of all.
  """
  try:
    with claims.hold(job.target_name(study)) as mine:
      if not mine:
        return Prediction(printable(study.name), BUSY)
      require_channels(study, job.run.config.data.channels)
      if job.is_done(study):
        path = outputs.mask_path(*job.target(study))
        return Prediction(printable(study.name), SKIPPED, path)
      targets.check_space(job, study)
      result = job.predict(study, _loaded(load))
  except _NoNetwork as error:
    raise error.__cause__ from None
  except Exception as error:
    return failures_lib.failed(job, study, error)
  for flag in result.flags:
    if flag in job.doubts:  # said once
      continue
    logging.warning("study %s: %s", result.name, flag)
  times = ", ".join(f"{name} {s:.2f} s" for name, s in result.seconds.items())
  logging.debug("study %s: %s", result.name, times)
  return result


def _loaded(load: Callable[[], Scorer]) -> Scorer:
  try:
    return load()
  except Exception as error:
    raise _NoNetwork from error


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
