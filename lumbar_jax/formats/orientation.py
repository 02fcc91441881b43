"""Letters that say where the stored axes of a volume run to."""

from collections.abc import Sequence

import numpy as np

from lumbar_jax.errors import InputError

LETTERS = ("LR", "PA", "IS")  # each world axis: towards lower, higher mm


def check_orientation(letters: str, field: str = "assume_orientation") -> str:
  """Returns three letters such as "RAS" in capitals; "" stays.

  Raises:
    InputError: not one letter of each of R/L, A/P and S/I.
  """
  wanted = {frozenset(pair) for pair in LETTERS}
  found = {frozenset(p) for c in letters.upper() for p in LETTERS if c in p}
  if letters and (len(letters) != 3 or found != wanted):
    raise InputError(
      f"{field} is {letters!r}",
      "give three letters, which say where the three stored axes run to: one "
      "of R and L, one of A and P, one of S and I, such as RAS or LPI",
    )
  return letters.upper()


def assumed_affine(
  letters: str, shape: Sequence[int], sizes: Sequence[float]
) -> np.ndarray:
  """Returns [4 4], stored index -> RAS mm, its origin the grid's middle.

  Args:
    letters: where the three stored axes run to, from `check_orientation`.
    shape: number of voxels along them.
    sizes: distance of neighbours along them in mm.
  """
  affine = np.diag([0.0, 0, 0, 1])
  for axis, letter in enumerate(letters):
    world = next(i for i, pair in enumerate(LETTERS) if letter in pair)
    sign = 1 if letter == LETTERS[world][1] else -1
    affine[world, axis] = sign * sizes[axis]
  affine[:3, 3] = affine[:3, :3] @ (1 - np.array(shape)) / 2
  return affine
