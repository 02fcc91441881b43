"""Jobs through submitit, here and on a stand-in for SLURM's commands."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import records as evaluation
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json
from lumbar_jax.launchers import command as command_lib
from lumbar_jax.launchers import status, submit
from lumbar_jax.launchers.sweep import Job
from lumbar_jax.launchers.task import record_path
from lumbar_jax.runs import open_run
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.writers import MetricWriter

pytest.importorskip("submitit", reason="requirements-cluster.txt not installed")

# Ends at SIGTERM as the trainer does, and does its work at the second start.
_STOPPABLE = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
if (folder / "saved").exists():
  sys.exit()
def stop(*_):
  (folder / "saved").touch()
  sys.exit(143)
signal.signal(signal.SIGTERM, stop)
(folder / "ready").touch()
time.sleep(60)
"""


def job(folder: Path, name: str, code: str) -> Job:
  line = (sys.executable, "-c", code, str(folder / name))
  return Job(name, folder / name, folder / "report.html", 1, line)


def train(folder: Path) -> None:
  """Leaves what one trained epoch leaves."""
  checkpoints = Checkpoints(folder / "checkpoints")
  checkpoints.save_latest(1, {"w": np.zeros(3)}, {"epoch": 1})
  checkpoints.close()
  writer = MetricWriter(folder, first_epoch=0, tensorboard=False)
  writer.write(0, {"val/loss": 1.0})


def wait_for(condition, seconds: float = 60) -> None:
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, "it never came"
    time.sleep(0.05)


def ended(folder: Path, name: str) -> bool:
  path = record_path(folder / submit.FOLDER / "records", name)
  return path.is_file() and read_json(path)["code"] is not None


def states(folder: Path) -> dict[str, str]:
  return {entry.name: entry.state for entry in status.read_status(folder)}


def _left(folder, jobs):
  return command_lib._left(folder, jobs, {folder: config_lib.default()})


def test_jobs_run_here_and_their_states_are_told(tmp_path):
  train(tmp_path / "good")
  jobs = [
    job(tmp_path, "good", "pass"),
    job(tmp_path, "bad", "raise SystemExit(3)"),
    job(tmp_path, "slow", "import time; time.sleep(60)"),
    job(tmp_path, "next", "pass"),
  ]
  first = [(sys.executable, "-c", f"open({str(tmp_path / 'x')!r}, 'w')")]
  submit.submit("local", tmp_path, jobs, first)
  wait_for(lambda: ended(tmp_path, "bad"))
  assert (tmp_path / "x").is_file()
  records = tmp_path / submit.FOLDER / "records"
  wait_for(lambda: record_path(records, "slow").is_file())
  assert states(tmp_path) == {
    "good": status.DONE,
    "bad": status.FAILED,
    "slow": status.RUNNING,
    "next": status.WAITING,
  }
  left = _left(tmp_path, jobs)
  assert [entry.name for entry in left] == ["bad"]
  # A machine that goes down says nothing.
  record = read_json(record_path(records, "slow"))
  known = read_json(tmp_path / submit.FOLDER / submit.JOBS_FILE)
  for pid in (int(known["slow"]["id"]), record["pid"]):
    os.kill(pid, signal.SIGKILL)
  wait_for(lambda: states(tmp_path)["slow"] == status.FAILED)
  assert states(tmp_path)["next"] == status.FAILED


def test_a_job_that_must_give_way_is_run_again(tmp_path):
  submit.submit("local", tmp_path, [job(tmp_path, "a", _STOPPABLE)], [])
  wait_for((tmp_path / "a" / "ready").is_file)
  records = tmp_path / submit.FOLDER / "records"
  os.kill(read_json(record_path(records, "a"))["pid"], signal.SIGUSR2)
  wait_for(lambda: ended(tmp_path, "a"))
  assert (tmp_path / "a" / "saved").is_file()
  assert read_json(record_path(records, "a"))["code"] == 0


def test_one_job_goes_on_where_only_the_evaluation_is_missing(tmp_path):
  train(tmp_path / "a")
  jobs = [job(tmp_path, "a", "pass")]
  submit.submit("local", tmp_path, jobs, [])
  wait_for(lambda: ended(tmp_path, "a"))
  assert _left(tmp_path, jobs) == jobs
  (tmp_path / "report.html").touch()  # asked for midway
  assert _left(tmp_path, jobs) == jobs
  run = open_run(tmp_path, config_lib.default())
  with evaluation.evaluating(tmp_path, evaluation.reader(run)):
    pass
  evaluation.reported(tmp_path)
  assert _left(tmp_path, jobs) == []


_SBATCH = """#!/bin/bash
file="${@: -1}"
id=$(( $(cat FAKE/last 2>/dev/null || echo 100) + 1 ))
echo $id > FAKE/last
cp "$file" FAKE/$id.sh
echo "Submitted batch job $id"
export SLURM_JOB_ID=$id SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1
export SLURM_NODEID=0 SLURM_LOCALID=0
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' FAKE/$id.sh)
if [ -n "$last" ]; then
  for i in $(seq 0 $last); do
    SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=$i bash FAKE/$id.sh &
  done > FAKE/$id.out 2>&1
else
  bash FAKE/$id.sh > FAKE/$id.out 2>&1 &
fi
"""
_SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do
  case $1 in --output | --error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
_SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for i in 0 1 2 3; do echo "102_$i|$(cat FAKE/state)|node"; done
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
  """Puts stand-ins for SLURM's commands first; returns their folder."""
  folder = tmp_path / "slurm"
  folder.mkdir()
  for name, text in (("sbatch", _SBATCH), ("srun", _SRUN), ("sacct", _SACCT)):
    path = folder / name
    path.write_text(text.replace("FAKE", str(folder)))
    path.chmod(0o755)
  (folder / "state").write_text("PENDING")
  monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
  return folder


def test_slurm_gets_an_array_that_waits_for_the_preparation(tmp_path, slurm):
  work = tmp_path / "work"
  jobs = [job(work, name, "pass") for name in ("a", "b", "c", "d")]
  submit.submit(
    *("slurm", work, jobs, [(sys.executable, "-c", "pass")]),
    parallel=2,
    resources=["slurm_partition=gpu", "gpus_per_node=1", "timeout_min=30"],
  )
  prepare, array = (
    (slurm / f"{number}.sh").read_text() for number in (101, 102)
  )
  assert "--array" not in prepare
  for line in (
    "--array=0-3%2",
    "--dependency=afterok:101",
    "--kill-on-invalid-dep=yes",
    "--partition=gpu",
    "--gpus-per-node=1",
    "--time=30",
    "--signal=USR2@90",
  ):
    assert f"#SBATCH {line}\n" in array
  known = read_json(work / submit.FOLDER / submit.JOBS_FILE)
  assert [known[name]["id"] for name in "abcd"] == [
    f"102_{number}" for number in range(4)
  ]
  wait_for(lambda: all(ended(work, name) for name in "abcd"))


@pytest.mark.parametrize(
  ("said", "state"),
  [
    ("PENDING", status.WAITING),
    ("REQUEUED", status.WAITING),
    ("RUNNING", status.RUNNING),
    ("COMPLETED", status.FAILED),  # without a record: its node went down
    ("CANCELLED by 0", status.FAILED),
    ("NODE_FAIL", status.FAILED),
  ],
)
def test_slurm_knows_who_has_left_no_record(tmp_path, slurm, said, state):
  (slurm / "state").write_text(said)
  import submitit

  submitit.SlurmJob.watcher.clear()
  found = status._slurm_state(tmp_path, {"id": "102_1"}, None)
  assert found == state


def test_what_submitit_does_not_know_is_said(tmp_path, slurm):
  jobs = [job(tmp_path, "a", "pass")]
  for text, words in (("gpus", "NAME=VALUE"), ("slurm_gpu=1", "'gpu'")):
    with pytest.raises(InputError, match=words):
      submit.submit("slurm", tmp_path, jobs, [], resources=[text])


def test_without_slurm_it_says_where_to_run(tmp_path, monkeypatch):
  monkeypatch.setenv("PATH", "/nowhere")
  with pytest.raises(InputError, match="sbatch"):
    submit.submit("slurm", tmp_path, [job(tmp_path, "a", "pass")], [])


def test_status_of_nothing_is_said(tmp_path):
  with pytest.raises(InputError, match="nothing was launched"):
    status.read_status(tmp_path)


def test_one_damaged_folder_does_not_hide_the_other_jobs(tmp_path, caplog):
  for name in ("a", "b"):
    train(tmp_path / name)
    said = {"code": 0, "host": "here", "pid": 1, "time": time.time() + 9}
    write_json(record_path(tmp_path / submit.FOLDER / "records", name), said)
  jobs = [job(tmp_path, name, "pass") for name in ("a", "b")]
  submit._record(tmp_path / submit.FOLDER, "local", jobs, ["1", "2"])
  (tmp_path / "a" / "metrics.jsonl").write_bytes(b'{"epo')
  assert states(tmp_path) == {"a": "failed", "b": "done"}
  assert "metrics.jsonl" in caplog.text
  (tmp_path / submit.FOLDER / submit.JOBS_FILE).write_bytes(b"{")
  with pytest.raises(InputError, match="no result is lost"):
    states(tmp_path)
