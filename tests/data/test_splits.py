"""Splits: by patient, even by stratum, and never made anew."""

import collections
import dataclasses
import json
import random
from pathlib import Path

import pytest

from lumbar_jax.data.splits import Splits, make_splits
from lumbar_jax.data.splits_file import load_or_make_splits, read_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

SETTINGS = dict(test_fraction=0.2, num_folds=3, stratify_by=("sex",), seed=7)
GOLDEN_TEST = ("P003", "P006")
GOLDEN_FOLDS = (
  ("P002", "P004", "P008"),
  ("P001", "P007", "P009"),
  ("P000", "P005"),
)


def _study(patient, session="a", *, mask=True, sex="F", **fields):
  path = Path("mask.nii") if mask else None
  metadata = {"participant": {"sex": sex}}
  return Study(patient, session, {"T2w": Path("t2")}, path, metadata, **fields)


def _studies(count, women=0.5):
  number_of_women = round(women * count)
  sexes = ["F" if i < number_of_women else "M" for i in range(count)]
  return [_study(f"P{i:03d}", sex=sex) for i, sex in enumerate(sexes)]


def _with(settings=SETTINGS, **changes):
  return {**settings, **changes}


@pytest.mark.parametrize("count", [5, 30, 181])
@pytest.mark.parametrize("fraction", [0.0, 0.2])
@pytest.mark.parametrize("num_folds", [2, 3])
def test_every_patient_has_one_place(count, fraction, num_folds):
  settings = _with(test_fraction=fraction, num_folds=num_folds)
  splits = make_splits(_studies(count), **settings)
  everyone = [f"P{i:03d}" for i in range(count)]
  assert list(splits.patients) == everyone
  assert len(splits.test) == round(fraction * count)
  sizes = [len(fold) for fold in splits.folds]
  assert max(sizes) - min(sizes) <= 1
  for fold in range(num_folds):
    parts = (splits.train(fold), splits.validation(fold), splits.test)
    assert sorted(p for part in parts for p in part) == everyone


def test_sessions_of_a_patient_change_nothing():
  studies = _studies(30)
  more = [_study("P003", "b"), _study("P003", "c", mask=False)]
  before = make_splits(studies, **SETTINGS)
  after = make_splits(studies + more, **SETTINGS)
  assert (before.test, before.folds) == (after.test, after.folds)
  assert after.unlabelled == ("P003_c",)


def test_order_of_studies_makes_no_difference():
  studies = _studies(30)
  expected = make_splits(studies, **SETTINGS)
  random.Random(0).shuffle(studies)
  assert make_splits(studies, **SETTINGS) == expected


def test_seed_decides():
  studies = _studies(30)
  one, same, other = (
    make_splits(studies, **_with(seed=seed)) for seed in (1, 1, 2)
  )
  assert one == same
  assert one.test != other.test
  assert one.folds != other.folds


def test_splits_are_those_of_earlier_versions():
  """Another result would make papers' numbers impossible to repeat."""
  splits = make_splits(_studies(10), **SETTINGS)
  assert splits.test == GOLDEN_TEST
  assert splits.folds == GOLDEN_FOLDS


def test_strata_are_spread_evenly():
  splits = make_splits(_studies(60, women=0.25), **SETTINGS)
  women = {f"P{i:03d}" for i in range(15)}
  assert len(women & set(splits.test)) == 3
  assert [len(women & set(fold)) for fold in splits.folds] == [4, 4, 4]


def test_rare_strata_are_pooled():
  """Eight values of one patient each, beside one common value."""
  rare = [_study(f"R{i}", sex=f"rare{i}") for i in range(8)]
  studies = [*_studies(24, women=0), *rare]
  splits = make_splits(studies, **_with(test_fraction=0.25))
  names = {study.patient for study in rare}
  assert len(names & set(splits.test)) == 2
  assert [len(names & set(fold)) for fold in splits.folds] == [2, 2, 2]


def test_columns_that_are_not_there_are_no_strata():
  studies = _studies(12)
  settings = _with(stratify_by=("sex", "manufacturer"))
  assert make_splits(studies, **settings) == make_splits(studies, **SETTINGS)


def test_patients_without_masks_take_no_part():
  unlabelled = [_study("U1", mask=False), _study("U2", mask=False)]
  splits = make_splits(_studies(12) + unlabelled, **SETTINGS)
  assert splits.unlabelled == ("U1_a", "U2_a")
  assert not {"U1", "U2"} & set(splits.patients)
  expected = make_splits(_studies(12), **SETTINGS)
  assert (splits.test, splits.folds) == (expected.test, expected.folds)


def _given(values, field):
  return [
    dataclasses.replace(study, **{field: value})
    for study, value in zip(_studies(len(values)), values, strict=True)
  ]


def test_users_test_set_is_taken_as_given():
  splits = make_splits(_given(["test", *["train"] * 6], "split"), **SETTINGS)
  assert splits.test == ("P000",)
  assert [len(fold) for fold in splits.folds] == [2, 2, 2]


def test_users_folds_are_taken_as_given():
  splits = make_splits(_given([3, 1, 1, 3], "fold"), **SETTINGS)
  assert splits.test == ()
  assert splits.folds == (("P001", "P002"), ("P000", "P003"))


def test_test_patients_need_no_fold():
  studies = _given(["test", "train", "train"], "split")
  folds = (None, 0, 1)
  studies = [
    dataclasses.replace(study, fold=fold)
    for study, fold in zip(studies, folds, strict=True)
  ]
  splits = make_splits(studies, **SETTINGS)
  assert (splits.test, splits.folds) == (("P000",), (("P001",), ("P002",)))


@pytest.mark.parametrize(
  ("studies", "changes", "expected"),
  [
    ([], {}, "none of 0 studies has a mask.*data.masks"),
    ([_study("U", mask=False)], {}, "none of 1 studies has a mask"),
    (_studies(1), {}, "only 1 patient has a mask.*add more"),
    (
      _studies(3),
      {},
      r"2 patients are left to train on \(1 of 3 are for testing\), fewer "
      "than config.data.num_folds = 3.*num_folds=2.*test_fraction=0",
    ),
    (
      _studies(4),
      {"num_folds": 5, "test_fraction": 0},
      "4 patients are left .*num_folds = 5.*num_folds=4, or add",
    ),
    (
      _studies(2),
      {"num_folds": 1, "test_fraction": 0.5},
      r"1 patient is left to train on .*, fewer than two.*test_fraction=0",
    ),
    (
      _given(["test", None, "train", "train"], "split"),
      {},
      "1 patients have no split, others do: P001.*fill column split",
    ),
    (
      _given([0, 1, None, 1], "fold"),
      {},
      "1 patients have no fold, others do: P002.*fill column fold",
    ),
    (
      _given([1, 1, 1], "fold"),
      {},
      r"all 3 training patients are in fold \[1\].*at least two",
    ),
    (
      [
        _study("P", split="test"),
        _study("P", "b", split="train"),
        *_given(["train"] * 3, "split"),
      ],
      {},
      "patient 'P' is in split 'test' and in split 'train'.*together",
    ),
  ],
)
def test_bad_data(studies, changes, expected):
  with pytest.raises(InputError, match=expected):
    make_splits(studies, **_with(**changes))


@pytest.mark.parametrize("test_fraction", [0.0, 0.2])
def test_one_fold_is_eight_to_two(test_fraction):
  """Paper 002, section 4.4: training and validation 8:2, by patient."""
  settings = _with(test_fraction=test_fraction, num_folds=1)
  splits = make_splits(_studies(200, women=0.3), **settings)
  rest = round(200 * (1 - test_fraction))
  assert splits.num_folds == 1
  assert len(splits.validation(0)) == len(splits.validated) == 0.2 * rest
  assert splits.train(0) == splits.training
  parts = (splits.train(0), splits.validation(0), splits.test)
  assert sorted(p for part in parts for p in part) == [
    f"P{i:03d}" for i in range(200)
  ]
  women = {f"P{i:03d}" for i in range(60)}
  assert abs(len(women & set(splits.validated)) - 0.3 * 0.2 * rest) < 1
  half = make_splits(_studies(200), **settings, validation_fraction=0.5)
  assert len(half.validated) == rest / 2
  assert len(make_splits(_studies(3), **settings).validated) == 1


def test_one_fold_comes_back_from_its_file(tmp_path):
  path, studies = tmp_path / "splits.json", _studies(12)
  settings = _with(num_folds=1, test_fraction=0.0)
  splits = load_or_make_splits(path, studies, **settings)
  assert len(splits.training) == 10
  assert load_or_make_splits(path, studies, **settings) == splits
  with pytest.raises(InputError, match=r"validation_fraction = 0\.2, now 0\.3"):
    load_or_make_splits(path, studies, **settings, validation_fraction=0.3)


def test_unknown_fold():
  splits = Splits((), (("a",), ("b",)))
  for method in (splits.train, splits.validation):
    with pytest.raises(InputError, match=r"no fold 2.*0 to 1"):
      method(2)


def test_file_is_written_once_and_read_again(tmp_path):
  path = tmp_path / "run" / "splits.json"
  studies = [*_studies(12), _study("U", mask=False)]
  splits = load_or_make_splits(path, studies, **SETTINGS)
  assert splits == make_splits(studies, **SETTINGS)
  content = path.read_bytes()
  record = json.loads(content)
  assert record["settings"] == {**SETTINGS, "stratify_by": ["sex"]}
  assert load_or_make_splits(path, studies[::-1], **SETTINGS) == splits
  assert path.read_bytes() == content
  assert [p.name for p in path.parent.iterdir()] == ["splits.json"]


def test_file_governs_over_the_seed_and_says_so(tmp_path, caplog):
  path, studies = tmp_path / "splits.json", _studies(12)
  splits = load_or_make_splits(path, studies, **SETTINGS)
  with caplog.at_level("WARNING", logger="absl"):
    again = load_or_make_splits(path, studies, **_with(seed=8))
  assert again == splits
  assert "made with seed = 7, now 8" in caplog.text


@pytest.mark.parametrize(
  ("changes", "expected"),
  [
    ({"num_folds": 2}, "num_folds = 3, now 2.*set config.data.num_folds"),
    ({"test_fraction": 0}, "test_fraction = 0.2, now 0.*new workdir"),
  ],
)
def test_other_settings_are_refused(tmp_path, changes, expected):
  path, studies = tmp_path / "splits.json", _studies(12)
  load_or_make_splits(path, studies, **SETTINGS)
  with pytest.raises(InputError, match=f"splits.json: made with {expected}"):
    load_or_make_splits(path, studies, **_with(**changes))


@pytest.mark.parametrize(
  ("change", "expected"),
  [
    (lambda s: s[:-1], "1 patients are not in the data any more: P011"),
    (
      lambda s: [*s[:-1], dataclasses.replace(s[-1], mask=None)],
      "1 patients have no mask any more: P011",
    ),
    (
      lambda s: [*s, _study("new")],
      "1 patients have masks but are in no split: new",
    ),
  ],
)
def test_other_patients_are_refused(tmp_path, change, expected):
  path, studies = tmp_path / "splits.json", _studies(12)
  load_or_make_splits(path, studies, **SETTINGS)
  content = path.read_bytes()
  with pytest.raises(InputError) as error:
    load_or_make_splits(path, change(studies), **SETTINGS)
  assert f"{path}: {expected}" in str(error.value)
  assert "new workdir" in str(error.value)
  assert path.read_bytes() == content


def test_new_studies_without_masks_are_welcome(tmp_path):
  path, studies = tmp_path / "splits.json", _studies(12)
  load_or_make_splits(path, studies, **SETTINGS)
  studies.append(_study("U", mask=False))
  splits = load_or_make_splits(path, studies, **SETTINGS)
  assert splits.unlabelled == ("U_a",)


@pytest.mark.parametrize(
  ("field", "before", "after"),
  [
    ("split", ["test"] + ["train"] * 5, ["train"] * 5 + ["test"]),
    ("fold", [0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 0]),
  ],
)
def test_manifest_that_changed_is_refused(tmp_path, field, before, after):
  path = tmp_path / "splits.json"
  splits = load_or_make_splits(path, _given(before, field), **SETTINGS)
  same = load_or_make_splits(path, _given(before, field), **SETTINGS)
  assert same == splits
  with pytest.raises(InputError, match=f"{field} column has changed.*workdir"):
    load_or_make_splits(path, _given(after, field), **SETTINGS)


@pytest.mark.parametrize(
  ("content", "expected"),
  [
    ("{", "not a file of splits"),
    ('{"test": []}', "not a file of splits.*folds"),
    (
      '{"test": ["a"], "folds": [["a"], ["b"]], "unlabelled": [], '
      '"settings": {}}',
      "patients in two places: a",
    ),
    (
      '{"test": [], "folds": [["a"], []], "unlabelled": [], "settings": {}}',
      r"folds of \[1, 0\] patients",
    ),
    (
      '{"test": [], "folds": [["a"]], "unlabelled": [], "settings": {}}',
      r"folds of \[1\] patients",
    ),
  ],
)
def test_damaged_file(tmp_path, content, expected):
  path = tmp_path / "splits.json"
  path.write_text(content)
  with pytest.raises(InputError, match=f"splits.json: {expected}.*restore"):
    read_splits(path)


def test_sizes_by_stratum_are_never_off_by_more_than_one():
  """Three strata over five folds, none of a size that five divides."""
  sexes = ["a"] * 13 + ["b"] * 9 + ["c"] * 7
  studies = [_study(f"P{i:02d}", sex=sex) for i, sex in enumerate(sexes)]
  splits = make_splits(studies, **_with(test_fraction=0, num_folds=5))
  sex_of = {study.patient: sex for study, sex in zip(studies, sexes, strict=1)}
  counts = [collections.Counter(map(sex_of.get, f)) for f in splits.folds]
  for sex in "abc":
    numbers = [count[sex] for count in counts]
    assert max(numbers) - min(numbers) <= 1
