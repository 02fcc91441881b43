"""How the jobs of a sweep are: done, running, waiting or failed.

What is done is seen on disk; what is under way, the scheduler knows.
"""

import dataclasses
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import records
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.launchers.submit import FOLDER, JOBS_FILE, load_submitit
from lumbar_jax.launchers.task import record_path
from lumbar_jax.training.writers import read_metrics

DONE, RUNNING, WAITING, FAILED = "done", "running", "waiting", "failed"
_STATES = (DONE, RUNNING, WAITING, FAILED)
_WAITING_ON_SLURM = ("PENDING", "REQUEUED", "SUSPENDED", "RESIZING", "UNKNOWN")


@dataclasses.dataclass(frozen=True)
class Entry:
  """How one job is.

  Attributes:
    name: the job's.
    state: done, running, waiting or failed.
    epochs: trained so far.
    num_epochs: to be trained.
    log: the file to look into.
    report: of the run or study that it belongs to.
  """

  name: str
  state: str
  epochs: int
  num_epochs: int
  log: Path
  report: Path


def read_status(workdir: Path) -> list[Entry]:
  """Returns how each job of a sweep is, in the order of their names.

  Raises:
    InputError: nothing was launched from this folder.
  """
  path = workdir / FOLDER / JOBS_FILE
  if not path.is_file():
    raise InputError(
      "nothing was launched here",
      "give --launcher=slurm or local first",
      path=workdir,
    )
  jobs = read_json(path, (), "restore it from a copy; no result is lost")
  return [_entry_or_damage(workdir, *item) for item in sorted(jobs.items())]


def _entry_or_damage(workdir: Path, name: str, job: dict[str, Any]) -> Entry:
  """Returns a job's entry; one damaged folder must not hide the others."""
  try:
    return _entry(workdir, name, job)
  except InputError as error:
    logging.error("job %s: %s", name, error)
    log = (workdir / FOLDER / "logs" / f"{job['id']}_0_log.err").absolute()
    report = workdir / job["report"]
    return Entry(name, FAILED, 0, job["num_epochs"], log, report)


def _entry(workdir: Path, name: str, job: dict[str, Any]) -> Entry:
  folder, num_epochs = workdir / job["folder"], job["num_epochs"]
  epochs = min(len(read_metrics(folder)), num_epochs)
  log = (workdir / FOLDER / "logs" / f"{job['id']}_0_log.err").absolute()
  record = record_path(workdir / FOLDER / "records", name)
  said = read_json(record, ("time", "code")) if record.is_file() else None
  if said is not None and said["time"] < job["time"]:
    said = None  # of an earlier submission
  if said is not None and said["code"] == 0:
    state = DONE if is_trained(folder, num_epochs) else FAILED
  elif said is not None and said["code"] is not None and said["code"] < 128:
    state = FAILED
  else:
    look = _slurm_state if job["launcher"] == "slurm" else _local_state
    state = look(workdir, job, said)
  report = workdir / job["report"]
  return Entry(name, state, epochs, num_epochs, log, report)


def is_trained(folder: Path, num_epochs: int) -> bool:
  """Whether a fold's folder has all its epochs."""
  if len(read_metrics(folder)) < num_epochs:
    return False
  from lumbar_jax.training.checkpoints import epochs_done  # slow to import

  return epochs_done(folder / "checkpoints") >= num_epochs


def _slurm_state(workdir: Path, job: dict[str, Any], said: Any) -> str:
  submitit = load_submitit()
  known = submitit.SlurmJob(workdir / FOLDER / "logs", job["id"])
  state = known.state.split()[0].rstrip("+") if known.state else "UNKNOWN"
  if state in ("RUNNING", "COMPLETING"):
    return RUNNING
  return WAITING if state in _WAITING_ON_SLURM else FAILED


def _local_state(workdir: Path, job: dict[str, Any], said: Any) -> str:
  """Returns how a job of this machine is: its processes' ids tell."""
  alive = _is_alive(int(job["id"]))
  if said is None:
    return WAITING if alive else FAILED
  if said["code"] is None and said["host"] == socket.gethostname():
    return RUNNING if alive and _is_alive(said["pid"]) else FAILED
  return WAITING if alive else FAILED


def _is_alive(pid: int) -> bool:
  """Whether a process runs here; one that ended and waits to be seen is not."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    return True
  try:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
      return file.read().rpartition(")")[2].split()[0] != "Z"
  except OSError:
    return True


def show(entries: Sequence[Entry]) -> None:
  """Logs a line for each job and each report, and how many there are."""
  width = max(len(entry.name) for entry in entries)
  for entry in entries:
    where = f"  see {entry.log}" if entry.state == FAILED else ""
    progress = f"{entry.epochs} of {entry.num_epochs} epochs"
    logging.info(
      "%-*s  %-7s  %s%s", *(width, entry.name, entry.state, progress, where)
    )
  states = [entry.state for entry in entries]
  counts = ", ".join(f"{states.count(state)} {state}" for state in _STATES)
  reports = dict.fromkeys(entry.report for entry in entries)
  for report in reports:
    logging.info("%s: %s", report, records.describe(report.parent))
  logging.info("%s", counts)
