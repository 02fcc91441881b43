"""Schemes as files: a BIDS `dseg.tsv`, or one of ours by its name."""

import csv
from pathlib import Path

import numpy as np

from lumbar_jax.anatomy.scheme import Scheme, Structure
from lumbar_jax.anatomy.schemes import MIDAS12, SCHEMES
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.files import write_text


def read_dseg_tsv(path: str | Path) -> Scheme:
  """Reads a BIDS `dseg.tsv` (columns index, name; color optional).

  Raises:
    InputError: a missing column, a number that is not whole or occurs twice,
      or no row 0 (the background).
  """
  path = Path(path)
  with open(path, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file, delimiter="\t"))
  missing = {"index", "name"} - set(rows[0] if rows else ())
  if missing:
    raise InputError(
      f"no column {sorted(missing)[0]!r}",
      "a dseg.tsv has tab-separated columns index, name and optionally color",
      path=path,
    )
  try:
    indices = tuple(int(row["index"]) for row in rows)
  except ValueError as error:
    raise InputError(
      str(error), "column index takes whole numbers", path=path
    ) from None
  if len(set(indices)) < len(indices) or 0 not in indices:
    raise InputError(
      f"column index is {list(indices)}",
      "every number may occur once, and 0 must be the background (a row "
      "'0<tab>Background')",
      path=path,
    )
  order = np.argsort(indices)
  palette = MIDAS12.structures
  structures = tuple(
    Structure(
      rows[i]["name"],
      rows[i].get("color") or palette[place % len(palette)].color,
    )
    for place, i in enumerate(order)
  )
  return Scheme(path.parent.name, structures, tuple(sorted(indices)))


def write_dseg_tsv(path: str | Path, scheme: Scheme) -> None:
  """Writes a scheme as a BIDS `dseg.tsv`."""
  rows = ["index\tname\tcolor"]
  for number, structure in zip(scheme.indices, scheme.structures, strict=True):
    rows.append(f"{number}\t{structure.name}\t{structure.color}")
  write_text(path, "\n".join(rows) + "\n")


def load_scheme(name_or_path: str) -> Scheme:
  """Returns a scheme by its name, or reads it from a `dseg.tsv`.

  Raises:
    InputError: neither a known name nor a file.
  """
  if name_or_path in SCHEMES:
    return SCHEMES[name_or_path]
  if Path(name_or_path).is_file():
    return read_dseg_tsv(name_or_path)
  raise InputError(
    f"unknown label scheme {name_or_path!r}",
    did_you_mean(name_or_path, SCHEMES)
    + f"give one of {', '.join(SCHEMES)} or the path of a dseg.tsv",
  )
