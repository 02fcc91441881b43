"""Every network by its name: `build(name, num_classes, **overrides)`."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.topology import TOPOLOGIES, Topology
from lumbar_jax.models.unet import Outputs, UNet

__all__ = ["Outputs", "build", "names", "topology"]

_TOPOLOGY_FIELDS = {f.name for f in dataclasses.fields(Topology)}
_STYLE_FIELDS = {f.name for f in dataclasses.fields(LayerStyle)}
_NETWORK_FIELDS = {"width", "dropout", "remat"}


def names() -> tuple[str, ...]:
  """Returns every name that `build` takes."""
  return tuple(TOPOLOGIES)


def topology(name: str) -> Topology:
  """Returns a topology by its name.

  Raises:
    InputError: no such name.
  """
  if name not in TOPOLOGIES:
    raise InputError(
      f"unknown topology {name!r}",
      did_you_mean(name, names()) + f"there are {', '.join(names())}",
    )
  return TOPOLOGIES[name]


def build(name: str, num_classes: int, **overrides: Any) -> nn.Module:
  """Builds a network.

  Args:
    name: one of `names()`.
    num_classes: classes, background included.
    **overrides: fields of `Topology` (vgg_cap=True ...), of `LayerStyle`
      (dtype=jnp.bfloat16 ...) or of `UNet` (width, dropout, remat).

  Returns:
    A Flax module with `apply(variables, images, train) -> Outputs`.

  Raises:
    InputError: an unknown name or override.
  """
  row = topology(name)
  allowed = _TOPOLOGY_FIELDS | _STYLE_FIELDS | _NETWORK_FIELDS
  for field in overrides:
    if field not in allowed:
      raise InputError(
        f"unknown override {field!r} of network {name}",
        did_you_mean(field, allowed)
        + f"there are {', '.join(sorted(allowed))}",
      )

  def pick(fields):
    return {k: v for k, v in overrides.items() if k in fields}

  row = dataclasses.replace(row, **pick(_TOPOLOGY_FIELDS))
  style = LayerStyle(
    **{
      "activation": row.activation,
      "prelu_per_pixel": row.prelu_per_pixel,
      "dtype": jnp.float32,
      **pick(_STYLE_FIELDS),
    }
  )
  return UNet(row, num_classes, style=style, **pick(_NETWORK_FIELDS))
