"""Thresholds of other folds and other trainings are refused."""

import json
import shutil

import numpy as np
import pytest

from lumbar_jax import config
from lumbar_jax.anatomy import MIDAS12
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import labelling, tuned_on
from lumbar_jax.evaluation.labelling import CANDIDATES
from lumbar_jax.inference.segment import load_thresholds
from lumbar_jax.runs import Run


def make_trained(folder, second=1.5):
  """A run of which only what tells its trainings apart is there."""
  run = Run(folder, config.default(), MIDAS12)
  for fold in run.folds:
    place = run.fold_folder(fold)
    place.mkdir(parents=True)
    write_epochs(place, [second + fold])
    write_weights(place, f"{second} {fold}")
    write_tuned(run, fold)
  write_tuned(run, None)
  return run


def write_epochs(place, seconds):
  lines = [json.dumps({"epoch": n, "time_s": s}) for n, s in enumerate(seconds)]
  (place / "metrics.jsonl").write_text("\n".join(lines))


def write_weights(place, content):
  info = place / "checkpoints" / "best" / "3" / "info" / "metadata"
  info.parent.mkdir(parents=True, exist_ok=True)
  info.write_text(json.dumps({"checksum": {"content": content}}))


def write_tuned(run, fold):
  origin = {tuned_on.FIELD: tuned_on.record(run, fold)}
  values = np.array([0, *CANDIDATES[:11]], np.float32)
  path = run.thresholds_path(fold)
  labelling.write_thresholds(path, MIDAS12, values, **origin)


def test_thresholds_of_another_fold_or_run_are_refused(tmp_path):
  run = make_trained(tmp_path / "a")
  other = make_trained(tmp_path / "b", second=7.5)
  for fold in (None, *run.folds):
    assert load_thresholds(run, "TH", fold) is not None
  shutil.copy(run.thresholds_path(2), run.thresholds_path())
  with pytest.raises(InputError, match=r"fold 2, not 0, 1, 2.*evaluate"):
    load_thresholds(run, "TH")
  shutil.copy(run.thresholds_path(2), run.thresholds_path(1))
  with pytest.raises(InputError, match="fold 2, not 1"):
    load_thresholds(run, "TH", 1)
  for fold, words in ((None, "fold 0, 1, 2"), (0, "fold 0")):
    shutil.copy(other.thresholds_path(fold), run.thresholds_path(fold))
    with pytest.raises(InputError, match=f"another training of {words}"):
      load_thresholds(run, "TH", fold)
  assert load_thresholds(run, "MAP") is None


def test_thresholds_of_a_run_that_was_trained_on_are_taken(tmp_path):
  run = make_trained(tmp_path / "a")
  for fold in run.folds:  # `doubts` tells it
    write_epochs(run.fold_folder(fold), [1.5 + fold, 9.0])
    write_weights(run.fold_folder(fold), "trained on")
  assert load_thresholds(run, "TH") is not None
  (run.fold_folder(0) / "metrics.jsonl").unlink()  # then nothing is known
  assert load_thresholds(run, "TH") is not None
  values = np.array([0, *CANDIDATES[:11]], np.float32)
  path = run.thresholds_path(1)  # as older versions wrote it
  labelling.write_thresholds(path, MIDAS12, values)
  shutil.copy(path, run.thresholds_path(0))
  assert load_thresholds(run, "TH", 0) is not None
