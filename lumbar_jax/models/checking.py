"""What all networks' fields must be; checked where a network is built."""

import dataclasses
from typing import Any

from lumbar_jax.choices import check_bool, check_choice, check_number
from lumbar_jax.errors import InputError

_COUNTS = ("num_classes", "width", "depth", "image_size")


def check_network(net: Any) -> None:
  """Checks the fields of a network.

  Args:
    net: a module with `num_classes` and `width`; with `choices`, {a field: what
      it may be}, where it has such fields.

  Raises:
    InputError: a field has a value that it cannot have.
  """
  what = type(net).__name__
  choices = getattr(net, "choices", {})
  for field in dataclasses.fields(net):
    value, label = getattr(net, field.name), f"{what}.{field.name}"
    if field.name in choices:
      check_choice(label, value, choices[field.name])
    elif field.name in _COUNTS:
      check_number(label, value, 1, whole=True)
    elif isinstance(field.default, bool):
      check_bool(label, value)
  places = getattr(type(net), "dropout", ())
  _check_rates(f"{what}.dropout", getattr(net, "dropout", ()), len(places))


def _check_rates(label: str, rates: Any, places: int) -> None:
  """Checks rates of dropout; a network takes a certain number of them."""
  if len(rates) != places:
    raise InputError(f"{label} is {rates!r}", f"it takes {places} rates")
  for rate in rates:
    check_number(label, rate, 0, 1)
    if rate == 1:
      raise InputError(f"{label} is {rates!r}", "a rate must be below 1")


def fixes_size(network: type) -> bool:
  """Whether a network's parameters are of images of one size alone."""
  return "image_size" in {field.name for field in dataclasses.fields(network)}
