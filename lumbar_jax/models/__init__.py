"""Every network by its name: `build(name, num_classes, **overrides)`."""

import dataclasses
from typing import Any

import flax.linen as nn

from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.models.fcn import FCN8
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.topology import TOPOLOGIES, Recipe, Topology
from lumbar_jax.models.unet import Outputs, UNet

__all__ = ["Outputs", "build", "module", "names", "topology"]

_MODULES = {Topology: UNet, Recipe: FCN8}  # a row's class -> its interpreter
_NETWORK_FIELDS = {"width", "dropout", "remat"}


def names() -> tuple[str, ...]:
  """Returns every name that `build` takes."""
  return tuple(TOPOLOGIES)


def topology(name: str) -> Recipe:
  """Returns a row of Table 3 by its name: a `Topology` if it is a U-Net.

  Raises:
    InputError: no such name.
  """
  if name not in TOPOLOGIES:
    raise InputError(
      f"unknown topology {name!r}",
      did_you_mean(name, names()) + f"there are {', '.join(names())}",
    )
  return TOPOLOGIES[name]


def module(name: str) -> type[nn.Module]:
  """Returns the class of a network; see its size_multiple, and dropout.

  Raises:
    InputError: no such name.
  """
  return _MODULES[type(topology(name))]


def _check_overrides(name: str, overrides: dict[str, Any], allowed) -> None:
  for field in overrides:
    if field not in allowed:
      raise InputError(
        f"unknown override {field!r} of network {name}",
        did_you_mean(field, allowed)
        + f"there are {', '.join(sorted(allowed))}",
      )


def build(name: str, num_classes: int, **overrides: Any) -> nn.Module:
  """Builds a network.

  Args:
    name: one of `names()`.
    num_classes: classes, background included.
    **overrides: fields of the row (of a U-Net's `Topology`: vgg_cap=True ...),
      of `LayerStyle` (dtype=jnp.bfloat16 ...) or of the module (width, dropout,
      remat).

  Returns:
    A Flax module with `apply(variables, images, train) -> Outputs`.

  Raises:
    InputError: an unknown name or override.
  """
  row, network = topology(name), module(name)
  row_fields = {f.name for f in dataclasses.fields(row)}
  style_fields = {f.name for f in dataclasses.fields(LayerStyle)}
  _check_overrides(name, overrides, row_fields | style_fields | _NETWORK_FIELDS)

  def pick(fields):
    return {k: v for k, v in overrides.items() if k in fields}

  row = dataclasses.replace(row, **pick(row_fields))
  style = LayerStyle(
    **{
      "activation": row.activation,
      "prelu_per_pixel": row.prelu_per_pixel,
      **pick(style_fields),
    }
  )
  options = {"style": style, **pick(_NETWORK_FIELDS)}
  if network is UNet:
    options["topology"] = row
  return network(num_classes=num_classes, **options)
