"""Who is tested on, and who validates which fold: by patient, once for all.

Paper 000 section 4.2: test patients are set apart, and the others make the
folds of the cross-validation. All studies of a patient stay together.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.data import strata
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

Patients = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Splits:
  """Patients by their part in the experiment.

  Attributes:
    test: never trained or tuned on.
    folds: the validation patients of each fold; disjoint.
    unlabelled: names of studies without a mask; they take no part.
    training: patients that are trained on and never validated on: there are
      some where there is one fold only.
  """

  test: Patients
  folds: tuple[Patients, ...]
  unlabelled: tuple[str, ...] = ()
  training: Patients = ()

  @property
  def num_folds(self) -> int:
    """Number of folds."""
    return len(self.folds)

  @property
  def patients(self) -> Patients:
    """All patients that take part, sorted."""
    everyone = [*self.test, *self.training, *self.validated]
    return tuple(sorted(everyone))

  @property
  def validated(self) -> Patients:
    """The validation patients of all folds."""
    return tuple(p for fold in self.folds for p in fold)

  def validation(self, fold: int) -> Patients:
    """Returns the patients that fold `fold` is validated on.

    Raises:
      InputError: no such fold.
    """
    if not 0 <= fold < self.num_folds:
      raise InputError(
        f"there is no fold {fold}",
        f"folds are numbered 0 to {self.num_folds - 1}",
      )
    return self.folds[fold]

  def train(self, fold: int) -> Patients:
    """Returns the patients that fold `fold` is trained on.

    Raises:
      InputError: no such fold.
    """
    apart = {*self.validation(fold), *self.test}
    return tuple(p for p in self.patients if p not in apart)


def make_splits(
  studies: Iterable[Study],
  test_fraction: float,
  num_folds: int,
  stratify_by: Sequence[str],
  seed: int,
  validation_fraction: float = 0.2,
) -> Splits:
  """Splits the patients that have a mask.

  A user's own `split` and `fold` are taken as they are, and then
  `test_fraction` and `num_folds` count for nothing. The order of `studies`
  and the number of studies of a patient make no difference.

  Args:
    studies: all studies, with and without masks.
    test_fraction: share of the patients to test on; 0 for no test set.
    num_folds: number of folds that the other patients are dealt into. With one
      fold, `validation_fraction` of them are validated on and the rest are
      trained on (paper 002: 8:2, and no test set).
    stratify_by: columns of the participants' table to spread evenly. Strata
      of fewer than `num_folds` patients count as one.
    seed: of the shuffle.
    validation_fraction: of one fold; with more it counts for nothing.

  Returns:
    The splits; sizes of folds differ by one at most.

  Raises:
    InputError: too few patients with masks, or splits or folds that the user
      gave to some patients only or in two ways to one.
  """
  studies = sorted(studies, key=lambda study: study.name)
  labelled = [study for study in studies if study.mask]
  _check_enough(len({study.patient for study in labelled}), len(studies))
  test, folds = _divide(
    labelled, test_fraction, num_folds, stratify_by, seed, validation_fraction
  )
  unlabelled = tuple(study.name for study in studies if not study.mask)
  placed = {*test, *(p for fold in folds for p in fold)}
  rest = {study.patient for study in labelled} - placed
  return Splits(
    tuple(sorted(test)),
    tuple(tuple(sorted(fold)) for fold in folds),
    unlabelled,
    tuple(sorted(rest)),
  )


def _divide(
  labelled: Sequence[Study],
  test_fraction: float,
  num_folds: int,
  stratify_by: Sequence[str],
  seed: int,
  validation_fraction: float,
) -> tuple[list[str], list[list[str]]]:
  """Returns the test patients and the folds: the user's, or drawn."""
  split_of, fold_of = _given(labelled, "split"), _given(labelled, "fold")
  rng = np.random.default_rng([seed, zlib.crc32(b"splits")])
  groups = strata.strata_of(labelled, stratify_by, num_folds)
  if split_of:
    test = [p for p, split in split_of.items() if split == "test"]
  elif fold_of:
    logging.warning("folds are given and no split: there is no test set")
    test = []
  else:
    test = strata.draw_test(groups, test_fraction, rng)
  rest = {study.patient for study in labelled} - set(test)
  if fold_of:
    return test, _given_folds(sorted(rest), fold_of)
  _check_folds(len(rest), len(test), num_folds, bool(split_of))
  if num_folds == 1:
    if not validation_fraction:
      raise InputError(
        "no patient is for validation: validation_fraction is 0 with one fold",
        "give --config.data.validation_fraction=0.2, or more folds",
      )
    left = [[p for p in group if p in rest] for group in groups]
    return test, [strata.draw_test(left, validation_fraction, rng)]
  return test, strata.deal(groups, rest, num_folds, rng)


def _check_enough(num_patients: int, num_studies: int) -> None:
  if num_patients == 0:
    raise InputError(
      f"none of {num_studies} studies has a mask",
      "check config.data.masks (or the manifest's column mask): training "
      "needs the masks of several patients",
    )
  if num_patients == 1:
    raise InputError(
      "only 1 patient has a mask",
      "training and validation need different patients: add more",
    )


def _check_folds(rest: int, tested: int, num_folds: int, given: bool) -> None:
  needed = max(num_folds, 2)  # one fold trains and validates too
  if rest >= needed:
    return
  ways = []
  if rest >= 2:
    ways.append(f"give --config.data.num_folds={rest}")
  everyone = rest + tested
  if not given and tested and everyone >= 2:
    folds = min(num_folds, everyone)
    ways.append(
      f"test on none (--config.data.test_fraction=0 "
      f"--config.data.num_folds={folds})"
    )
  ways.append("add patients with masks")
  patients = "1 patient is" if rest == 1 else f"{rest} patients are"
  raise InputError(
    f"{patients} left to train on ({tested} of {rest + tested} "
    f"are for testing), fewer than "
    + (f"config.data.num_folds = {num_folds}" if num_folds > 1 else "two"),
    ", or ".join(ways),
  )


def _given(labelled: Sequence[Study], field: str) -> dict[str, Any]:
  """Returns {patient: the user's split or fold}, empty if none is given."""
  values: dict[str, Any] = {}
  without = []
  for study in labelled:
    value = getattr(study, field)
    if field == "fold" and study.split == "test":
      continue
    if value is None:
      without.append(study.patient)
    elif values.setdefault(study.patient, value) != value:
      raise InputError(
        f"patient {study.patient!r} is in {field} {values[study.patient]!r} "
        f"and in {field} {value!r}",
        "keep all studies of a patient together",
      )
  missing = sorted(set(without) - set(values))
  if values and missing:
    raise InputError(
      f"{len(missing)} patients have no {field}, others do: "
      f"{', '.join(missing[:10])}"
      + (f" and {len(missing) - 10} more" if len(missing) > 10 else ""),
      f"fill column {field} for every patient with a mask, or for none",
    )
  return values


def _given_folds(
  rest: Sequence[str], fold_of: Mapping[str, int]
) -> list[list[str]]:
  """Returns the user's folds in the order of their numbers."""
  numbers = sorted({fold_of[patient] for patient in rest})
  if len(numbers) < 2:
    raise InputError(
      f"all {len(rest)} training patients are in fold {numbers}",
      "give at least two folds: each is validated on once",
    )
  if numbers != list(range(len(numbers))):
    logging.warning(
      "folds %s of the manifest are folds 0 to %d here",
      numbers,
      len(numbers) - 1,
    )
  return [[p for p in rest if fold_of[p] == number] for number in numbers]
