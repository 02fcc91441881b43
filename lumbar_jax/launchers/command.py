"""What `launch.py --launcher=...` does."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import config as config_lib
from lumbar_jax import records
from lumbar_jax.errors import InputError
from lumbar_jax.launchers import status, submit, sweep
from lumbar_jax.locks import locked


def launch(
  launcher: str,
  mode: str,
  workdir: Path | None,
  config: Any,
  *,
  axes: Sequence[str] = (),
  resources: Sequence[str] = (),
  parallel: int = 0,
  arguments: Sequence[str] = (),
) -> None:
  """Submits the jobs of a command, or shows how they are.

  Given again, it submits what is neither done nor under way.

  Args:
    launcher: slurm, local or status.
    mode: crossval (with or without a sweep) or study.
    workdir: the sweep's folder, or the run's or study's.
    config: the config; None is enough for status.
    axes: of the sweep.
    resources: NAME=VALUE of submitit's parameters.
    parallel: how many jobs at a time; 0: see `submit.submit`.
    arguments: the command line that jobs are to repeat.

  Raises:
    InputError: bad flags, or nothing to submit with.
  """
  if workdir is None:
    raise InputError("--workdir is missing", "give the folder of the sweep")
  if launcher == "status":
    status.show(status.read_status(workdir))
    return
  if config is None:
    raise InputError("--config is missing", "give --config=configs/NAME.py")
  command = [
    *(sys.executable, str(Path(sys.argv[0]).absolute())),
    *sweep.job_flags(arguments),
  ]
  jobs, first, configs = _plan(mode, workdir, config, axes, command)
  with locked(workdir / submit.FOLDER):
    left = _left(workdir, jobs, configs, study=mode == "study")
    if not left:
      logging.info("all %d jobs are done or under way", len(jobs))
      return
    submit.submit(
      *(launcher, workdir, left, first),
      parallel=parallel,
      resources=resources,
    )


def _plan(
  mode: str,
  workdir: Path,
  config: Any,
  axes: Sequence[str],
  command: Sequence[str],
) -> tuple[list[sweep.Job], list[tuple[str, ...]], dict[Path, Any]]:
  """Returns the jobs, the commands to be run before them, folders' configs."""
  if mode == "study":
    if axes:
      raise InputError(
        "--sweep with --mode=study",
        "a study's networks are --config.study.networks=U1,UMD,...",
      )
    config_lib.validate(config)
    prepare = (*command, "--mode=prepare", f"--workdir={workdir}")
    jobs = sweep.study_jobs(workdir, config, command)
    return jobs, [prepare], {workdir: config}
  if mode != "crossval":
    raise InputError(
      f"--launcher with --mode={mode}",
      "it submits crossval and study; start other modes as they are",
    )
  found = sweep.points(workdir, config, axes)
  configs = {point.folder: point.config for point in found}
  jobs = sweep.run_jobs(found, command)
  return jobs, sweep.preparations(found, command), configs


def _left(
  workdir: Path,
  jobs: Sequence[sweep.Job],
  configs: Mapping[Path, Any],
  *,
  study: bool = False,
) -> list[sweep.Job]:
  """Returns the jobs that are neither done nor under way.

  Where all folds are done and what was evaluated is not what there is now, one
  job goes on with it.

  Args:
    workdir: the sweep's folder.
    jobs: all of its jobs.
    configs: {folder: config} of the runs or the study, as given now: it may
      ask for another evaluation than there was, and a study may have grown.
    study: whether it is a study's.
  """
  known = {}
  if (workdir / submit.FOLDER / submit.JOBS_FILE).is_file():
    known = {entry.name: entry.state for entry in status.read_status(workdir)}
  for job in jobs:  # done, but for fewer epochs than are wanted now
    done = known.get(job.name) == status.DONE
    if done and not status.is_trained(job.folder, job.num_epochs):
      del known[job.name]
  active = (status.DONE, status.RUNNING, status.WAITING)
  left = [job for job in jobs if known.get(job.name) not in active]
  by_report: dict[Path, list[sweep.Job]] = {}
  for job in jobs:
    by_report.setdefault(job.report, []).append(job)
  for report, group in by_report.items():
    done = all(known.get(job.name) == status.DONE for job in group)
    if done and not _is_evaluated(report.parent, configs, study):
      left.append(group[0])
  return left


def _is_evaluated(
  folder: Path, configs: Mapping[Path, Any], study: bool
) -> bool:
  """Whether what was evaluated and reported is what is wanted now."""
  state = records.state_of(folder, configs[folder], study=study)
  return records.is_done(folder, state)
