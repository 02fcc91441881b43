"""Cells of a table that name files."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.formats import names

_REMEDY = (
  "correct the cell; paths are absolute or relative to config.data.root (or, "
  "without one, to the table's folder)"
)


def existing(column: str, cell: str, root: Path) -> Path:
  """Returns the file that a cell names.

  Raises:
    InputError: there is none, it is a folder or no volume, or its content was
      not fetched.
  """
  for path in candidates(cell, root):
    absent = names.unfetched(path)
    if absent:
      raise InputError(
        f"{column} is {cell!r}, and its content is not here: {absent}",
        names.FETCH,
      )
    if path.is_dir():
      raise InputError(f"{column} is {cell!r}, a folder", "name the file")
    if path.is_file():
      _check_kind(column, cell, path)
      return path
  path = next(candidates(cell, root))
  raise InputError(
    f"{column} is {cell!r}, and there is no file {path.absolute()}",
    _near(path) + _REMEDY,
  )


def candidates(cell: str, root: Path) -> Iterator[Path]:
  """Yields the paths that a cell may mean: as it is written first."""
  yield root / os.path.expanduser(cell)
  yield root / cell.removeprefix("file://").replace("\\", "/")
  for form in ("NFC", "NFD"):  # accents as one character, or as two
    yield root / unicodedata.normalize(form, cell)
  try:  # a file that was named by a system with another encoding
    yield root / os.fsdecode(cell.encode("cp1252"))
  except UnicodeEncodeError:
    return


def _check_kind(column: str, cell: str, path: Path) -> None:
  if not names.is_image(path):
    kind = names.other_format(path)
    if kind:
      raise InputError(
        f"{column} is {cell!r}, no NIfTI ({kind})",
        "convert it first, for example by dcm2niix or SimpleITK",
      )


def _near(path: Path) -> str:
  try:
    return did_you_mean(path.name, os.listdir(path.parent))
  except OSError:
    return ""
