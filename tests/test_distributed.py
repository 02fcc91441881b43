"""Two processes give what one gives, and end together if one vanishes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import distributed_job as job
import jax
import numpy as np
import pytest

from lumbar_jax import distributed, stopping
from lumbar_jax.training.writers import read_metrics

COUNT = 2
SCRIPT = Path(job.__file__)


def free_port() -> int:
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]


def finish(folder: Path, ending: str) -> tuple[list[int], list[str]]:
  """Runs processes of one device each; returns their codes and words."""
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  environment["PYTHONPATH"] = str(SCRIPT.parents[1])
  place = f"127.0.0.1:{free_port()}"
  processes = [
    subprocess.Popen(
      [sys.executable, SCRIPT, folder, place, str(COUNT), str(index), ending],
      env=environment,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(COUNT)
  ]
  said = [process.communicate(timeout=500)[1] for process in processes]
  return [process.returncode for process in processes], said


def one(folder: Path, **options) -> job.FoldTrainer:
  """Trains in this process, on one device."""
  work = job.trainer(folder, devices=jax.devices()[:1], **options)
  work.run()
  return work


@pytest.fixture(scope="module")
def together(tmp_path_factory):
  """(folder, exit codes, what was said) of processes that ran together."""
  folder = tmp_path_factory.mktemp("together")
  job.write_images(folder / "images")
  one(folder / "begun", epochs=1)
  return folder, *finish(folder, "killed")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """(folder, trainer) of one process that did the same."""
  folder = tmp_path_factory.mktemp("alone")
  return folder, one(folder)


def _assert_same(folder: Path, alone) -> None:
  """Compares curves and weights; the folder's are of its checkpoint."""
  lines, wanted = read_metrics(folder), read_metrics(alone[0])
  assert [line["epoch"] for line in lines] == list(range(job.EPOCHS))
  for line, other in zip(lines, wanted, strict=True):
    assert line.keys() == other.keys()
    for name in line.keys() - {"time_s"}:
      np.testing.assert_allclose(
        line[name], other[name], rtol=1e-4, err_msg=name
      )
  restored = job.trainer(folder, devices=jax.devices()[:1])
  assert restored.done
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6),
    restored.state,
    alone[1].state,
  )


def test_two_processes_learn_what_one_learns(together, alone):
  _assert_same(together[0] / "whole", alone)


def test_two_processes_continue_what_one_began(together, alone):
  _assert_same(together[0] / "begun", alone)


def test_a_lost_process_is_named_and_what_was_left_goes_on(together, alone):
  folder, codes, said = together
  assert codes == [1, -signal.SIGKILL], said
  assert "process 1 (" in said[0]
  assert "of 2 has vanished" in said[0]
  assert "same command" in said[0]
  assert "ended without a word" in said[1]
  lines = read_metrics(folder / "killed")
  assert [line["epoch"] for line in lines] == [0]
  one(folder / "killed")
  _assert_same(folder / "killed", alone)


def test_one_that_is_told_to_end_ends_all_at_the_same_step(tmp_path, alone):
  codes, said = finish(tmp_path, "told")
  assert codes == [stopping.STOPPED] * COUNT, said
  words = [re.search(r"fold 0: stopped by SIGTERM.*", text) for text in said]
  assert words[0] is not None
  assert words[0].group() == words[1].group()
  one(tmp_path / "told")
  _assert_same(tmp_path / "told", alone)


def test_a_lost_coordinator_ends_the_others(tmp_path, alone):
  codes, said = finish(tmp_path, "headless")
  assert codes[0] == -signal.SIGKILL
  assert codes[1] not in (0, stopping.STOPPED), said
  assert [line["epoch"] for line in read_metrics(tmp_path / "headless")] == [0]
  one(tmp_path / "headless")
  _assert_same(tmp_path / "headless", alone)


def test_each_study_is_predicted_by_one_process(together):
  folder = together[0]
  found = [
    json.loads((folder / f"found_{index}.json").read_text())
    for index in range(COUNT)
  ]
  names = [str(number) for number in range(job.STUDIES)]
  for entry in found:  # all know about all
    assert entry["status"] == dict.fromkeys(names, "done")
    assert entry["again"] == dict.fromkeys(names, "skipped")
    assert entry["gathered"] == [[0], [0, 1]]
  assert [entry["own"] for entry in found] == [names[::2], names[1::2]]
  masks = sorted(p.name for p in (folder / "predicted").glob("*_dseg.nii.gz"))
  assert masks == [f"{name}_dseg.nii.gz" for name in names]


def test_one_process_waits_for_nobody():
  assert distributed.is_main()
  assert distributed.share([1, 2, 3]) == [1, 2, 3]
  assert distributed.gather("x") == ["x"]
  assert distributed.gather_items([1, 2]) == [1, 2]
  done = []
  distributed.on_main(done.append, 1)
  with distributed.main_first("x"):
    distributed.barrier("x")
  assert done == [1]
