"""Who is tested on, and who validates which fold: by patient, once for all.

Paper 000 section 4.2: test patients are set apart, and the others make the
folds of the cross-validation. All studies of a patient stay together.
"""

import dataclasses
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.data import strata
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.files import write_json

Patients = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Splits:
  """Patients by their part in the experiment.

  Attributes:
    test: never trained or tuned on.
    folds: the validation patients of each fold; disjoint.
    unlabelled: names of studies without a mask; they take no part.
  """

  test: Patients
  folds: tuple[Patients, ...]
  unlabelled: tuple[str, ...] = ()

  @property
  def num_folds(self) -> int:
    """Number of folds."""
    return len(self.folds)

  @property
  def patients(self) -> Patients:
    """All patients that take part, sorted."""
    everyone = [*self.test, *(p for fold in self.folds for p in fold)]
    return tuple(sorted(everyone))

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
) -> Splits:
  """Splits the patients that have a mask.

  A user's own `split` and `fold` are taken as they are, and then
  `test_fraction` and `num_folds` count for nothing. The order of `studies`
  and the number of studies of a patient make no difference.

  Args:
    studies: all studies, with and without masks.
    test_fraction: share of the patients to test on; 0 for no test set.
    num_folds: number of folds that the other patients are dealt into.
    stratify_by: columns of the participants' table to spread evenly. Strata
      of fewer than `num_folds` patients count as one.
    seed: of the shuffle.

  Returns:
    The splits; sizes of folds differ by one at most.

  Raises:
    InputError: too few patients with masks, or splits or folds that the user
      gave to some patients only or in two ways to one.
  """
  studies = sorted(studies, key=lambda study: study.name)
  labelled = [study for study in studies if study.mask]
  unlabelled = tuple(study.name for study in studies if not study.mask)
  patients = sorted({study.patient for study in labelled})
  _check_enough(len(patients), len(studies))
  split_of, fold_of = _given(labelled, "split"), _given(labelled, "fold")
  rng = np.random.default_rng([seed, zlib.crc32(b"splits")])
  groups = strata.strata_of(labelled, stratify_by, num_folds)
  if split_of:
    test = [p for p in patients if split_of[p] == "test"]
  elif fold_of:
    logging.warning("folds are given and no split: there is no test set")
    test = []
  else:
    test = strata.draw_test(groups, test_fraction, rng)
  rest = [p for p in patients if p not in set(test)]
  if fold_of:
    folds = _given_folds(rest, fold_of)
  else:
    _check_folds(len(rest), len(test), num_folds, bool(split_of))
    folds = strata.deal(groups, set(rest), num_folds, rng)
  return Splits(
    tuple(sorted(test)), tuple(tuple(sorted(f)) for f in folds), unlabelled
  )


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
  if rest >= num_folds:
    return
  fewer = f"set --config.data.num_folds={rest}, " if rest >= 2 else ""
  no_test = "" if given or not tested else "--config.data.test_fraction=0, "
  raise InputError(
    f"{rest} patients are left to train on ({tested} of {rest + tested} "
    f"are for testing), fewer than config.data.num_folds = {num_folds}",
    f"{fewer}{no_test}or add patients with masks",
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


def load_or_make_splits(
  path: str | Path,
  studies: Iterable[Study],
  test_fraction: float,
  num_folds: int,
  stratify_by: Sequence[str],
  seed: int,
) -> Splits:
  """Returns the splits of a run: those of its file, or new ones, written.

  Args:
    path: `splits.json`.
    studies: and the rest as for `make_splits`.

  Raises:
    InputError: as `make_splits`, or a file that does not fit the data or the
      settings. Nothing is ever split anew behind a file's back.
  """
  path, studies = Path(path), tuple(studies)
  settings = {
    "test_fraction": test_fraction,
    "num_folds": num_folds,
    "stratify_by": list(stratify_by),
    "seed": seed,
  }
  if not path.is_file():
    splits = make_splits(studies, **settings)
    write_json(path, {**dataclasses.asdict(splits), "settings": settings})
    return splits
  splits, recorded = read_splits(path)
  _check_settings(recorded, settings, path)
  _check_data(splits, studies, path)
  _check_given(splits, studies, settings, path)
  unlabelled = sorted(study.name for study in studies if not study.mask)
  return dataclasses.replace(splits, unlabelled=tuple(unlabelled))


def read_splits(path: str | Path) -> tuple[Splits, dict[str, Any]]:
  """Reads `splits.json`.

  Returns:
    The splits, and the settings that they were made with.

  Raises:
    InputError: not such a file, an empty fold, or a patient in two places.
  """
  path = Path(path)
  remedy = "restore the file, or start a new workdir"
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
    folds = tuple(tuple(fold) for fold in value["folds"])
    splits = Splits(tuple(value["test"]), folds, tuple(value["unlabelled"]))
    settings = dict(value["settings"])
  except (OSError, ValueError, KeyError, TypeError) as error:
    problem = f"not a file of splits ({type(error).__name__}: {error})"
    raise InputError(problem, remedy, path=path) from None
  everyone = splits.patients
  twice = sorted({p for p in everyone if everyone.count(p) > 1})
  if twice:
    raise InputError(
      f"patients in two places: {', '.join(twice)}", remedy, path=path
    )
  if len(folds) < 2 or not all(folds):
    sizes = [len(fold) for fold in folds]
    raise InputError(f"folds of {sizes} patients", remedy, path=path)
  return splits, settings


def _check_settings(
  recorded: Mapping[str, Any], settings: Mapping[str, Any], path: Path
) -> None:
  for name, value in settings.items():
    if name in recorded and recorded[name] == value:
      continue
    was = f"made with {name} = {recorded.get(name)!r}, now {value!r}"
    if name in ("test_fraction", "num_folds"):
      raise InputError(
        was, f"set config.data.{name} back, or use a new workdir", path=path
      )
    logging.warning("%s: %s; the file's splits are kept", path, was)


def _check_data(splits: Splits, studies: Sequence[Study], path: Path) -> None:
  labelled = {study.patient for study in studies if study.mask}
  there = {study.patient for study in studies}
  known = set(splits.patients)
  for names, what, remedy in (
    (known - there, "are not in the data any more", "bring them back"),
    (known & there - labelled, "have no mask any more", "bring them back"),
    (labelled - known, "have masks but are in no split", "take them out"),
  ):
    if names:
      shown = ", ".join(sorted(names)[:10])
      more = f" and {len(names) - 10} more" if len(names) > 10 else ""
      raise InputError(
        f"{len(names)} patients {what}: {shown}{more}",
        f"{remedy}, or use a new workdir: splits are never changed once made",
        path=path,
      )


def _check_given(
  splits: Splits,
  studies: Sequence[Study],
  settings: Mapping[str, Any],
  path: Path,
) -> None:
  """Compares with the splits and folds that the manifest gives now."""
  splits_given = any(study.split for study in studies if study.mask)
  folds_given = any(study.fold is not None for study in studies if study.mask)
  if not (splits_given or folds_given):
    return
  now = make_splits(studies, **settings)
  other = splits_given and set(now.test) != set(splits.test)
  if other or (folds_given and set(now.folds) != set(splits.folds)):
    raise InputError(
      f"the manifest's {'split' if other else 'fold'} column has changed "
      "since this file was made",
      "set it back, or use a new workdir",
      path=path,
    )
