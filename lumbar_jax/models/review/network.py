"""What every network of paper 002 has."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from lumbar_jax.errors import InputError
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import TORCH


class Network(nn.Module):
  """A network of paper 002; its class says what it is.

  Attributes:
    num_classes: classes, background included.
    width: 64 is the published network, whatever its first level has; all
      channels scale with it.
    style: what all layers share.
    remat: recompute the backbone's blocks in the backward pass instead of
      keeping them.
  """

  num_classes: int
  width: int = 64
  style: LayerStyle = TORCH
  remat: bool = False

  size_multiple = 1  # of an image's rows and columns

  def _maybe_remat(self, block: type[nn.Module]) -> type[nn.Module]:
    """Returns a block (x, train) that keeps only its input, if remat."""
    return nn.remat(block, static_argnums=(2,)) if self.remat else block


def choose(field: str, value: Any, options: Mapping[Any, Any]) -> Any:
  """Returns what a network's option stands for.

  Raises:
    InputError: it is none of the options.
  """
  if value not in options:
    raise InputError(
      f"{field} is {value!r}", f"allowed: {', '.join(map(repr, options))}"
    )
  return options[value]
