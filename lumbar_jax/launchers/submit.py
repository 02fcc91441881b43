"""Submitting jobs through submitit: job arrays on SLURM, or processes here."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax.choices import check_choice
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json
from lumbar_jax.launchers.sweep import Job
from lumbar_jax.launchers.task import Task

FOLDER = "launcher"  # in the workdir
JOBS_FILE = "jobs.json"
# A job that runs out of time is submitted again, as often as it takes.
_MAX_TIMEOUTS = 1000
_DEFAULTS = {
  "slurm": {"timeout_min": 240, "slurm_signal_delay_s": 90},
  "local": {"timeout_min": 60 * 24 * 30},
}
_ROOT = Path(__file__).resolve().parents[2]


def load_submitit() -> Any:
  """Returns the package.

  Raises:
    InputError: it is not installed.
  """
  try:
    import submitit
  except ImportError as error:
    raise InputError(
      f"--launcher needs the package submitit ({error})",
      "install it: python -m pip install -r requirements-cluster.txt",
    ) from None
  return submitit


def parse_resources(texts: Sequence[str]) -> dict[str, Any]:
  """Reads "gpus_per_node=1" and the like; numbers and true/false are such.

  Raises:
    InputError: no equals sign.
  """
  found = {}
  for text in texts:
    name, equals, value = text.partition("=")
    if not equals:
      raise InputError(
        f"--resource={text}", "give NAME=VALUE, such as gpus_per_node=1"
      )
    try:
      found[name] = json.loads(value.lower())
    except ValueError:
      found[name] = value
  return found


def _executor(
  launcher: str, folder: Path, name: str, resources: dict[str, Any]
) -> Any:
  """Returns submitit's executor.

  Raises:
    InputError: no SLURM here, or a resource that it does not know.
  """
  submitit = load_submitit()
  options = {f"{launcher}_max_num_timeout": _MAX_TIMEOUTS}
  try:
    executor = submitit.AutoExecutor(folder, cluster=launcher, **options)
  except RuntimeError as error:
    raise InputError(
      f"--launcher=slurm: {error}",
      "run this where sbatch is, or try --launcher=local",
    ) from error
  wanted = {"name": name, **_DEFAULTS[launcher], **resources}
  try:
    executor.update_parameters(**wanted)
  except (NameError, ValueError, AssertionError) as error:
    raise InputError(
      f"--resource: {error}", "see submitit's executors for what there is"
    ) from error
  return executor


def submit(
  launcher: str,
  workdir: Path,
  jobs: Sequence[Job],
  first: Sequence[Sequence[str]],
  *,
  parallel: int = 0,
  resources: Sequence[str] = (),
) -> None:
  """Submits jobs and records them in WORKDIR/launcher/jobs.json.

  On SLURM they are one array, which starts once the preparation has succeeded.
  Here they are divided among `parallel` processes, which go on after this one.

  Args:
    launcher: "slurm" or "local".
    workdir: the sweep's folder.
    jobs: to submit.
    first: commands to run before any job.
    parallel: jobs at a time; 0: all on SLURM, one here.
    resources: NAME=VALUE of submitit's parameters.

  Raises:
    InputError: no such launcher, no submitit, no SLURM, or an unknown
      resource.
  """
  check_choice("--launcher", launcher, ("slurm", "local"))
  folder = (workdir / FOLDER).absolute()
  executor = _executor(
    launcher, folder / "logs", workdir.name, parse_resources(resources)
  )
  _share_package()
  named = [(job.name, list(job.command)) for job in jobs]
  before = [(f"prepare_{i}", list(c)) for i, c in enumerate(first)]
  if launcher == "local":
    ids = _submit_local(executor, folder, before, named, max(parallel, 1))
  else:
    ids = _submit_slurm(executor, folder, before, named, parallel)
  _record(folder, launcher, jobs, ids)
  logging.info(
    "%d jobs submitted; how they are: --launcher=status --workdir=%s",
    *(len(jobs), workdir),
  )


def _share_package() -> None:
  """Lets jobs find this package, wherever they start."""
  paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
  os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _task(folder: Path, commands: list[tuple[str, list[str]]]) -> Task:
  return Task(commands, str(folder / "records"), os.getcwd())


def _submit_local(executor, folder, before, named, parallel) -> list[str]:
  """Starts a few processes, each with its part; returns each job's id."""
  parallel = min(parallel, len(named))
  parts = [named[number::parallel] for number in range(parallel)]
  parts[0] = [*before, *parts[0]]
  started = [executor.submit(_task(folder, part)) for part in parts]
  return [started[number % parallel].job_id for number in range(len(named))]


def _submit_slurm(executor, folder, before, named, parallel) -> list[str]:
  """Submits the preparation and an array after it; returns each job's id."""
  if before:
    prepared = executor.submit(_task(folder, before))
    after = {"dependency": f"afterok:{prepared.job_id}"}
    after["kill-on-invalid-dep"] = "yes"
    executor.update_parameters(slurm_additional_parameters=after)
  if parallel:
    executor.update_parameters(slurm_array_parallelism=parallel)
  with executor.batch():
    started = [executor.submit(_task(folder, [entry])) for entry in named]
  return [job.job_id for job in started]


def _record(folder: Path, launcher: str, jobs: Sequence[Job], ids) -> None:
  path = folder / JOBS_FILE
  known = read_json(path, ()) if path.is_file() else {}
  for job, job_id in zip(jobs, ids, strict=True):
    known[job.name] = {
      "launcher": launcher,
      "id": job_id,
      "folder": os.path.relpath(job.folder, folder.parent),
      "report": os.path.relpath(job.report, folder.parent),
      "num_epochs": job.num_epochs,
      "time": time.time(),
    }
  write_json(path, known)
