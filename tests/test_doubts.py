"""Folds of different lengths and older thresholds are told of."""

import json

import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import doubts, records, run_results, runs
from lumbar_jax.files import write_json, write_text


@pytest.fixture
def run(tmp_path):
  """A run of two folds in a study's place, trained for three epochs."""
  config = config_lib.default()
  config.data.num_folds, config.training.num_epochs = 2, 3
  run = runs.open_run(tmp_path / "runs" / "U1", config)
  for fold in run.folds:
    train(run, fold, 3)
  return run


def train(run, fold, epochs):
  """Leaves behind what training for some epochs does."""
  place = run.fold_folder(fold)
  info = place / "checkpoints" / "best" / "2" / "info" / "metadata"
  write_json(info, {"checksum": {"content": f"of {epochs} epochs"}})
  lines = [json.dumps({"epoch": epoch}) + "\n" for epoch in range(epochs)]
  write_text(place / "metrics.jsonl", "".join(lines))


def tune(run, text):
  for path in map(run.thresholds_path, (None, *run.folds)):
    write_text(path, text)


def evaluate(folder, config, *, study=False):
  def state():
    return records.state_of(folder, config, study=study)

  with records.evaluating(folder, state):
    pass


def more_epochs(run, epochs):
  run.config.training.num_epochs = epochs
  runs.record_epochs(run)


class TestTraining:
  def test_finished_folds_raise_no_doubt(self, run):
    assert doubts.of_training(run) == []

  def test_folds_of_different_lengths_do(self, run):
    more_epochs(run, 6)
    train(run, 1, 5)
    assert doubts.of_training(run) == [
      "not trained to the end: of 6 epochs fold 0 has 3, fold 1 has 5"
    ]
    train(run, 1, 6)
    assert doubts.of_training(run, [1]) == []
    assert "fold 0 has 3" in doubts.of_training(run, [0])[0]

  def test_of_curves_that_are_gone_or_begun_anew_nothing_is_made(self, run):
    run.fold_folder(0).joinpath("metrics.jsonl").unlink()
    assert doubts.of_training(run) == []
    write_text(run.fold_folder(0) / "metrics.jsonl", '{"epoch": 2}\n')
    assert doubts.of_training(run) == []
    write_text(run.fold_folder(0) / "metrics.jsonl", "{")
    assert doubts.of_training(run) == []

  def test_an_evaluation_tells(self, run, monkeypatch, caplog):
    monkeypatch.setattr(run_results, "_evaluate_all", lambda *_: None)
    run_results.evaluate(run, None)
    assert "not trained to the end" not in caplog.text
    more_epochs(run, 6)
    run_results.evaluate(run, None)
    assert "fold 0 has 3, fold 1 has 3" in caplog.text


class TestThresholds:
  def test_nothing_is_known_of_what_was_not_evaluated(self, run):
    tune(run, "first")
    train(run, 0, 5)
    assert doubts.of_thresholds(run) == []

  @pytest.mark.parametrize("study", [False, True])
  def test_weights_that_changed_since_make_them_doubtful(self, run, study):
    tune(run, "first")
    if study:
      config = run.config.copy_and_resolve_references()
      config.study.update(networks=("U1",), ensembles=(), ablation="")
      evaluate(run.folder.parent.parent, config, study=True)
    else:
      evaluate(run.folder, run.config)
    assert doubts.of_thresholds(run) == []
    train(run, 0, 5)
    assert "trained on after" in doubts.of_thresholds(run)[0]
    assert len(doubts.of_thresholds(run, 0)) == 1
    assert doubts.of_thresholds(run, 1) == []  # whose weights are the same
    write_text(run.thresholds_path(0), "second")  # --mode=train --fold=0
    assert doubts.of_thresholds(run, 0) == []
    assert len(doubts.of_thresholds(run)) == 1
    tune(run, "second")
    assert doubts.of_thresholds(run) == []
