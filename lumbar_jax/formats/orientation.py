"""Letters that say where the stored axes of a volume run to."""

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
