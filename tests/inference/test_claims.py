"""Each study is one process' work, also of processes that share only a disk."""

import os
import subprocess
import sys
from pathlib import Path

import distributed_job as job
import pytest

from lumbar_jax.inference.claims import Claims
from lumbar_jax.inference.predict import BUSY, DONE, SKIPPED

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from lumbar_jax.inference.claims import Claims
with Claims(sys.argv[1]).hold(sys.argv[2]) as mine:
  print(mine, flush=True)
  sys.stdin.read()
"""


@pytest.fixture
def other():
  """Returns (folder, name) -> another process that holds the claim."""
  started = []

  def start(folder, name):
    started.append(
      subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
      )
    )
    assert started[-1].stdout.readline() == "True\n"
    return started[-1]

  yield start
  for process in started:
    process.kill()
    process.communicate()


def held(folder, name) -> bool:
  with Claims(folder).hold(name) as mine:
    return mine


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path, other):
  process = other(tmp_path, "anat/sub-1")
  assert not held(tmp_path, "anat/sub-1")
  assert held(tmp_path, "anat/sub-2")
  process.kill()
  process.wait()
  assert held(tmp_path, "anat/sub-1")
  assert held(tmp_path, "anat/sub-1")  # and each block's end frees it


def test_a_study_in_other_hands_is_left_to_them(tmp_path, other):
  job.write_images(tmp_path / "images")
  (tmp_path / "predicted").mkdir()
  process = other(tmp_path / "predicted", "3")
  names = [str(number) for number in range(job.STUDIES)]
  status, own = job.predict(tmp_path)
  assert status == {**dict.fromkeys(names, DONE), "3": BUSY}
  assert sorted(own) == names
  assert not (tmp_path / "predicted" / "3_dseg.nii.gz").exists()
  process.kill()  # before it was done
  process.wait()
  status, _ = job.predict(tmp_path)
  assert status == {**dict.fromkeys(names, SKIPPED), "3": DONE}
