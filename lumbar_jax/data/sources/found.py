"""What a source hands back: studies, and what it came across on the way."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lumbar_jax.anatomy import Scheme, read_dseg_table
from lumbar_jax.choices import check_choice
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.formats.tables import Table

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

  def __post_init__(self):
    check_choice("severity", self.severity, (ERROR, WARNING, INFO))

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


def read_mask_scheme(path: Path, findings: list[Finding]) -> Scheme | None:
  """Reads the `dseg.tsv` of the masks; None without one.

  What the masks' numbers are taken as then is told by `checks`, which has seen
  them.
  """
  if not path.is_file():
    return None
  try:
    scheme, notes = read_dseg_table(path)
  except InputError as error:
    findings.append(finding_of(error))
    return None
  findings += _noted(notes, path)
  return scheme


def table_notes(table: Table) -> list[Finding]:
  """Returns what was unusual about a table."""
  return _noted(table.notes, table.path)


def _noted(notes: Sequence[str], path: Path) -> list[Finding]:
  remedy = "check that it is read as it is meant"
  return [Finding(INFO, note, remedy, path) for note in notes]
