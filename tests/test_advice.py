"""What is said of a training's result, by curves and counts made by hand."""

import types

import numpy as np
import pytest

from lumbar_jax import advice, remarks
from lumbar_jax import config as config_lib
from lumbar_jax.anatomy import scheme_from_names
from lumbar_jax.evaluation.results import AVERAGED, Results, Row

NAMES = ("background", "bone", "disc", "canal")
COLORS = [(n, n, n) for n in range(4)]


def counts(**wrong):
  """Returns counts in which all is right, but for {name: found as ...}."""
  found = np.diag([10_000, 900, 500, 300])
  for name, (target, number) in wrong.items():
    row = NAMES.index(name)
    found[row, row] -= number
    found[row, NAMES.index(target)] += number
  return found


def test_nothing_is_said_where_all_classes_are_found():
  assert advice.missed_classes(counts(), NAMES) == []
  assert advice.missed_warning(counts(disc=("bone", 400)), NAMES) == ""


def test_a_class_that_is_never_predicted_is_named():
  found = counts(disc=("background", 500))
  assert advice.missed_classes(found, NAMES) == [
    "disc (500 pixels of truth) is never predicted"
  ]
  assert advice.missed_warning(found, NAMES).startswith("disc (500 pixels")
  for word in ("too few steps", "doctor", "class_weights", "dseg.tsv"):
    assert word in advice.CAUSES


def test_a_class_that_is_hardly_ever_predicted_is_named():
  said = advice.missed_classes(counts(bone=("background", 895)), NAMES)
  assert said == ["bone (900 pixels of truth) is hardly ever predicted"]


def test_classes_exchanged_are_named():
  found = counts(disc=("canal", 500), canal=("disc", 300))
  said = advice.missed_classes(found, NAMES)
  assert said == [
    "disc (500 pixels of truth) is predicted, but never where it is",
    "canal (300 pixels of truth) is predicted, but never where it is",
  ]


def test_a_class_without_truth_is_no_fault():
  found = counts()
  found[2] = 0
  found[0, 2] = 40  # predicted all the same
  assert advice.missed_classes(found, NAMES) == []


def test_many_classes_are_not_all_listed():
  size = 12
  found = np.zeros((size, size), int)
  found[:, 0] = 100
  said = advice.missed_warning(found, [f"c{n}" for n in range(size)])
  assert "c6" in said
  assert "c7" not in said
  assert "5 more" in said


@pytest.mark.parametrize(
  ("curve", "rising"),
  [
    ([], False),
    ([0.1], True),
    ([0.0], False),
    ([0.1, 0.2, 0.3], True),
    ([0.04, 0.037, 0.036], False),
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7], True),
    ([0.1, 0.4, 0.6, 0.7, 0.71, 0.712, 0.713, 0.714], False),
    ([0.1, 0.4, 0.6, 0.72, 0.71, 0.70, 0.69, 0.70], False),
    ([np.nan, 0.0, 0.0, 0.12], True),
    ([0.0] * 20, False),
    # Noise about a plateau, whose best epoch happens to be the last but one.
    ([0.5, 0.69, 0.7, 0.69, 0.7, 0.695, 0.704, 0.7], False),
  ],
)
def test_a_curve_that_still_rises(curve, rising):
  assert advice.still_rising(curve) is rising


def test_a_rising_curve_is_told_with_the_flag_to_use():
  said = advice.rising_note([0.1, 0.2, 0.3, 0.4], 3)
  assert "still rising" in said
  assert "--config.training.num_epochs=8" in said
  assert "epoch 4" in said
  assert advice.rising_note([0.5] * 8, 3) == ""


def test_the_limits_of_a_short_narrow_coarse_training_are_told():
  config = config_lib.default()
  config.training.num_epochs = 10
  config.model.width = 8
  config.data.spacing_mm = 2.0
  said = advice.limits(config, num_steps=80, num_patients=6)
  assert len(said) == 4
  assert "80 optimizer steps" in said[0]
  assert "num_epochs=500" in said[0]
  assert "width=8" in said[1]
  assert "spacing_mm=2" in said[2]
  assert "6 training patients" in said[3]
  said = advice.limits(config, num_steps=80, num_patients=6, from_random=False)
  assert len(said) == 3
  good = config_lib.default()
  assert advice.limits(good, num_steps=50_000, num_patients=100) == []


def test_a_low_result_is_explained_and_a_good_one_is_not():
  assert "because of few steps" in advice.low_result(0.12, ["few steps"])
  assert advice.low_result(0.7, ["few steps"]) == ""
  assert advice.low_result(0.12, []) == ""
  assert advice.low_result(float("nan"), ["few steps"]) == ""


def test_few_test_patients_are_told_of_the_better_way():
  assert advice.few_test_patients(0) == ""
  assert advice.few_test_patients(10) == ""
  assert "3 test patients" in advice.few_test_patients(3)
  assert "1 test patient:" in advice.few_test_patients(1)
  assert "--config.data.test_fraction=0" in advice.few_test_patients(9)


def test_the_work_is_told_in_steps():
  said = advice.steps_planned(num_epochs=32, num_batches=30, batch_size=4)
  assert "960 optimizer steps" in said
  assert "32 epochs" in said


def _run(tmp_path, epochs):
  config = config_lib.default()
  config.training.num_epochs = 12
  scheme = scheme_from_names("mine", NAMES, COLORS)
  folder = tmp_path / "fold_0"
  folder.mkdir()
  lines = [f'{{"epoch": {n}, "val/iou": {n / 100}}}\n' for n in range(epochs)]
  (folder / "metrics.jsonl").write_text("".join(lines))
  return types.SimpleNamespace(
    config=config, scheme=scheme, fold_folder=lambda f: tmp_path / f"fold_{f}"
  )


def test_the_epochs_left_are_those_of_all_folds(tmp_path):
  run = _run(tmp_path, epochs=5)
  assert remarks.epochs_left(run, [0]) == 7
  assert remarks.epochs_left(run, [0, 1, 2]) == 7 + 24
  assert remarks.epochs_left(run, []) == 0


def test_a_fold_is_warned_of_by_its_name(tmp_path, monkeypatch):
  lines = []
  monkeypatch.setattr(
    remarks.logging, "warning", lambda text, *v: lines.append(text % v)
  )
  position = types.SimpleNamespace(best_epoch=11)
  run = _run(tmp_path, epochs=12)
  remarks.after_fold(run, 0, position, counts(disc=("background", 500)))
  assert len(lines) == 2
  assert lines[0].startswith("fold 0: the validation IoU was still rising")
  assert "fold 0, validation: disc" in lines[1]
  lines.clear()
  remarks.after_fold(run, 0, position, None)  # an earlier process had it
  assert len(lines) == 1


def test_a_network_of_a_study_is_warned_of(monkeypatch):
  lines = []
  monkeypatch.setattr(
    remarks.logging, "warning", lambda text, *v: lines.append(text % v)
  )
  scheme = scheme_from_names("mine", NAMES, COLORS)
  none = counts(canal=("background", 300))
  rows = [
    Row("0", "TH", "s", "p", counts()),
    Row(AVERAGED, "TH", "s", "p", none),
  ]
  found = {"U1": Results(scheme, rows), "UD": Results(scheme, rows[:1])}
  remarks.after_study(found, ["U1", "UD", "FCN"])
  assert len(lines) == 1
  assert lines[0].startswith("U1: canal (300 pixels")
