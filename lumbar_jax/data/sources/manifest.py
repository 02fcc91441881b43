"""A table with one row a study, for files that lie as they lie.

    patient  session  T2w            T1w            mask           split  fold
    P01      a        P01/a/t2.nii   P01/a/t1.nii   P01/a/seg.nii  train  0

Tab-separated, or comma-separated in a .csv. `patient` and at least one image
column are required. Paths are absolute, or relative to `config.data.root`, or
without a root to the table's own folder. Cells that are empty or `n/a` say
nothing. Further columns (sex, manufacturer ...) describe the patient.

A `dseg.tsv` beside the table says what the numbers in the masks mean; without
one they are those of `config.data.scheme`, which may be the path of a
`dseg.tsv` too: classes of one's own need no code.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from lumbar_jax.config import CHANNELS
from lumbar_jax.data.sources.found import (
  EMPTY_CELLS,
  ERROR,
  Finding,
  Found,
  read_mask_scheme,
  table_notes,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.formats.tables import read_table

COLUMNS = ("patient", "session", *CHANNELS, "mask", "split", "fold")
SPLITS = ("train", "test")


def find(data_config, *, masks: bool = True) -> Found:
  """Lists the studies of `config.data.manifest`.

  Rows with an error make findings and no study.

  Args:
    data_config: the `data` part of a config.
    masks: False leaves the masks out, there or not (prediction).

  Raises:
    InputError: no table, no rows, or a column that is missing.
  """
  if not data_config.manifest:
    raise InputError(
      "config.data.manifest is empty", "give --config.data.manifest=TABLE.tsv"
    )
  path = Path(data_config.manifest)
  if not path.is_file():
    raise InputError(
      "no such file", "check config.data.manifest", path=path.absolute()
    )
  root = Path(data_config.root or path.parent)
  findings: list[Finding] = []
  studies = _studies(path, root, masks, findings)
  _check_together(studies, path, findings)
  scheme = None
  if any(study.mask for study in studies.values()):
    scheme = read_mask_scheme(path.parent / "dseg.tsv", findings)
  return Found(tuple(studies.values()), scheme, root, tuple(findings))


def _studies(
  path: Path, root: Path, masks: bool, findings: list[Finding]
) -> dict[int, Study]:
  """Returns {number of the row: study}; adds a finding for any other row."""
  table = read_table(path)
  findings += table_notes(table)
  _check_header(list(table.header), path)
  if not table.rows:
    raise InputError("no rows below the header", "add studies", path=path)
  studies = {}
  for number, row in table.rows:
    if not masks:
      row.pop("mask", None)
    try:
      studies[number] = _study(row, root)
    except InputError as error:
      problem = f"row {number}: {error.problem}"
      findings.append(Finding(ERROR, problem, error.remedy, path))
  return studies


def _plain(name: str) -> str:
  return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")


def _check_header(header: list[str], path: Path) -> None:
  remedy = f"the columns are {', '.join(COLUMNS)}; a .tsv has tabs"
  near = did_you_mean("patient", header)
  if "patient" not in header:
    raise InputError(
      f"no column 'patient' among {', '.join(map(repr, header))}",
      near + remedy,
      path=path,
    )
  # A "Mask" that counted as a further column would cost all the truth.
  for name in (n for n in header if n not in COLUMNS):
    for column in (c for c in COLUMNS if c not in header):
      if _plain(name) == _plain(column):
        raise InputError(
          f"no column {column!r}, but {name!r}",
          f"did you mean {column}? {remedy}",
          path=path,
        )
  if not set(CHANNELS) & set(header):
    near = "".join(did_you_mean(channel, header) for channel in CHANNELS[:1])
    raise InputError(
      f"no image column ({' or '.join(CHANNELS)}) among "
      f"{', '.join(map(repr, header))}",
      near + remedy,
      path=path,
    )


def _study(row: Mapping[str, str], root: Path) -> Study:
  """Reads one row.

  Raises:
    InputError: a cell that cannot be used.
  """
  cells = {k: v for k, v in row.items() if v.lower() not in EMPTY_CELLS}
  for column in ("patient", "session"):
    value = cells.get(column, "")
    if re.search(r'[/\\:*?"<>|]', value) or value.startswith("."):
      raise InputError(
        f"{column} {value!r} cannot be part of a file name",
        "use letters, digits, dashes and underscores",
      )
  if "patient" not in cells:
    raise InputError("no patient", "fill the cell")
  images = {c: _existing(c, cells[c], root) for c in CHANNELS if c in cells}
  if not images:
    raise InputError("no image", f"fill {' or '.join(CHANNELS)}")
  mask = _existing("mask", cells["mask"], root) if "mask" in cells else None
  further = {k: v for k, v in row.items() if k not in COLUMNS}
  return Study(
    cells["patient"],
    cells.get("session", ""),
    images,
    mask,
    {"participant": further},
    _split(cells.get("split")),
    _fold(cells.get("fold")),
  )


def _existing(column: str, cell: str, root: Path) -> Path:
  path = root / cell
  if not path.is_file():
    raise InputError(
      f"{column} is {cell!r}, and there is no file {path.absolute()}",
      "correct the cell; paths are absolute or relative to config.data.root "
      "(or, without one, to the table's folder)",
    )
  return path


def _split(cell: str | None) -> str | None:
  if cell is None or cell in SPLITS:
    return cell
  raise InputError(
    f"split is {cell!r}",
    did_you_mean(cell, SPLITS) + f"allowed: {', '.join(SPLITS)}, or empty",
  )


def _fold(cell: str | None) -> int | None:
  if cell is None or cell.isdecimal():
    return None if cell is None else int(cell)
  raise InputError(
    f"fold is {cell!r}", "give a whole number such as 0, 1, 2, or nothing"
  )


def _check_together(
  studies: Mapping[int, Study], path: Path, findings: list[Finding]
) -> None:
  """Adds what is wrong between rows: twins, patients in two places."""
  rows_of: dict[str, int] = {}
  first: dict[tuple[str, str], tuple[int, str | int]] = {}
  for number, study in studies.items():
    twin = rows_of.setdefault(study.name, number)
    if twin != number:
      problem = (
        f"row {number} repeats row {twin}: patient {study.patient!r}, "
        f"session {study.session!r}"
      )
      remedy = "give each study of a patient its own session"
      findings.append(Finding(ERROR, problem, remedy, path))
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
        remedy = "keep all studies of a patient together"
        findings.append(Finding(ERROR, problem, remedy, path))
