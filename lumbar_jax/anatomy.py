"""Label schemes: the only place in the project with label numbers.

A scheme says which structures a network tells apart. A mask file carries the
scheme it was drawn in (its `dseg.tsv`); masks are mapped from one scheme to
another by the structures' *names*, never by their numbers.
"""

import csv
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lumbar_jax.errors import InputError, did_you_mean

IGNORE = 255  # left out of losses, thresholds and every metric
IGNORE_NAME = "ignore"


@dataclasses.dataclass(frozen=True)
class Structure:
  """One class: its name, colour (#rrggbb) and the finer names it covers."""

  name: str
  color: str
  includes: tuple[str, ...] = ()

  @property
  def rgb(self) -> tuple[int, int, int]:
    """Returns red, green and blue in 0..255."""
    return tuple(int(self.color[i : i + 2], 16) for i in (1, 3, 5))


@dataclasses.dataclass(frozen=True)
class Scheme:
  """An ordered set of structures; class 0 is the background.

  `indices` are the numbers that stand for the structures in mask files, where
  they differ from 0, 1, 2 ... (a foreign `dseg.tsv` may skip some).
  """

  name: str
  structures: tuple[Structure, ...]
  indices: tuple[int, ...] = ()

  def __post_init__(self):
    if not self.indices:
      numbers = tuple(range(len(self.structures)))
      object.__setattr__(self, "indices", numbers)

  @property
  def num_classes(self) -> int:
    """Number of classes, background included."""
    return len(self.structures)

  @property
  def names(self) -> tuple[str, ...]:
    """The classes' names in order."""
    return tuple(s.name for s in self.structures)

  @functools.cached_property
  def colors(self) -> np.ndarray:
    """Returns [k 3] uint8 colours."""
    return np.array([s.rgb for s in self.structures], np.uint8)

  def class_of(self, name: str) -> int | None:
    """Returns the class a (possibly finer) structure name belongs to."""
    wanted = name.casefold()
    for number, structure in enumerate(self.structures):
      covered = (structure.name, *structure.includes)
      if wanted in (known.casefold() for known in covered):
        return number
    return None

  def lookup(
    self, source: "Scheme", remap: Mapping[str, str] | None = None
  ) -> dict[int, int]:
    """Returns {number in a mask of `source`: class of this scheme}.

    Args:
      source: the scheme that the mask file was drawn in.
      remap: {source name: this scheme's name, or "ignore"}; it goes before the
        match by name.

    Raises:
      InputError: a source structure has no counterpart here.
    """
    remap = dict(remap or {})
    for name in remap:
      if name not in source.names:
        raise InputError(
          f"data.remap names {name!r}, which the masks' scheme "
          f"{source.name} does not have",
          did_you_mean(name, source.names)
          + f"its names are {', '.join(source.names)}",
        )
    table = {}
    for number, name in zip(source.indices, source.names, strict=True):
      target = remap.get(name, name)
      if target == IGNORE_NAME:
        table[number] = IGNORE
        continue
      found = self.class_of(target)
      if found is None:
        raise InputError(
          f"structure {name!r} of the masks' scheme {source.name} has no "
          f"counterpart in scheme {self.name}",
          f"give --config.data.remap=\"{{'{name}': 'NAME'}}\" with NAME one of "
          f"{', '.join(self.names)} or ignore; or train on the masks' own "
          "classes with --config.data.scheme=PATH/dseg.tsv",
        )
      table[number] = found
    return table


def map_labels(
  labels: np.ndarray, table: Mapping[int, int], path: str | Path
) -> np.ndarray:
  """Maps a mask's numbers to classes.

  Args:
    labels: any shape, whole numbers.
    table: {number: class}, from `Scheme.lookup`. 255 always means ignore.
    path: the mask file, for the error.

  Returns:
    uint8 classes of the same shape.

  Raises:
    InputError: a number that the table does not know.
  """
  known = {IGNORE: IGNORE, **table}
  whole = labels.astype(np.int64)
  if not np.array_equal(whole, labels):
    raise _unknown(labels[whole != labels].flat[0], table, path)
  if not whole.size:
    return whole.astype(np.uint8)
  # A table from number to class: np.unique would sort every voxel.
  low = int(whole.min())
  present = np.flatnonzero(np.bincount(whole.ravel() - low)) + low
  for number in present.tolist():
    if number not in known:
      raise _unknown(number, table, path)
  lookup = np.zeros(int(present[-1]) - low + 1, np.uint8)
  lookup[present - low] = [known[number] for number in present.tolist()]
  return lookup[whole - low]


def _unknown(number: float, table: Mapping[int, int], path) -> InputError:
  return InputError(
    f"label {number:g} is not in the masks' scheme "
    f"(known: {', '.join(f'{n:g}' for n in sorted(table))})",
    "list it in the derivative's dseg.tsv, or correct the mask",
    path=path,
  )


LEVELS = ("L1", "L2", "L3", "L4", "L5")
UPPER_LEVELS = ("T9", "T10", "T11", "T12")
DISCS = (
  *("T9-T10", "T10-T11", "T11-T12", "T12-L1"),
  *("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"),
)

# Paper 000, Table 6: numbers and names; the colours are ours.
_TISSUES = (
  Structure("Spinal-Cavity", "#4aa8ff", ("Canal",)),
  Structure("SCT", "#e8d9a0"),
  Structure("Epi-Fat", "#ff8c1a"),
  Structure("IM-Fat", "#b35900"),
  Structure("Rper-Fat", "#c9c13a"),
  Structure("Nerve-Root", "#fff200"),
  Structure("Blood-Vessels", "#ff1f3d"),
  Structure("Muscle", "#b05a6e"),
)
_BACKGROUND = Structure("Background", "#000000")
_VERTEBRA_NAMES = (*UPPER_LEVELS, *LEVELS, "L6")

MIDAS12 = Scheme(
  "midas12",
  (
    _BACKGROUND,
    Structure("Vert", "#7fd36b", ("Vertebra", *_VERTEBRA_NAMES)),
    Structure("Sacrum", "#2e8b57", ("S", "S1")),
    Structure("Int-Disc", "#a05fe0", ("Disc", *DISCS)),
    *_TISSUES,
  ),
)
SPIDER = Scheme(
  "spider",
  (
    _BACKGROUND,
    Structure("Vertebra", "#e6194b", ("Vert", *_VERTEBRA_NAMES)),
    Structure("Disc", "#4363d8", ("Int-Disc", *DISCS)),
    Structure("Canal", "#3cb44b", ("Spinal-Cavity",)),
  ),
)
# What the phantom stores: every level by itself, so that coarser schemes
# (and level-wise ones) are all mappings of it.
PHANTOM = Scheme(
  "phantom",
  (
    _BACKGROUND,
    *(
      Structure(name, color)
      for name, color in zip(
        (*UPPER_LEVELS[::-1], *LEVELS),
        (
          *("#5b8f4d", "#6aa35b", "#79b769", "#88cb77"),
          *("#7fd36b", "#9be08a", "#63bf4f", "#b6ecaa", "#4fa63c"),
        ),
        strict=True,
      )
    ),
    Structure("Sacrum", "#2e8b57"),
    *(
      Structure(name, color)
      for name, color in zip(
        DISCS,
        (
          *("#5a2d91", "#6c3aa8", "#7e48be", "#9158d0"),
          *("#a05fe0", "#b781ec", "#8a44d1", "#cfa6f5", "#6f2fb5"),
        ),
        strict=True,
      )
    ),
    *_TISSUES,
  ),
)
SCHEMES = {s.name: s for s in (MIDAS12, SPIDER, PHANTOM)}


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
  from lumbar_jax.files import write_text

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


def scheme_from_names(name: str, names: Sequence[str], colors) -> Scheme:
  """Rebuilds a scheme that a run's folder recorded (names and colours)."""
  return Scheme(name, tuple(map(Structure, names, colors)))
