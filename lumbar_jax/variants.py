"""Variants of a config file: `--config=configs/NAME.py:VARIANT`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from lumbar_jax.errors import InputError

T = TypeVar("T")


def pick_variant(variants: Mapping[str, T], variant: str, file: str) -> T:
  """Returns what a config file has under a variant's name.

  Args:
    variants: {name: what it stands for}.
    variant: the name that was asked for.
    file: path of the config file, for the message.

  Raises:
    InputError: there is no such variant.
  """
  if variant not in variants:
    raise InputError(
      f"configs/{Path(file).name} has no variant {variant!r}",
      f"there are {', '.join(variants)}",
    )
  return variants[variant]
