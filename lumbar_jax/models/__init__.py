"""Every network by its name: `build(name, num_classes, **overrides)`."""

import dataclasses
from typing import Any

import flax.linen as nn

from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.models import checking
from lumbar_jax.models.fcn import FCN8
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.table import REVIEW, ReviewRow
from lumbar_jax.models.topology import TOPOLOGIES, Recipe, Topology
from lumbar_jax.models.unet import Outputs, UNet

__all__ = ["Outputs", "build", "fixes_size", "module", "names", "topology"]

# Paper -> its networks; a name is of one paper alone.
PAPERS: dict[str, dict[str, Recipe]] = {"000": TOPOLOGIES, "002": REVIEW}
_ROWS = {name: row for rows in PAPERS.values() for name, row in rows.items()}
_STYLE_FIELDS = {field.name for field in dataclasses.fields(LayerStyle)}
# Fields of a module that `build` gives itself.
_NO_OVERRIDES = {"parent", "name", "num_classes", "style", "topology"}


def names(paper: str = "") -> tuple[str, ...]:
  """Returns every name that `build` takes, or those of one paper.

  Args:
    paper: "000" (and its slides, 004), "002", or "" for all.
  """
  return tuple(PAPERS[paper] if paper else _ROWS)


def topology(name: str) -> Recipe:
  """Returns a network's row: a `Topology` if it is a U-Net of paper 000.

  Raises:
    InputError: no such name.
  """
  if name not in _ROWS:
    raise InputError(
      f"unknown topology {name!r}",
      did_you_mean(name, names()) + f"there are {', '.join(names())}",
    )
  return _ROWS[name]


def module(name: str) -> type[nn.Module]:
  """Returns the class of a network; see its size_multiple, and dropout.

  Raises:
    InputError: no such name.
  """
  row = topology(name)
  if isinstance(row, ReviewRow):
    return row.network
  return UNet if isinstance(row, Topology) else FCN8


def fixes_size(name: str) -> bool:
  """Returns whether a network takes images of the size it is built for alone.

  Raises:
    InputError: no such name.
  """
  return checking.fixes_size(module(name)) or topology(name).prelu_per_pixel


def _check_overrides(name: str, overrides: dict[str, Any], allowed) -> None:
  for field in overrides:
    if field not in allowed:
      raise InputError(
        f"unknown override {field!r} of network {name}",
        did_you_mean(field, allowed)
        + f"there are {', '.join(sorted(allowed))}",
      )


def _pick(overrides: dict[str, Any], fields) -> dict[str, Any]:
  return {k: v for k, v in overrides.items() if k in fields}


def _overrides_of_000(row: Recipe, overrides) -> dict[str, Any]:
  """Sorts overrides of a U-Net or FCN8 into its topology and its style."""
  row_fields = {field.name for field in dataclasses.fields(row)}
  row = dataclasses.replace(row, **_pick(overrides, row_fields))
  style = {
    "activation": row.activation,
    "prelu_per_pixel": row.prelu_per_pixel,
    **_pick(overrides, _STYLE_FIELDS),
  }
  fields = {"style": LayerStyle(**style)}
  return {**fields, "topology": row} if isinstance(row, Topology) else fields


def _allowed(row: Recipe, network: type[nn.Module]) -> set[str]:
  """Returns the names of the overrides of a network."""
  own = {field.name for field in dataclasses.fields(network)} - _NO_OVERRIDES
  if isinstance(row, ReviewRow):  # whose activations are part of them
    return own | (_STYLE_FIELDS - {"activation", "prelu_per_pixel"})
  return own | _STYLE_FIELDS | {f.name for f in dataclasses.fields(row)}


def build(
  name: str, num_classes: int, image_size: int = 0, **overrides: Any
) -> nn.Module:
  """Builds a network.

  Args:
    name: one of `names()`.
    num_classes: classes, background included.
    image_size: rows and columns of the images; read by the networks alone whose
      parameters depend on it (PSANet, TransUNet). 0 is paper 002's, 880.
    **overrides: fields of the row (of a U-Net's `Topology`: vgg_cap=True ...),
      of `LayerStyle` (dtype=jnp.bfloat16 ...) or of the module (width, dropout,
      remat, of paper 002's networks output_stride ...).

  Returns:
    A Flax module with `apply(variables, images, train) -> Outputs`.

  Raises:
    InputError: an unknown name or override.
  """
  row, network = topology(name), module(name)
  allowed = _allowed(row, network)
  _check_overrides(name, overrides, allowed)
  if isinstance(row, ReviewRow):
    style = dataclasses.replace(TORCH, **_pick(overrides, _STYLE_FIELDS))
    fields = {**row.options, "style": style}
  else:
    fields = _overrides_of_000(row, overrides)
  if image_size and "image_size" in allowed:
    fields["image_size"] = image_size
  module_fields = {field.name for field in dataclasses.fields(network)}
  fields.update(_pick(overrides, module_fields))
  return network(num_classes=num_classes, **fields)
