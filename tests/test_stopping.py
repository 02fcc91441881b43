"""SIGTERM: at once where nothing would be lost, else after the step."""

import os
import signal

import distributed_job as job
import jax
import numpy as np
import pytest

from lumbar_jax import stopping
from lumbar_jax.errors import explain
from lumbar_jax.training.writers import read_metrics


@pytest.fixture(autouse=True)
def listening(monkeypatch):
  """Takes SIGTERM as the launcher does, and forgets it afterwards."""
  before = signal.getsignal(signal.SIGTERM)
  monkeypatch.setattr(stopping, "_wanted", False)
  stopping.listen()
  yield
  signal.signal(signal.SIGTERM, before)


def trainer(folder) -> job.FoldTrainer:
  return job.trainer(folder, devices=jax.devices()[:1])


def test_outside_training_it_ends_at_once():
  with pytest.raises(stopping.Stopped) as caught:
    os.kill(os.getpid(), signal.SIGTERM)
  text, code = explain(caught.value)
  assert code == 143
  assert "same command" in text


def train_until(work: job.FoldTrainer, turns: int) -> None:
  """Trains; SIGTERM comes after so many batches."""
  for number, _ in enumerate(work.steps(), start=1):
    if number == turns:
      os.kill(os.getpid(), signal.SIGTERM)


# Five training steps and two validation batches an epoch: in the first, before
# a periodic checkpoint; at its last step; while validating.
@pytest.mark.parametrize(("turns", "saved"), [(1, 2), (4, 5), (6, 5)])
def test_training_is_saved_and_goes_on_bit_for_bit(
  tmp_path, monkeypatch, turns, saved
):
  whole = trainer(tmp_path / "whole")
  whole.run()
  first = trainer(tmp_path / "stopped")
  with pytest.raises(stopping.Stopped, match="stopped by SIGTERM"):
    train_until(first, turns)
  assert int(first.state.step) == saved
  monkeypatch.setattr(stopping, "_wanted", False)
  second = trainer(tmp_path / "stopped")
  assert int(second.state.step) == saved
  second.run()
  jax.tree.map(np.testing.assert_array_equal, second.state, whole.state)
  lines, wanted = (
    [{k: v for k, v in line.items() if k != "time_s"} for line in found]
    for found in map(read_metrics, (tmp_path / "stopped", tmp_path / "whole"))
  )
  assert str(lines) == str(wanted)  # (NaN is equal to itself as text)
