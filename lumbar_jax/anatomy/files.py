"""Schemes as files: a BIDS `dseg.tsv`, or one of ours by its name."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from lumbar_jax import escaping
from lumbar_jax.anatomy.scheme import IGNORE_NAME, Scheme, Structure
from lumbar_jax.anatomy.schemes import MIDAS12, SCHEMES
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.files import write_text
from lumbar_jax.formats.tables import Table, read_table

_COLUMNS = "a dseg.tsv has tab-separated columns index, name and optionally "
_COLOR = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


def read_dseg_tsv(path: str | Path, *, recorded: bool = False) -> Scheme:
  """Reads a BIDS `dseg.tsv`, as `read_dseg_table`."""
  return read_dseg_table(path, recorded=recorded)[0]


def read_dseg_table(
  path: str | Path, *, recorded: bool = False
) -> tuple[Scheme, tuple[str, ...]]:
  """Reads a BIDS `dseg.tsv` (columns index, name; color optional).

  A row named `ignore` is no class: its number stands for pixels that count
  nowhere. Other columns are not read.

  Args:
    path: the table.
    recorded: whether a run wrote it: every row with a colour is one of its
      classes then, whatever the name.

  Returns:
    The scheme, called after the file's folder, and notes on what was unusual.

  Raises:
    InputError: a missing column or name, a number that is not whole, a number
      or name that occurs twice, a bad colour, or no row 0 (the background).
  """
  path = Path(path)
  table = read_table(path)
  columns = [_column(table, name) for name in ("index", "name")]
  color = table.column("color") or table.column("colour")
  entries = []
  for number, row in table.rows:
    cells = [row[column] for column in columns]
    try:
      index, name = _index(cells[0]), _name(cells[1])
      shade = _color(row[color]) if color else ""
    except InputError as error:
      raise InputError(
        f"row {number}: {error.problem}", error.remedy, path=path
      ) from None
    entries.append((index, name, shade))
  entries.sort()
  _check_numbers(entries, path)
  if not recorded:
    _check_names(entries, path)
  ignored = tuple(
    index
    for index, name, shade in entries
    if _ignores(name) and not (recorded and shade)
  )
  classes = [entry for entry in entries if entry[0] not in ignored]
  palette = MIDAS12.structures
  structures = tuple(
    Structure(name, shade or palette[place % len(palette)].color)
    for place, (_, name, shade) in enumerate(classes)
  )
  indices = tuple(index for index, _, _ in classes)
  scheme = Scheme(path.parent.name, structures, indices, ignored)
  written = [row[columns[0]] for _, row in table.rows]
  odd = [cell for cell in written if not cell.isdecimal()]
  notes = [f"index {', '.join(odd)} is taken as a whole number"] if odd else []
  return scheme, (*table.notes, *notes)


def _ignores(name: str) -> bool:
  return name.casefold() == IGNORE_NAME


def _column(table: Table, name: str) -> str:
  found = table.column(name)
  if found is None:
    raise InputError(
      f"no column {name!r} among {', '.join(map(repr, table.header))}",
      did_you_mean(name, table.header) + _COLUMNS + "color",
      path=table.path,
    )
  return found


def _index(cell: str) -> int:
  """Returns a whole number from 0; "3.0", as spreadsheets write, is one."""
  if re.fullmatch(r"\+?\d{1,9}(\.0*)?", cell, re.ASCII):
    return int(float(cell))
  raise InputError(
    f"index is {cell!r}", "column index takes whole numbers from 0"
  )


def _name(cell: str) -> str:
  if cell.lower() in ("", "n/a"):
    raise InputError(
      "it has no name", "name every structure, or take the row away"
    )
  return escaping.one_line(escaping.uncell(cell))


def _color(cell: str) -> str:
  """Returns a colour as #rrggbb, or "" where the table gives none."""
  if cell.lower() in ("", "n/a"):
    return ""
  match = _COLOR.fullmatch(cell)
  digits = match[1].lower() if match else _named_color(cell)
  if not digits:
    raise InputError(
      f"color is {cell!r}",
      "give it in hexadecimal such as #ff8000, by a name of CSS such as "
      "orange, or leave it empty",
    )
  return "#" + (digits if len(digits) == 6 else "".join(d * 2 for d in digits))


def _named_color(name: str) -> str:
  """Returns the six digits of a colour that CSS names, or ""."""
  from matplotlib import colors  # slow to import

  return colors.CSS4_COLORS.get(name.lower().replace(" ", ""), "")[1:].lower()


def _check_numbers(entries: Sequence[tuple[int, str, str]], path: Path) -> None:
  indices = [index for index, _, _ in entries]
  if len(set(indices)) < len(indices) or 0 not in indices:
    raise InputError(
      f"column index is {indices}",
      "every number may occur once, and 0 must be the background (a row "
      "'0<tab>Background')",
      path=path,
    )


def _check_names(entries: Sequence[tuple[int, str, str]], path: Path) -> None:
  seen: dict[str, int] = {}
  for index, name, _ in entries:
    twin = seen.setdefault(name.casefold(), index)
    if twin != index and not _ignores(name):
      raise InputError(
        f"index {twin} and index {index} are both called {name!r}",
        "give each structure a name of its own (upper and lower case are the "
        "same); config.data.remap takes several as one class",
        path=path,
      )
    if index == 0 and _ignores(name):
      raise InputError(
        f"index 0 is called {name!r}",
        "0 must be the background; give what is to be ignored another number",
        path=path,
      )


def write_dseg_tsv(path: str | Path, scheme: Scheme) -> None:
  """Writes a scheme as a BIDS `dseg.tsv`."""
  text = io.StringIO()
  writer = csv.writer(text, delimiter="\t", lineterminator="\n")
  writer.writerow(("index", "name", "color"))
  for number, structure in zip(scheme.indices, scheme.structures, strict=True):
    writer.writerow((number, escaping.cell(structure.name), structure.color))
  for number in scheme.ignored:
    writer.writerow((number, IGNORE_NAME, "n/a"))
  write_text(path, text.getvalue())


def load_scheme(name_or_path: str) -> Scheme:
  """Returns a scheme by its name, or reads it from a `dseg.tsv`.

  Raises:
    InputError: neither a known name nor a file.
  """
  if name_or_path in SCHEMES:
    return SCHEMES[name_or_path]
  if Path(name_or_path).is_file():
    scheme, notes = read_dseg_table(name_or_path)
    for note in notes:
      logging.info("%s: %s", name_or_path, note)
    return scheme
  raise InputError(
    f"unknown label scheme {name_or_path!r}",
    did_you_mean(name_or_path, SCHEMES)
    + f"give one of {', '.join(SCHEMES)} or the path of a dseg.tsv",
  )
