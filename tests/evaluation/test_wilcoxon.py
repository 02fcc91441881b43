"""The signed-rank test and Holm's correction, by hand-counted values."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from lumbar_jax.evaluation import wilcoxon

NAN = float("nan")


def paired(differences):
  """Returns two models' values that differ by these."""
  studies = [f"s{number}" for number in range(len(differences))]
  reference = dict.fromkeys(studies, 0.5)
  values = {s: 0.5 + d for s, d in zip(studies, differences, strict=True)}
  return values, reference


def p_by_counting(differences):
  """Returns the share of all changes of sign that are as extreme."""
  ranks = stats.rankdata(np.abs(np.round(differences, 9)))
  middle = ranks.sum() / 2
  found = abs(ranks[np.asarray(differences) > 0].sum() - middle)
  signs = np.array(list(itertools.product((0, 1), repeat=len(ranks))))
  return np.mean(np.abs(signs @ ranks - middle) >= found - 1e-9)


def test_five_gains_of_five():
  # Only "all up" and "all down" of 32 are as extreme: no star can be had.
  test = wilcoxon.signed_rank(*paired([0.01, 0.02, 0.03, 0.04, 0.05]))
  assert test.p == pytest.approx(2 / 32)
  assert (test.n, test.num_dropped, test.note) == (5, 0, "")
  assert not test.star


def test_six_gains_of_six_have_a_star():
  test = wilcoxon.signed_rank(*paired([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]))
  assert test.p == pytest.approx(2 / 64)
  assert test.star


def test_one_small_loss():
  # Rank sum 1 against 20: {}, {1} and their mirror images of 64.
  test = wilcoxon.signed_rank(*paired([-0.01, 0.02, 0.03, 0.04, 0.05, 0.06]))
  assert test.p == pytest.approx(4 / 64)


@pytest.mark.parametrize(
  "differences",
  [
    (0.1, 0.1, 0.2, 0.3, -0.1),
    (0.2, 0.2, 0.2, 0.2, 0.2, 0.2, -0.2),
    (0.3, -0.1, 0.25, 0.4, -0.05, 0.15, 0.2, 0.35, 0.45, 0.5, -0.02, 0.06),
    (0.3, -0.1, 0.3, 0.4, -0.05, 0.15, 0.2, 0.3, 0.45, 0.5, -0.02, 0.1),
  ],
)
def test_small_samples_are_exact_with_and_without_ties(differences):
  test = wilcoxon.signed_rank(*paired(differences))
  assert test.p == pytest.approx(p_by_counting(differences))
  assert test.note == ""


def test_order_of_the_two_models_does_not_matter():
  a, b = paired([0.3, -0.1, 0.25, 0.4, -0.05])
  assert wilcoxon.signed_rank(a, b).p == wilcoxon.signed_rank(b, a).p


def test_equal_pairs_take_no_part_but_are_counted():
  test = wilcoxon.signed_rank(*paired([0.0, 0.01, 0.02, 0.0, 0.03]))
  assert test.p == pytest.approx(2 / 8)
  assert test.n == 5


def test_all_equal_is_p_one_with_a_note():
  test = wilcoxon.signed_rank(*paired([0.0, 0.0, 0.0]))
  assert (test.p, test.n) == (1.0, 3)
  assert "equal" in test.note
  assert wilcoxon.signed_rank(*paired([0.0, 0.2])).p == 1.0


def test_missing_and_nan_pairs_are_dropped_and_counted():
  a, b = paired([0.01, 0.02, 0.03, 0.04])
  a["s1"], b["s3"], b["only here"] = NAN, NAN, 0.7
  test = wilcoxon.signed_rank(a, b)
  assert (test.n, test.num_dropped) == (2, 3)
  assert test.p == pytest.approx(2 / 4)


@pytest.mark.parametrize("num", [0, 1])
def test_one_pair_is_no_test(num):
  test = wilcoxon.signed_rank(*paired([0.2] * num))
  assert math.isnan(test.p)
  assert test.n == num
  assert "no test" in test.note
  assert not test.star


def test_many_pairs_are_approximated_by_the_normal():
  rng = np.random.default_rng(0)
  differences = rng.normal(0.3, 1, 60)
  test = wilcoxon.signed_rank(*paired(differences))
  ranks = stats.rankdata(np.abs(differences))
  lower = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
  z = (lower - 60 * 61 / 4) / math.sqrt(60 * 61 * 121 / 24)
  assert test.p == pytest.approx(2 * stats.norm.cdf(z))
  assert "normal" in test.note


def test_ties_shrink_the_variance():
  # 20 pairs of two sizes, 10 each: ranks 5.5 and 15.5.
  differences = [0.1] * 7 + [-0.1] * 3 + [0.2] * 8 + [-0.2] * 2
  lower = 3 * 5.5 + 2 * 15.5
  variance = 20 * 21 * 41 / 24 - 2 * (10**3 - 10) / 48
  z = (lower - 20 * 21 / 4) / math.sqrt(variance)
  test = wilcoxon.signed_rank(*paired(differences))
  assert test.p == pytest.approx(2 * stats.norm.cdf(z))


def test_holm_by_hand():
  # .01*4, .02*3, then .04*2 and .03 -> sorted .01 .02 .03 .04.
  found = wilcoxon.holm([0.01, 0.04, 0.03, 0.02])
  np.testing.assert_allclose(found, [0.04, 0.06, 0.06, 0.06])
  np.testing.assert_allclose(
    wilcoxon.holm([0.01, 0.02, 0.5, 0.6]), [0.04, 0.06, 1, 1]
  )


def test_holm_leaves_nans_out():
  found = wilcoxon.holm([NAN, 0.02, 0.01, NAN])
  np.testing.assert_allclose(found, [NAN, 0.02, 0.02, NAN])
  assert wilcoxon.holm([]).shape == (0,)


def test_models_are_compared_with_the_reference_class_by_class():
  gain, same = [0.01 * n for n in range(1, 8)], [0.0] * 7
  up, base = paired(gain)
  scores = {
    "UMD": {"Vert": base, "Disc": base},
    "E12": {"Vert": up, "Disc": paired(same)[0]},
    "U1": {"Vert": {s: 1 - v for s, v in up.items()}, "Disc": {"s0": 0.4}},
  }
  patients = {f"s{n}": f"p{n}" for n in range(7)}
  tests = wilcoxon.compare_models(scores, "UMD", patients)
  assert set(tests) == {(m, c) for m in ("E12", "U1") for c in ("Vert", "Disc")}
  assert tests["E12", "Vert"].p == pytest.approx(2 / 128)
  # Three tests have a p-value: the smallest two are 2/128, times 3 and 2.
  assert tests["E12", "Vert"].p_holm == pytest.approx(6 / 128)
  assert tests["U1", "Vert"].p_holm == pytest.approx(6 / 128)
  assert tests["E12", "Vert"].survives_holm
  assert tests["E12", "Disc"].p_holm == 1
  assert math.isnan(tests["U1", "Disc"].p_holm)
  assert not tests["U1", "Disc"].survives_holm


def test_a_patients_studies_are_one_pair_as_scipy_has_it():
  rng = np.random.default_rng(3)
  studies = [f"s{number}" for number in range(24)]
  patients = {s: f"p{n // 3}" for n, s in enumerate(studies)}
  a, b = (dict(zip(studies, rng.random(24), strict=True)) for _ in range(2))
  tests = wilcoxon.compare_models({"A": {"V": a}, "B": {"V": b}}, "B", patients)
  means = [
    np.mean(np.reshape(list(x.values()), (8, 3)), axis=1) for x in (a, b)
  ]
  assert tests["A", "V"].n == 8
  assert tests["A", "V"].p == pytest.approx(stats.wilcoxon(*means).pvalue)


def test_a_patient_is_averaged_over_the_studies_that_both_models_have():
  a = {"s0": 0.8, "s1": NAN, "s2": 0.5, "s3": NAN}
  b = {"s0": 0.6, "s1": 0.0, "s2": 0.7, "s3": 0.9}
  patients = {"s0": "p", "s1": "p", "s2": "p", "s3": "q"}
  first, second = wilcoxon.by_patient(a, b, patients)
  assert (first["p"], second["p"]) == pytest.approx((0.65, 0.65))
  assert math.isnan(first["q"])
  assert math.isnan(second["q"])
  test = wilcoxon.signed_rank(first, second)
  assert (test.n, test.num_dropped) == (1, 1)


def test_scores_of_the_per_study_table():
  rows = [
    {"class": name, "study": study, "iou": iou, "dice": 0}
    for name, study, iou in (("A", "s0", 0.1), ("A", "s1", 0.2), ("B", "s0", 1))
  ]
  found = wilcoxon.study_scores(rows)
  assert found == {"A": {"s0": 0.1, "s1": 0.2}, "B": {"s0": 1}}
  with pytest.raises(ValueError, match="twice"):
    wilcoxon.study_scores([*rows, rows[0]])
