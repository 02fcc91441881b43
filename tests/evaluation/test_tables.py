"""Per-class and per-study tables from hand-made counts."""

import math

import numpy as np
import pytest

from lumbar_jax import metrics
from lumbar_jax.anatomy import Scheme, Structure
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import statistics, tables
from lumbar_jax.evaluation.results import Results, Row, load_counts

SCHEME = Scheme(
  "three",
  tuple(Structure(name, "#000000") for name in ("Background", "A", "B")),
)
# Class A of fold 0: TP 4 of 8 in s0, 2 of 2 in s1; fold 1: 1 of 4, 3 of 6.
COUNTS = {
  ("0", "s0"): [[10, 2, 0], [2, 4, 0], [0, 0, 0]],
  ("0", "s1"): [[20, 0, 0], [0, 2, 0], [0, 0, 3]],
  ("1", "s0"): [[12, 1, 0], [2, 1, 0], [0, 0, 0]],
  ("1", "s1"): [[20, 2, 0], [1, 3, 0], [0, 0, 3]],
}
FAST = {"num_samples": 40}


def make_results(patients=("p0", "p1"), counts=COUNTS):
  places = {"s0": patients[0], "s1": patients[1]}
  return Results(
    SCHEME,
    [
      Row(fold, "MAP", study, places[study], np.array(matrix))
      for (fold, study), matrix in counts.items()
    ],
  )


def find(rows, **wanted):
  (row,) = [row for row in rows if all(row[n] == v for n, v in wanted.items())]
  return row


def test_per_class_pools_counts_then_averages_folds():
  rows = tables.per_class(make_results(), **FAST)
  assert len(rows) == 3 * 5
  first = find(rows, fold="0", **{"class": "A"})
  second = find(rows, fold="1", **{"class": "A"})
  mean = find(rows, fold="mean", **{"class": "A"})
  assert first["iou"] == pytest.approx(6 / 10)
  assert first["precision"] == pytest.approx(6 / 8)
  assert first["recall"] == pytest.approx(6 / 8)
  assert first["dice"] == pytest.approx(12 / 16)
  assert second["iou"] == pytest.approx(4 / 10)
  assert mean["iou"] == pytest.approx(0.5)
  assert mean["iou_std"] == pytest.approx(math.sqrt(0.02))  # .6 and .4, n - 1
  assert mean["dice"] == pytest.approx((12 / 16 + 8 / 14) / 2)
  assert math.isnan(first["iou_std"])
  assert (first["num_studies"], mean["num_studies"]) == (2, 2)
  assert (first["num_patients"], mean["num_patients"]) == (2, 2)


def test_means_over_classes():
  rows = tables.per_class(make_results(), **FAST)
  without = find(rows, fold="0", **{"class": "mean without background"})
  with_it = find(rows, fold="0", **{"class": "mean with background"})
  assert without["iou"] == pytest.approx((6 / 10 + 1) / 2)
  assert with_it["iou"] == pytest.approx((30 / 34 + 6 / 10 + 1) / 3)
  mean = find(rows, fold="mean", **{"class": "mean without background"})
  other = find(rows, fold="1", **{"class": "mean without background"})
  assert mean["iou"] == pytest.approx((without["iou"] + other["iou"]) / 2)


def test_per_study_averages_folds_first():
  rows = tables.per_study(make_results())
  assert len(rows) == 3 * 2 * 5
  wanted = {"fold": "mean", "study": "s0"}
  first = find(rows, **wanted, **{"class": "A"})
  assert first["iou"] == pytest.approx((4 / 8 + 1 / 4) / 2)
  assert first["recall"] == pytest.approx((4 / 6 + 1 / 3) / 2)
  assert first["patient"] == "p0"
  # B is neither in s0's truth nor predicted there: NaN, and not in the mean.
  absent = find(rows, **wanted, **{"class": "B"})
  assert math.isnan(absent["iou"])
  means = find(rows, **wanted, **{"class": "mean without background"})
  assert means["iou"] == pytest.approx(first["iou"])


def test_interval_of_the_mean_row_resamples_patients_of_all_folds():
  # Two patients: a resample is one twice or both, so with many samples the
  # interval's ends are the smallest and largest of three known values.
  results = make_results()
  rows = tables.per_class(results, num_samples=400, level=0.9)
  mean = find(rows, fold="mean", **{"class": "A"})
  values = []
  for drawn in (("s0", "s0"), ("s0", "s1"), ("s1", "s1")):
    folds = [sum(np.array(COUNTS[f, s]) for s in drawn) for f in ("0", "1")]
    values.append(np.mean([metrics.iou(counts)[1] for counts in folds]))
  assert mean["iou_low"] == pytest.approx(min(values))
  assert mean["iou_high"] == pytest.approx(max(values))


def test_interval_of_a_fold_is_the_bootstraps():
  rows = tables.per_class(make_results(), num_samples=400, seed=3, level=0.6)
  row = find(rows, fold="0", **{"class": "A"})
  counts = np.array([COUNTS["0", "s0"], COUNTS["0", "s1"]])
  expected = statistics.bootstrap(
    counts, metrics.dice, num_samples=400, seed=3, level=0.6
  )
  assert row["dice_low"] == pytest.approx(expected.low[1])
  assert row["dice_high"] == pytest.approx(expected.high[1])


def test_one_patient_with_two_studies_has_no_interval():
  rows = tables.per_class(make_results(("p0", "p0")), **FAST)
  row = find(rows, fold="mean", **{"class": "A"})
  assert row["iou"] == pytest.approx(0.5)
  assert math.isnan(row["iou_low"])
  assert math.isnan(row["dice_high"])
  assert (row["num_studies"], row["num_patients"]) == (2, 1)


def test_folds_may_have_evaluated_different_studies():
  part = {key: COUNTS[key] for key in (("0", "s0"), ("1", "s1"))}
  results = make_results(counts=part)
  rows = tables.per_class(results, **FAST)
  mean = find(rows, fold="mean", **{"class": "A"})
  assert mean["iou"] == pytest.approx((4 / 8 + 3 / 6) / 2)
  assert (mean["num_studies"], mean["num_patients"]) == (2, 2)
  assert find(rows, fold="1", **{"class": "A"})["num_studies"] == 1
  # B occurs in fold 1's study only: its mean is fold 1's value, no spread.
  only = find(rows, fold="mean", **{"class": "B"})
  assert only["iou"] == 1
  assert math.isnan(only["iou_std"])
  studies = tables.per_study(results)
  row = find(studies, fold="mean", study="s0", **{"class": "A"})
  assert row["iou"] == pytest.approx(4 / 8)


def test_saved_tables_read_back(tmp_path):
  results = make_results()
  tables.save(tmp_path, results, **FAST)
  names = {path.name for path in tmp_path.iterdir()}
  tables_of = {"per_class.csv", "per_study.csv", "confusion.csv"}
  assert names == {"counts.npz", *tables_of}
  for name, rows in (
    ("per_class.csv", tables.per_class(results, **FAST)),
    ("per_study.csv", tables.per_study(results)),
  ):
    found = tables.read_table(tmp_path / name)
    assert len(found) == len(rows)
    for one, other in zip(found, rows, strict=True):
      assert one == pytest.approx(other, abs=1e-6, nan_ok=True)
  again = tables.per_class(load_counts(tmp_path / "counts.npz"), **FAST)
  expected = tables.per_class(results, **FAST)
  for one, other in zip(again, expected, strict=True):
    assert one == pytest.approx(other, nan_ok=True)


def test_a_note_stands_in_every_row_of_every_table(tmp_path):
  tables.save(tmp_path, make_results(), note="seen before", **FAST)
  for name in ("per_class.csv", "per_study.csv"):
    found = tables.read_table(tmp_path / name)
    assert {row["note"] for row in found} == {"seen before"}
    assert list(found[0])[-1] == "note"
  names, rows = tables.read_rows(tmp_path / "confusion.csv")
  assert names[-1] == "note"
  assert {row["note"] for row in rows} == {"seen before"}


def test_foreign_tables_are_refused(tmp_path):
  path = tmp_path / "per_class.csv"
  with pytest.raises(InputError, match=r"per_class\.csv"):
    tables.read_table(path)
  path.write_text("fold,iou\n0,1\n")
  with pytest.raises(InputError, match="columns fold, iou"):
    tables.read_table(path)
  path.write_text(",".join(tables.PER_STUDY_COLUMNS) + "\n0,MAP,s,p,A,x,1,1,1")
  with pytest.raises(InputError, match="'x'"):
    tables.read_table(path)


def test_terminal_table():
  text = tables.format_table(make_results(), "0", **FAST)
  lines = text.splitlines()
  assert max(map(len, lines)) < 80
  assert "2 studies of 2 patients" in lines[0]
  (line,) = [line for line in lines if line.split()[:2] == ["MAP", "A"]]
  # IoU over both studies, and over either one twice at the interval's ends.
  assert "0.600 [0.500, 1.000]" in line
  assert "0.750 [0.667, 1.000]" in line
  one = {("0", "s0"): COUNTS["0", "s0"]}
  text = tables.format_table(make_results(counts=one), "0", **FAST)
  (line,) = [line for line in text.splitlines() if line.startswith("MAP  A ")]
  assert line.split() == ["MAP", "A", "0.500", "0.667"]
  (line,) = [line for line in text.splitlines() if line.startswith("MAP  B ")]
  assert line.split() == ["MAP", "B", "-", "-"]


def test_table_of_an_unknown_fold_is_refused():
  with pytest.raises(InputError, match="0, 1, mean"):
    tables.format_table(make_results(), "7", **FAST)
