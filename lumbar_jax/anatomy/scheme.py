"""What a label scheme is, and how masks are mapped from one to another."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

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
  they differ from 0, 1, 2 ... (a foreign `dseg.tsv` may skip some). `ignored`
  are numbers in mask files that are no class: such pixels count nowhere.
  """

  name: str
  structures: tuple[Structure, ...]
  indices: tuple[int, ...] = ()
  ignored: tuple[int, ...] = ()

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
      InputError: a source structure has no counterpart here, or there are more
        classes than a byte can hold.
    """
    if self.num_classes > IGNORE:
      raise InputError(
        f"scheme {self.name} has {self.num_classes} classes",
        f"{IGNORE} are the most",
      )
    remap = dict(remap or {})
    for name in remap:
      if name not in source.names:
        raise InputError(
          f"data.remap names {name!r}, which the masks' scheme "
          f"{source.name} does not have",
          did_you_mean(name, source.names)
          + f"its names are {', '.join(source.names)}",
        )
    table = dict.fromkeys(source.ignored, IGNORE)
    for number, name in zip(source.indices, source.names, strict=True):
      target = remap.get(name, name)
      if target.casefold() == IGNORE_NAME:
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


def scheme_from_names(name: str, names: Sequence[str], colors) -> Scheme:
  """Rebuilds a scheme that a run's folder recorded (names and colours)."""
  return Scheme(name, tuple(map(Structure, names, colors)))
