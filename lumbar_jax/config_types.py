"""Every field of a configuration has the type of its default, and is finite."""

from typing import Any

from lumbar_jax import config as config_lib
from lumbar_jax.choices import check_bool, check_number
from lumbar_jax.errors import InputError

# Lists that are empty by default -> the type of what they hold, if no texts.
_EMPTY = {"training.class_weights": float, "ensemble.weights": float}
# Lists of as many numbers as the default has.
_PAIRS = tuple(
  f"augmentation.{name}" for name in ("zoom", "ghosts", "ghost_intensity")
)


def check_types(flat: dict[str, Any]) -> None:
  """Checks the types of a config's fields.

  Args:
    flat: what `config.flatten` returns; fields without a default are left out.

  Raises:
    InputError: names the field, its value and what it must be.
  """
  for field, default in config_lib.flatten(config_lib.default()).items():
    if field in flat and not isinstance(default, dict):
      _check(f"config.{field}", field, flat[field], default)


def _check(what: str, field: str, value: Any, default: Any) -> None:
  if not isinstance(default, list):
    _check_one(what, value, type(default))
    return
  if not isinstance(value, list):
    raise InputError(f"{what} is {value!r}", "it must be a list: a,b")
  kind = type(default[0]) if default else _EMPTY.get(field, str)
  if field in _PAIRS and len(value) != len(default):
    raise InputError(
      f"{what} is {tuple(value)!r}", f"it takes {len(default)} numbers"
    )
  for number, item in enumerate(value):
    _check_one(f"{what}[{number}]", item, kind)


def _check_one(what: str, value: Any, kind: type) -> None:
  if kind is bool:
    check_bool(what, value)
  elif kind in (int, float):
    check_number(what, value, whole=kind is int)
  elif not isinstance(value, str):
    raise InputError(f"{what} is {value!r}", "it must be a text")
