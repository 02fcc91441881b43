"""What a source hands back: studies, and what it came across on the way."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lumbar_jax.anatomy import Scheme, read_dseg_tsv
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

ERROR, WARNING, INFO = "error", "warning", "info"
EMPTY_CELLS = ("", "n/a")  # how a table says that a value is not there


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing to know about a data set.

  Attributes:
    severity: "error" (cannot be used), "warning" (look at it) or "info".
    problem: what is the matter, with the value in it.
    remedy: what the user can do.
    path: the file or folder concerned, if there is one.
    study: name of the study concerned, if there is one.
  """

  severity: str
  problem: str
  remedy: str
  path: Path | None = None
  study: str = ""

  @property
  def error(self) -> InputError:
    """The exception that says the same."""
    return InputError(self.problem, self.remedy, path=self.path)

  def __str__(self) -> str:
    return str(self.error)


def finding_of(
  error: InputError, severity: str = ERROR, study: str = ""
) -> Finding:
  """Returns the finding that says what an exception says."""
  path = None if error.path is None else Path(error.path)
  return Finding(severity, error.problem, error.remedy, path, study)


@dataclasses.dataclass(frozen=True)
class Found:
  """The studies of a data set.

  Attributes:
    studies: sorted by name.
    mask_scheme: what the numbers in the masks mean; None where no `dseg.tsv`
      tells, and then they are those of the configured scheme.
    root: folder of the data set.
    findings: what was left out, missing or wrong.
  """

  studies: tuple[Study, ...]
  mask_scheme: Scheme | None
  root: Path
  findings: tuple[Finding, ...] = ()


def read_mask_scheme(
  path: Path, findings: list[Finding], severity: str = INFO
) -> Scheme | None:
  """Reads the `dseg.tsv` of the masks; None (and a finding) without one."""
  if path.is_file():
    try:
      return read_dseg_tsv(path)
    except InputError as error:
      findings.append(finding_of(error))
      return None
  findings.append(
    Finding(
      severity,
      "no dseg.tsv, so the masks' numbers are taken as those of "
      "config.data.scheme",
      "write one (columns index and name) if they mean something else",
      path,
    )
  )
  return None


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict]]]:
  """Reads a table: commas in a .csv, tabs in anything else.

  Returns:
    The columns' names, and (row number, {column: text}) of each row that is
    not blank. The header is row 1, as a spreadsheet counts.

  Raises:
    InputError: not text, no header, a column twice, or a row that is longer
      than the header.
  """
  delimiter = "," if path.suffix.lower() == ".csv" else "\t"
  try:
    with open(path, newline="", encoding="utf-8-sig") as file:
      rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(file, delimiter=delimiter)
      ]
  except (UnicodeDecodeError, csv.Error) as error:
    raise InputError(
      f"not a text table ({error})",
      "save it as UTF-8 text, tab-separated (.tsv) or comma-separated (.csv)",
      path=path,
    ) from None
  if not rows or not any(rows[0]):
    raise InputError(
      "no header in row 1", "name the columns in the first row", path=path
    )
  header = rows[0]
  _check_rows(header, rows, path)
  pad = [""] * len(header)
  return header, [
    (number, dict(zip(header, row + pad, strict=False)))
    for number, row in enumerate(rows[1:], start=2)
    if any(row)
  ]


def _check_rows(
  header: list[str], rows: Sequence[list[str]], path: Path
) -> None:
  twice = [name for name in header if header.count(name) > 1]
  if twice:
    raise InputError(
      f"column {twice[0]!r} occurs {header.count(twice[0])} times",
      "give every column one name of its own",
      path=path,
    )
  for number, row in enumerate(rows, start=1):
    if len(row) > len(header):
      raise InputError(
        f"row {number} has {len(row)} cells and the header {len(header)}",
        "give every row as many cells as the header",
        path=path,
      )
