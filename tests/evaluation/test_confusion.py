"""Which class is taken for which, against counts made by hand."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from lumbar_jax.anatomy import Scheme, Structure
from lumbar_jax.evaluation import confusion
from lumbar_jax.evaluation.results import AVERAGED, MEAN, Results, Row

NAMES = ("Background", "L4", "L5", "S1", "T9")  # nobody has T9
SCHEME = Scheme("levels", tuple(Structure(n, "#112233") for n in NAMES))


def counts_of(l4_as_l5, background=900):
  counts = np.zeros((5, 5), np.int64)
  counts[0, 0], counts[0, 1] = background, 10
  counts[1, 1], counts[1, 2] = 100 - l4_as_l5, l4_as_l5
  counts[2, 2], counts[2, 0] = 95, 5
  counts[3, 3] = 50
  return counts


@pytest.fixture
def results():
  rows = [
    Row(fold, "TH", study, study, counts_of(wrong))
    for fold, wrongs in (("0", (10, 30)), ("1", (0, 8)), (AVERAGED, (0, 2)))
    for study, wrong in zip(("s0", "s1"), wrongs, strict=True)
  ]
  return Results(SCHEME, rows)


def test_shares_are_pooled_and_add_up_to_1(results):
  found = confusion.shares(results, "0", "TH")
  assert found[1, 2] == pytest.approx(0.2)  # 40 of 200
  assert found[0, 1] == pytest.approx(10 / 910)
  np.testing.assert_allclose(found[:4, :4].sum(1), 1)


def test_mean_averages_the_fold_models(results):
  found = confusion.shares(results, MEAN, "TH")
  assert found[1, 2] == pytest.approx((40 / 200 + 8 / 200) / 2)
  averaged = confusion.shares(results, AVERAGED, "TH")
  assert averaged[1, 2] == pytest.approx(2 / 200)


def test_shares_are_those_of_another_library():
  rng = np.random.default_rng(0)
  truth, predicted = rng.integers(0, 4, (2, 500))
  counts = np.zeros((5, 5), np.int64)
  np.add.at(counts, (truth, predicted), 1)
  results = Results(SCHEME, [Row("0", "TH", "s", "p", counts)])
  expected = confusion_matrix(truth, predicted, normalize="true")
  found = confusion.shares(results, "0", "TH")[:4, :4]
  np.testing.assert_allclose(found, expected)


def test_absent_classes_are_left_out(results):
  found = confusion.shares(results, "0", "TH")
  assert np.isnan(found[4]).all()
  assert np.isnan(found[:, 4]).all()
  assert {r["truth"] for r in confusion.table_rows(results)} == set(NAMES[:4])


def test_a_class_that_is_only_predicted_keeps_its_column():
  counts = counts_of(0)
  counts[1, 4] = 7
  results = Results(SCHEME, [Row("0", "TH", "s", "p", counts)])
  found = confusion.shares(results, "0", "TH")
  assert found[1, 4] == pytest.approx(7 / 107)
  assert np.isnan(found[4]).all()


def test_the_worst_exchange_is_named(results):
  found = confusion.shares(results, MEAN, "TH")
  (worst,) = confusion.worst_exchanges(found, NAMES)
  assert str(worst) == "L4 is taken for L5 in 12 % of its pixels"


def test_borders_to_the_background_are_no_exchange(results):
  found = confusion.shares(results, AVERAGED, "TH")
  assert found[2, 0] == pytest.approx(0.05)
  names = confusion.worst_exchanges(found, NAMES)
  assert [e.share for e in names] == pytest.approx([0.01])


def test_the_table_has_every_fold_kind_and_labelling(results):
  rows = confusion.table_rows(results)
  assert len(rows) == 4 * 4
  assert {row["fold"] for row in rows} == {"0", "1", MEAN, AVERAGED}
  (row,) = (r for r in rows if (r["fold"], r["truth"]) == ("0", "L4"))
  assert row["num_pixels"] == 200
  assert row["as L5"] == pytest.approx(0.2)
  assert list(row) == list(confusion.columns(NAMES))


def test_a_class_that_is_hardly_ever_predicted():
  counts = np.stack([counts_of(100), counts_of(100)])
  counts[:, 3, 3], counts[:, 3, 0] = 0, 500
  counts[0, 3, 3] = 4
  assert confusion.hardly_predicted(counts, NAMES) == [
    ("S1", pytest.approx(4 / 1004))
  ]
  counts[0, 0, 1] = counts[1, 0, 1] = 0
  found = confusion.hardly_predicted(counts, NAMES)
  assert [name for name, _ in found] == ["L4", "S1"]
