"""Are two models different? Wilcoxon's signed-rank test over patients.

Source: paper 000, section 6 and Figure 8 (there: over the 33 images of the test
subset, significance at p < .05 against UMD+TH). The test takes its pairs as
independent, and the studies of one patient are not: their differences are
averaged first, so that a patient is one pair (`by_patient`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

ALPHA = 0.05
_EXACT_PAIRS = 50  # above, the normal approximation is as good
_PERMUTED_PAIRS = 12  # 2**12 changes of sign can all be tried


@dataclasses.dataclass(frozen=True)
class Comparison:
  """One test.

  Attributes:
    p: two-sided p-value, NaN where no test could be made.
    n: number of pairs that were compared, one a patient.
    num_dropped: pairs left out, one of the two being NaN or missing.
    note: what is to know of the p-value, or "".
    p_holm: the p-value corrected for all tests made with it, NaN for none.
  """

  p: float
  n: int
  num_dropped: int = 0
  note: str = ""
  p_holm: float = float("nan")

  @property
  def star(self) -> bool:
    """Whether p is below .05: the paper's star."""
    return self.p < ALPHA

  @property
  def survives_holm(self) -> bool:
    """Whether it still is after Holm's correction."""
    return self.p_holm < ALPHA


def signed_rank(a: Mapping[str, float], b: Mapping[str, float]) -> Comparison:
  """Tests whether paired values differ: two-sided Wilcoxon signed-rank test.

  Pairs that are equal say nothing of the direction and take no part in the
  ranks (scipy's zero_method="wilcox", Wilcoxon's own). The p-value is exact up
  to 50 unequal pairs if no two differences are equal in size, and up to 12
  with such ties (all changes of sign are tried); otherwise it is the normal
  approximation with its variance corrected for ties, no continuity correction.

  Args:
    a: {patient: value} of a model.
    b: {patient: value} of the reference.

  Returns:
    p is 1 if all pairs are equal, NaN if there are fewer than two.
  """
  missing = float("nan")
  patients = dict.fromkeys((*a, *b))
  pairs = [(a.get(p, missing), b.get(p, missing)) for p in patients]
  differences = np.array([x - y for x, y in pairs], np.float64)
  # Sizes that differ by float noise alone are equal.
  differences = differences[~np.isnan(differences)].round(12)
  n = len(differences)
  dropped = len(patients) - n
  if n < 2:
    return Comparison(missing, n, dropped, f"no test: {n} of 2 pairs needed")
  unequal = differences[differences != 0]
  if not len(unequal):
    return Comparison(1.0, n, dropped, "all pairs are equal")
  tied = len(np.unique(np.abs(unequal))) < len(unequal)
  p, note = _p_value(unequal, tied)
  return Comparison(p, n, dropped, note)


def _p_value(unequal: np.ndarray, tied: bool) -> tuple[float, str]:
  """Returns the p-value of non-zero differences, and a note."""
  if len(unequal) == 1:
    return 1.0, "one unequal pair"
  method, note = "exact", ""
  if tied and len(unequal) <= _PERMUTED_PAIRS:
    method = stats.PermutationMethod(n_resamples=2**_PERMUTED_PAIRS)
  elif tied or len(unequal) > _EXACT_PAIRS:
    # What scipy now calls "asymptotic"; 1.13 and 1.14 know this name only.
    method, note = "approx", "normal approximation"
  found = stats.wilcoxon(unequal, method=method, correction=False)
  return float(min(found.pvalue, 1.0)), note


def by_patient(
  a: Mapping[str, float],
  b: Mapping[str, float],
  patients: Mapping[str, str],
) -> tuple[dict[str, float], dict[str, float]]:
  """Averages two models' values over each patient's studies.

  Over those that both have a value of: else a model would be compared on other
  studies than the reference.

  Args:
    a: {study: value} of a model.
    b: {study: value} of the reference.
    patients: {study: whose it is}.

  Returns:
    The same by patient; NaN where no study of a patient has both values.
  """
  pairs: dict[str, list[tuple[float, float]]] = {}
  for study in dict.fromkeys((*a, *b)):
    pair = a.get(study, float("nan")), b.get(study, float("nan"))
    known = pairs.setdefault(patients[study], [])
    if not np.isnan(pair).any():
      known.append(pair)
  means = {
    patient: np.mean(known, axis=0) if known else np.full(2, np.nan)
    for patient, known in pairs.items()
  }
  first, second = (
    {patient: float(mean[side]) for patient, mean in means.items()}
    for side in (0, 1)
  )
  return first, second


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Corrects p-values of several tests by Holm's step-down method.

  The smallest of m is multiplied by m, the next by m - 1 and so on, none below
  its predecessor or above 1: the chance of any false discovery stays below
  the level that the corrected values are held against.

  Args:
    p_values: [m]; NaNs are left out of the count and stay NaN.

  Returns:
    [m] in the same order.

  Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
  """
  values = np.asarray(p_values, np.float64)
  order = np.argsort(values)  # NaNs go last
  order = order[: np.count_nonzero(~np.isnan(values))]
  steps = values[order] * np.arange(len(order), 0, -1)
  corrected = np.full(values.shape, np.nan)
  corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
  return corrected


def compare_models(
  scores: Mapping[str, Mapping[str, Mapping[str, float]]],
  reference: str,
  patients: Mapping[str, str],
) -> dict[tuple[str, str], Comparison]:
  """Tests every model against one, class by class, a pair a patient.

  Args:
    scores: {model: {class: {study: value}}}.
    reference: the model that the others are compared with.
    patients: {study: whose it is}.

  Returns:
    {(model, class): comparison} of all models but the reference; `p_holm` is
    corrected for all of these tests together.

  Raises:
    KeyError: no such model, a class that the reference does not have, or a
      study of nobody.
  """
  base = scores[reference]
  tests = {
    (model, name): signed_rank(*by_patient(values, base[name], patients))
    for model, classes in scores.items()
    if model != reference
    for name, values in classes.items()
  }
  corrected = holm([test.p for test in tests.values()])
  return {
    key: dataclasses.replace(test, p_holm=float(p))
    for (key, test), p in zip(tests.items(), corrected, strict=True)
  }


def study_scores(
  rows: Sequence[Mapping[str, Any]], metric: str = "iou"
) -> dict[str, dict[str, float]]:
  """Returns {class: {study: value}} of rows of per_study.csv.

  Args:
    rows: of one fold ("mean": the fold models' mean) and one labelling.
    metric: a column.

  Raises:
    ValueError: a study occurs twice, the rows being of several folds.
  """
  scores = {}
  for row in rows:
    studies = scores.setdefault(row["class"], {})
    if row["study"] in studies:
      raise ValueError(f"study {row['study']} occurs twice for {row['class']}")
    studies[row["study"]] = row[metric]
  return scores
