"""What a source hands back: studies, and what it came across on the way."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lumbar_jax.anatomy import Scheme, read_dseg_table
from lumbar_jax.choices import check_choice
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, listed
from lumbar_jax.formats import names
from lumbar_jax.formats.tables import Table

ERROR, WARNING, INFO = "error", "warning", "info"
EMPTY_CELLS = ("", "n/a")  # how a table says that a value is not there
_NUMBERINGS = ("dseg.tsv", "dseg.csv")


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
  path = _numbering(path, findings)
  if path is None:
    return None
  try:
    scheme, notes = read_dseg_table(path)
  except InputError as error:
    findings.append(finding_of(error))
    return None
  findings += _noted(notes, path)
  return scheme


def _numbering(path: Path, findings: list[Finding]) -> Path | None:
  """Returns the table that `dseg.tsv` stands for, whatever its case.

  Some systems take `Dseg.tsv` for it and some do not; one in commas is often
  called `dseg.csv`. The masks' numbers must not mean something else there.
  """
  absent = names.unfetched(path)
  if absent:
    findings.append(Finding(ERROR, absent, names.FETCH, path))
    return None
  others = [
    other
    for other in sorted(path.parent.glob("*"))
    if other.name.lower() in _NUMBERINGS and other.is_file()
  ]
  if path.is_file():
    others = [other for other in others if not other.samefile(path)]
    if others:
      problem = f"not read, since {path.name} lies beside it"
      remedy = "take it away, or check that both say the same"
      findings += [Finding(INFO, problem, remedy, o) for o in others]
    return path
  if len(others) > 1:
    problem = f"{listed([o.name for o in others])}: which numbers the masks"
    problem += f" is not clear, and there is no {path.name}"
    remedy = f"call the right one {path.name}"
    findings.append(Finding(ERROR, problem, remedy, path.parent))
  if len(others) != 1:
    return None
  problem = f"read as {path.name}, which is not there"
  remedy = f"call it {path.name}"
  findings.append(Finding(INFO, problem, remedy, others[0]))
  return others[0]


def table_notes(table: Table) -> list[Finding]:
  """Returns what was unusual about a table."""
  return _noted(table.notes, table.path)


def _noted(notes: Sequence[str], path: Path) -> list[Finding]:
  remedy = "check that it is read as it is meant"
  return [Finding(INFO, note, remedy, path) for note in notes]
