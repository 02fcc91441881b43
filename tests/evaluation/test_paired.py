"""Two models on the same patients, by counts made by hand."""

import re

import numpy as np
import pytest

from lumbar_jax.anatomy import Scheme, Structure
from lumbar_jax.evaluation import paired, tables
from lumbar_jax.evaluation.results import Results, Row

BACK, ONE, OTHER = (Structure(name, "#102030") for name in ("Back", "A", "B"))
SCHEME = Scheme("two", (BACK, ONE))
FAST = {"num_samples": 200, "seed": 0}


def results_of(wrong, folds=("0", "1"), patients="abcdefgh", extra=0):
  """Class A has 100 pixels in each study, of which some are missed."""
  rows = []
  for number, patient in enumerate(patients):
    for place, fold in enumerate(folds):
      missed = wrong + number + place
      counts = np.array([[900 + extra, 0], [missed, 100 - missed]])
      rows.append(Row(fold, "TH", f"{patient}_1", patient, counts))
  return Results(SCHEME, rows)


def test_both_figures_are_those_of_per_class():
  first, second = results_of(10), results_of(20)
  found = paired.difference(first, second, "TH", **FAST)
  for results, value in ((first, found.first), (second, found.second)):
    (row,) = (
      r
      for r in tables.per_class(results, num_samples=0)
      if (r["fold"], r["class"]) == ("mean", tables.MEAN_ROWS[0])
    )
    assert value == pytest.approx(row["iou"])
  assert found.num_patients == 8


def test_a_paired_interval_is_narrow_where_patients_differ_alike():
  """Patients differ by 7 points, the models by 10 in each of them."""
  found = paired.difference(results_of(10), results_of(20), "TH", **FAST)
  assert found.change == pytest.approx(0.1)
  assert (found.low, found.high) == pytest.approx((0.1, 0.1))
  assert found.words == "better"
  worse = paired.difference(results_of(20), results_of(10), "TH", **FAST)
  assert worse.words == "not better"


def test_a_difference_of_one_patient_may_be_chance():
  first = results_of(10)
  first.rows[0].counts[1] = [0, 100]
  found = paired.difference(first, results_of(10), "TH", **FAST)
  assert found.change > 0
  assert found.words == "better, but perhaps by chance"
  same = paired.difference(first, first, "TH", **FAST)
  assert same.words == "not better"


def test_one_patient_has_no_interval():
  one = results_of(10, patients="a")
  found = paired.difference(one, results_of(20, patients="a"), "TH", **FAST)
  assert np.isnan([found.low, found.high]).all()
  assert found.words == "better, but perhaps by chance"


@pytest.mark.parametrize(
  ("other", "why"),
  [
    (results_of(1), ""),
    (results_of(1, patients="abcdefg"), r"other studies .* \(7 in common\)"),
    (results_of(1, folds=("0",)), "other folds.*"),
    (results_of(1, extra=1), "other masks.*"),
    (Results(SCHEME, []), "no TH labelling.*"),
    (Results(Scheme("x", (BACK, OTHER)), results_of(1).rows), "other classes"),
  ],
)
def test_only_the_same_patients_are_compared(other, why):
  found = paired.not_comparable(results_of(5), other, "TH")
  assert re.fullmatch(why, found)
