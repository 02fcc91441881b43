"""The file that holds a run's splits, and whether it still fits the data.

Splits are made once. A file that does not fit is an error, never a reason to
split anew: scores on patients that were trained on would look like results.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax.data.splits import Splits, make_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.files import write_json


def load_or_make_splits(
  path: str | Path,
  studies: Iterable[Study],
  test_fraction: float,
  num_folds: int,
  stratify_by: Sequence[str],
  seed: int,
  validation_fraction: float = 0.2,
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
  if num_folds == 1:  # else it counts for nothing
    settings["validation_fraction"] = validation_fraction
  if not path.is_file():
    splits = make_splits(studies, **settings)
    content = dataclasses.asdict(splits)
    if not splits.training:  # as it was when there were always several folds
      del content["training"]
    write_json(path, {**content, "settings": settings})
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
    splits = Splits(
      tuple(value["test"]),
      folds,
      tuple(value["unlabelled"]),
      tuple(value.get("training", ())),
    )
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
  enough = len(folds) > 1 or (folds and splits.training)
  if not enough or not all(folds):
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
    if name in ("test_fraction", "num_folds", "validation_fraction"):
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
