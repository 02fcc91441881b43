"""What the columns of a manifest are called."""

import re
from collections.abc import Mapping, Sequence

from lumbar_jax.config import CHANNELS
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.formats.tables import Table

COLUMNS = ("patient", "session", *CHANNELS, "mask", "split", "fold")
_FLAG = "--config.data.columns=patient=ID,T2w=sag"


def parse(entries: Sequence[str]) -> dict[str, str]:
  """Reads `config.data.columns`: ("patient=ID", "T2w=sag").

  Returns:
    {our name: the table's name}.

  Raises:
    InputError: an entry of another form, a name of ours that there is not, or
      one that is given twice.
  """
  columns: dict[str, str] = {}
  for entry in entries:
    ours, equals, theirs = (part.strip() for part in entry.partition("="))
    if not equals or not theirs:
      raise InputError(
        f"config.data.columns has {entry!r}",
        f"give pairs of our name and the table's, as {_FLAG}",
      )
    if ours not in COLUMNS:
      raise InputError(
        f"config.data.columns names {ours!r}",
        did_you_mean(ours, COLUMNS)
        + f"before the = stands one of {', '.join(COLUMNS)}",
      )
    if ours in columns:
      raise InputError(
        f"config.data.columns names {ours!r} twice", "keep one of them"
      )
    columns[ours] = theirs
  return columns


def renamed(
  table: Table, columns: Mapping[str, str], *, strict: bool = True
) -> list[tuple[int, dict[str, str]]]:
  """Returns a manifest's rows under our names of the columns.

  Args:
    table: the manifest.
    columns: {our name: the table's name}, whatever the case.
    strict: whether a name that the table lacks is an error.

  Raises:
    InputError: a column that is named but not there, or one that is missing.
  """
  names = {}
  for ours, theirs in columns.items():
    found = table.column(theirs)
    if found is not None:
      names[ours] = found
    elif strict:
      raise InputError(
        f"config.data.columns names {theirs!r} for {ours}, which is no column",
        did_you_mean(theirs, table.header)
        + f"the table has {', '.join(map(repr, table.header))}",
        path=table.path,
      )
  taken = set(names.values())
  kept = [n for n in table.header if n not in taken and n not in names]
  _check(table, [*names, *kept])
  return [
    (
      number,
      {**{n: row[n] for n in kept}, **{o: row[n] for o, n in names.items()}},
    )
    for number, row in table.rows
  ]


def _plain(name: str) -> str:
  return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")


def _check(table: Table, header: Sequence[str]) -> None:
  remedy = (
    f"the columns are {', '.join(COLUMNS)}; rename them, or say what yours are "
    f"called, as {_FLAG}"
  )
  listed = ", ".join(map(repr, table.header))
  if "patient" not in header:
    raise InputError(
      f"no column 'patient' among {listed}",
      did_you_mean("patient", header) + remedy,
      path=table.path,
    )
  # A "Mask" that counted as a further column would cost all the truth.
  for name in (n for n in header if n not in COLUMNS):
    for column in (c for c in COLUMNS if c not in header):
      if _plain(name) == _plain(column):
        raise InputError(
          f"no column {column!r}, but {name!r}",
          f"did you mean {column}? {remedy}",
          path=table.path,
        )
  if not set(CHANNELS) & set(header):
    near = "".join(did_you_mean(channel, header) for channel in CHANNELS[:1])
    raise InputError(
      f"no image column ({' or '.join(CHANNELS)}) among {listed}",
      near + remedy,
      path=table.path,
    )
