"""`participants.tsv`: a row of what is known about each patient."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lumbar_jax import config
from lumbar_jax.data.sources.alike import core
from lumbar_jax.data.sources.found import (
  WARNING,
  Finding,
  finding_of,
  table_notes,
)
from lumbar_jax.errors import InputError, did_you_mean, listed
from lumbar_jax.formats.tables import Table, read_table

_COLUMN = "participant_id"
_USUAL = tuple(config.default().data.stratify_by)
_REMEDY = "add one with columns participant_id, sex ... to stratify splits"

_Rows = dict[str, dict[str, str]]  # "sub-X" -> its row


def read(
  root: Path,
  patients: Collection[str],
  stratify_by: Sequence[str],
  findings: list[Finding],
) -> _Rows:
  """Reads the table and finds each patient's row.

  An identifier that lost its zeros (1 for sub-001, as spreadsheets do it) is
  matched where only one patient and one row can be meant.

  Args:
    root: folder of the data set.
    patients: names of its folders, "sub-X".
    stratify_by: columns that patients are to be divided by.
    findings: what is unusual or wrong is added.

  Returns:
    {"sub-X": its row} of the patients that have one.
  """
  path = root / "participants.tsv"
  if not path.is_file():
    findings.append(Finding(WARNING, "no participants.tsv", _REMEDY, path))
    return {}
  try:
    table = read_table(path)
    rows = _rows(table)
  except InputError as error:
    findings.append(finding_of(error))
    return {}
  findings += table_notes(table)
  findings += _check_columns(table, stratify_by)
  return _match(rows, patients, path, findings)


def _rows(table: Table) -> _Rows:
  """Returns the rows by identifier, as it is written but for its prefix.

  Raises:
    InputError: no column of identifiers, an empty one or one that repeats.
  """
  column = table.column(_COLUMN)
  if column is None:
    raise InputError(
      f"no column {_COLUMN!r} among {', '.join(map(repr, table.header))}",
      did_you_mean(_COLUMN, table.header) + _REMEDY,
      path=table.path,
    )
  rows: _Rows = {}
  for number, row in table.rows:
    cells = dict(row)
    written = cells.pop(column)
    identifier = "sub-" + re.sub("^sub-", "", written, flags=re.IGNORECASE)
    if identifier in rows:
      raise InputError(
        f"row {number} repeats participant {identifier!r}",
        "keep one of its rows",
        path=table.path,
      )
    rows[identifier] = cells
  return rows


def _check_columns(table: Table, wanted: Sequence[str]) -> list[Finding]:
  """Says which columns to stratify by are not there, but for the default's."""
  findings = []
  for name in (n for n in wanted if n not in table.header):
    near = table.column(name)
    if near is None and name in _USUAL:
      continue  # the log of the division into folds says it
    remedy = f"did you mean {near}? " if near else ""
    remedy += "correct config.data.stratify_by or the header"
    problem = f"no column {name!r}, which config.data.stratify_by names"
    findings.append(Finding(WARNING, problem, remedy, table.path))
  return findings


def _by_core(identifiers: Collection[str]) -> dict[str, list[str]]:
  groups: dict[str, list[str]] = {}
  for identifier in identifiers:
    groups.setdefault(core(identifier), []).append(identifier)
  return groups


def _match(
  rows: _Rows, patients: Collection[str], path: Path, findings: list[Finding]
) -> _Rows:
  matched = {name: rows[name] for name in patients if name in rows}
  alone = set(rows) - set(matched)
  without = set(patients) - set(matched)
  rows_of, patients_of = _by_core(rows), _by_core(patients)
  taken = {}
  for row in sorted(alone):
    owners = patients_of.get(core(row), [])
    if len(owners) == 1 and owners[0] in without and _only(row, rows_of):
      taken[row] = owners[0]
      matched[owners[0]] = rows[row]
  if taken:
    pairs = [f"{row} for {patient}" for row, patient in taken.items()]
    problem = f"identifiers that lost zeros or changed case: {listed(pairs)}"
    remedy = "write them as the folders are called"
    findings.append(Finding(WARNING, problem, remedy, path))
  _say(alone - set(taken), "rows match no folder", path, findings)
  missing = without - set(taken.values())
  _say(missing, "folders have no row", path, findings)
  return matched


def _only(row: str, rows_of: Mapping[str, list[str]]) -> bool:
  return rows_of[core(row)] == [row]


def _say(
  names: Collection[str], what: str, path: Path, findings: list[Finding]
) -> None:
  if names:
    problem = f"{len(names)} {what}: {listed(names)}"
    remedy = "correct column participant_id, or complete the data"
    findings.append(Finding(WARNING, problem, remedy, path))
