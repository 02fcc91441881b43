"""Values that must be one of a few, and numbers that must lie in a range.

A misspelt value is never a default: whatever has such a field checks it where
it is built.
"""

import math
import numbers
from collections.abc import Iterable
from typing import Any

from lumbar_jax.errors import InputError, did_you_mean


def check_choice(what: str, value: Any, allowed: Iterable[Any]) -> None:
  """Checks that a value is one of those allowed.

  Args:
    what: whose value it is, as in "config.mode".
    value: the value; True is not 1, and 3.0 is not 3.
    allowed: what it may be.

  Raises:
    InputError: it is none of them; names the nearest.
  """
  allowed = tuple(allowed)
  for choice in allowed:
    alike = all(
      isinstance(value, kind) is isinstance(choice, kind)
      for kind in (bool, numbers.Integral)
    )
    if alike and value == choice:
      return
  raise InputError(
    f"{what} is {value!r}",
    did_you_mean(value, allowed) + f"allowed: {', '.join(map(repr, allowed))}",
  )


def check_bool(what: str, value: Any) -> None:
  """Raises InputError unless a value is True or False."""
  check_choice(what, value, (False, True))


def check_number(
  what: str,
  value: Any,
  low: float = -math.inf,
  high: float = math.inf,
  *,
  whole: bool = False,
  above: bool = False,
  below: bool = False,
) -> None:
  """Checks that a value is a finite number within a range.

  Args:
    what: whose value it is, as in "config.model.width".
    value: the value; True is no number.
    low: the least that it may be.
    high: the most that it may be.
    whole: whether it must be an integer.
    above: whether it must be above `low`, not `low` itself.
    below: whether it must be below `high`, not `high` itself.

  Raises:
    InputError: it is not.
  """
  wanted = numbers.Integral if whole else numbers.Real
  if not isinstance(value, wanted) or isinstance(value, bool):
    kind = "a whole number" if whole else "a number"
    raise InputError(f"{what} is {value!r}", f"it must be {kind}")
  inside = low < value <= high if above else low <= value <= high
  inside = inside and not (below and value == high)
  if not (inside and math.isfinite(value)):
    raise InputError(
      f"{what} is {value!r}",
      f"it must lie between {low:g} and {high:g}"
      + (f", {low:g} left out" if above else "")
      + (f", {high:g} left out" if below else "")
      + ("" if math.isfinite(value) else ", and be finite"),
    )


def check_numbers(
  what: str, values: Any, low: float = -math.inf, high: float = math.inf
) -> None:
  """Checks that a value is a list of finite numbers within a range.

  Raises:
    InputError: it is not.
  """
  if isinstance(values, str) or not isinstance(values, Iterable):
    raise InputError(f"{what} is {values!r}", "it must be a list of numbers")
  for value in values:
    check_number(what, value, low, high)
