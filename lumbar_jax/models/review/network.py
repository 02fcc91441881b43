"""What every network of paper 002 has."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn

from lumbar_jax.models.checking import check_network
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
  choices: ClassVar[Mapping[str, Any]] = {}  # a field -> what it may be

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them makes no sense.
    """
    super().__post_init__()
    check_network(self)

  def _maybe_remat(self, block: type[nn.Module]) -> type[nn.Module]:
    """Returns a block (x, train) that keeps only its input, if remat."""
    return nn.remat(block, static_argnums=(2,)) if self.remat else block
