"""What is wrong between the rows of a manifest."""

import collections
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lumbar_jax.data.sources.found import ERROR, WARNING, Finding
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import listed
from lumbar_jax.formats import names

_Rows = Mapping[int, Study]  # number of the row -> its study


def check(
  studies: _Rows, path: Path, *, training: bool = True
) -> list[Finding]:
  """Returns what is wrong or doubtful between rows, as findings.

  Args:
    studies: {number of the row: study}.
    path: the table.
    training: False where nothing leaks (prediction): one file in several
      cells is doubtful then, and no error.
  """
  findings = [
    *_in_two_places(studies),
    *_same_files(studies, ERROR if training else WARNING),
    *_masks_as_images(studies),
  ]
  return [
    *_twins(studies, path, training),
    *(Finding(*finding, path) for finding in findings),
  ]


_Said = Iterator[tuple[str, str, str]]  # severity, problem, remedy


def repeated(studies: _Rows) -> set[int]:
  """Returns the rows whose study stands in another row too."""
  counts = collections.Counter(study.name for study in studies.values())
  return {n for n, study in studies.items() if counts[study.name] > 1}


def _twins(studies: _Rows, path: Path, training: bool) -> Iterator[Finding]:
  """Says which rows are one study; in prediction each row is a failed one."""
  rows_of: dict[str, list[int]] = {}
  for number, study in studies.items():
    rows_of.setdefault(study.name, []).append(number)
  for name, (first, *others) in rows_of.items():
    pairs = [(number, first) for number in others]
    if others and not training:
      pairs.insert(0, (first, others[0]))
    for number, twin in pairs:
      problem = f"row {number} repeats row {twin}: {_told(studies[number])}"
      if _told(studies[number]) != _told(studies[twin]):
        problem += f" and {_told(studies[twin])} are both called {name!r}"
      remedy = "give each study of a patient its own session"
      study = "" if training else name
      yield Finding(ERROR, problem, remedy, path, study)


def _told(study: Study) -> str:
  return f"patient {study.patient!r}, session {study.session!r}"


def _in_two_places(studies: _Rows) -> _Said:
  first: dict[tuple[str, str], tuple[int, str | int]] = {}
  for number, study in studies.items():
    for column in ("split", "fold"):
      value = getattr(study, column)
      if value is None or (column == "fold" and study.split == "test"):
        continue
      row, other = first.setdefault((study.patient, column), (number, value))
      if other != value:
        problem = (
          f"row {number}: patient {study.patient!r} is in {column} "
          f"{value!r}, but in {column} {other!r} in row {row}"
        )
        yield ERROR, problem, "keep all studies of a patient together"


def _identity(path: Path) -> tuple[int, int] | str:
  """Returns what is the same for all names of one file."""
  stat = os.stat(path)
  if stat.st_ino:
    return stat.st_dev, stat.st_ino
  return os.path.realpath(path)


def _same_files(studies: _Rows, severity: str) -> _Said:
  """Says where one file stands in two cells; between patients it is a leak."""
  first: dict[tuple[int, int] | str, tuple[int, str]] = {}
  for number, study in studies.items():
    files = {**study.images, **({"mask": study.mask} if study.mask else {})}
    for column, path in files.items():
      row, other = first.setdefault(_identity(path), (number, column))
      if (row, other) == (number, column):
        continue
      where = f"row {number}: {column} is the same file as {other}"
      if row == number:
        yield severity, where, "name each file in one column"
      elif "mask" in (column, other) and column != other:
        yield severity, f"{where} of row {row}", "correct one of the cells"
      elif column == "mask":
        remedy = "each image needs a mask of its own, unless they share a grid"
        yield WARNING, f"{where} of row {row}", remedy
      elif studies[row].patient == study.patient:
        remedy = "it counts twice: take one of the rows away"
        yield WARNING, f"{where} of row {row}", remedy
      else:
        problem = (
          f"{where} of row {row}, of another patient ({study.patient!r} and "
          f"{studies[row].patient!r}): one could be trained on and the other "
          "tested"
        )
        yield severity, problem, "correct one of the rows, or take it away"


def _masks_as_images(studies: _Rows) -> _Said:
  called = [
    str(number)
    for number, study in studies.items()
    if any(map(names.looks_like_mask, study.images.values()))
  ]
  if called:
    rows = listed(called, by_name=False)
    problem = f"images that are called like masks in row {rows}"
    yield WARNING, problem, "check that the cells name images"
