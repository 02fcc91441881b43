"""The one reader of tables: `dseg.tsv`, `participants.tsv`, manifests.

Tables come from editors and spreadsheets of all kinds. What can be read in one
way only is read, and what was unusual is said in a note; anything else is
refused, with the row in which it stands.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path

from lumbar_jax.errors import InputError, listed
from lumbar_jax.formats import text

_DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
_BLANKS = "\ufeff\u200b\u200e\u200f"  # not seen, and not stripped as spaces
_NAMES_SHOWN = 5
MAX_ROWS = 200_000  # each takes far more memory than it has letters

_Numbered = tuple[int, list[str]]  # number of the row, its cells


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of text.

  Attributes:
    path: its file.
    header: the columns' names, as they are written.
    rows: (row number, {column: text}) of each row that is not blank. Rows are
      counted as a spreadsheet does: the header of most tables is row 1.
    notes: what was unusual about the file, a sentence each.
  """

  path: Path
  header: tuple[str, ...]
  rows: tuple[tuple[int, dict[str, str]], ...]
  notes: tuple[str, ...] = ()

  def column(self, name: str) -> str | None:
    """Returns a column's name as it is written, whatever the case, or None."""
    folded = {written.casefold(): written for written in self.header}
    return folded.get(name.casefold())


def read_table(path: str | Path) -> Table:
  """Reads a table of tabs, commas or semicolons, whatever its extension.

  Raises:
    InputError: no file or one that cannot be read, no text, no header, a
      column twice (whatever the case), a row that is longer than the header.
  """
  path = Path(path)
  content, notes = text.read(path)
  delimiter, skipped = _delimiter(content)
  rows, how = _parse(content, delimiter, path)
  notes += how
  rows = rows[skipped:]
  if not rows:
    raise InputError(
      "no columns: the table is empty",
      "name the columns in the first row",
      path=path,
    )
  (_, names), *rows = rows
  while not names[-1]:  # delimiters at the end of the line
    names.pop()
  _check_names(names, path)
  _check_lengths(len(names), rows, path)
  return Table(
    path,
    tuple(filter(None, names)),
    tuple((number, _cells(names, row)) for number, row in rows),
    (*notes, *_unusual(path, delimiter, names, rows)),
  )


def _delimiter(content: str) -> tuple[str, int]:
  """Returns what separates the cells, by the header, and rows before it.

  Numbers below the header may have decimal commas: only the header counts.
  """
  told = re.match(r"[\"']?sep=(.)[\"']?[\r\n]", content, re.IGNORECASE)
  if told:  # a line that spreadsheets write
    return told[1], 1
  lines = io.StringIO(content, newline=None)  # lines that end in any way
  header = next((x for x in lines if x.strip()), "").strip()
  if "\t" in header:
    return "\t", 0
  counts = {d: _count_cells(header, d) for d in ",;"}
  best = max(counts, key=counts.get)
  return (best if counts[best] > 1 else "\t"), 0


def _count_cells(line: str, delimiter: str) -> int:
  """Returns a line's number of cells; 1 where it cannot be divided."""
  try:
    return len(next(csv.reader([line], delimiter=delimiter)))
  except csv.Error:
    return 1


def _parse(
  content: str, delimiter: str, path: Path
) -> tuple[list[_Numbered], list[str]]:
  """Returns the rows that are not blank with their numbers, and notes.

  Raises:
    InputError: quotes that do not end, a cell or a table without measure.
  """
  ways = [csv.QUOTE_MINIMAL] + [csv.QUOTE_NONE] * (delimiter == "\t")
  for quoting in ways:  # tab-separated files may have quotes that mean nothing
    lines = io.StringIO(content, newline="")
    reader = csv.reader(
      lines, delimiter=delimiter, quoting=quoting, strict=True
    )
    rows, notes, number = [], [], 0
    try:
      for number, row in enumerate(reader, start=1):
        cells = [_stripped(cell) for cell in row]
        if any(cells):
          rows.append((number, cells))
        if len(rows) > MAX_ROWS:
          raise csv.Error(f"a table of more than {MAX_ROWS} rows")
    except csv.Error as error:
      problem = f"row {number + 1} cannot be read ({error})"
      continue
    if quoting == csv.QUOTE_NONE:
      notes.append("it has quotes that do not pair: they are read as they are")
    return rows, notes
  raise InputError(
    problem,
    "check that it is the right file, correct its quotes, or save it anew",
    path=path,
  )


def _stripped(cell: str) -> str:
  return cell.strip().strip(_BLANKS).strip()


def _check_names(names: Sequence[str], path: Path) -> None:
  folded = [name.casefold() for name in names]
  for name in filter(None, names):
    alike = [n for n in names if n.casefold() == name.casefold()]
    if len(alike) > 1:
      raise InputError(
        f"column {name!r} occurs {folded.count(name.casefold())} times "
        f"({', '.join(alike)})",
        "give every column one name of its own; upper and lower case are "
        "the same",
        path=path,
      )


def _check_lengths(width: int, rows: Sequence[_Numbered], path: Path) -> None:
  for number, row in rows:
    if any(row[width:]):
      raise InputError(
        f"row {number} has {len(row)} cells and the header {width}",
        "give every row as many cells as the header; a comma within a cell "
        "needs quotes around the cell, or tabs between the cells",
        path=path,
      )


def _cells(names: Sequence[str], row: Sequence[str]) -> dict[str, str]:
  padded = [*row, *[""] * len(names)]
  cells = zip(names, padded, strict=False)
  return {name: cell for name, cell in cells if name}


def _unusual(
  path: Path, delimiter: str, names: Sequence[str], rows: Sequence[_Numbered]
) -> list[str]:
  """Returns notes of what a careful reader would like to know."""
  notes = []
  written = _DELIMITERS.get(delimiter, repr(delimiter))
  expected = {".tsv": "\t", ".csv": ",;"}.get(path.suffix.lower(), "\t,;")
  if len(names) > 1 and delimiter not in expected:
    notes.append(f"its cells are separated by {written}")
  short = [str(number) for number, row in rows if len(row) < len(names)]
  if short:
    shown = listed(short, _NAMES_SHOWN, by_name=False)
    notes.append(f"fewer cells than the header in row {shown}: taken as empty")
  if not all(names):
    places = [str(i) for i, name in enumerate(names, 1) if not name]
    notes.append(f"column {', '.join(places)} has no name and is not read")
  broken = [str(n) for n, row in rows if any("\n" in c for c in row)]
  if broken:
    shown = listed(broken, _NAMES_SHOWN, by_name=False)
    notes.append(f"cells of several lines in row {shown}")
  return notes
