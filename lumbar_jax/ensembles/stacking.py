"""Stacking: merging the members' outputs, and the meta-learner on top.

Paper 000, section 4.2.2 and Figure 6b: layer merging, a dense layer with ReLU
(the meta-learner), a dense layer with softmax (the prediction), all per pixel.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.choices import check_choice
from lumbar_jax.ensembles.definitions import MERGES
from lumbar_jax.errors import InputError
from lumbar_jax.models import Outputs
from lumbar_jax.models.joining import join_channels


def merge(maps: Sequence[jax.Array], how: str) -> jax.Array:
  """Merges the members' maps [... m_r]: A average, C concatenate, S add.

  Raises:
    InputError: an unknown way, or maps of unequal width, which cannot be
      averaged or added.
  """
  check_choice("how maps are merged", how, MERGES)
  if how == "C":
    return join_channels(maps)
  widths = [x.shape[-1] for x in maps]
  if len(set(widths)) > 1:
    raise InputError(
      "members of unequal width cannot be averaged or added: they have "
      f"{', '.join(map(str, widths))} channels",
      "concatenate them (TCD), or leave the odd one out (FCN has no tensor "
      "of the others' width)",
    )
  total = sum(maps[1:], start=maps[0])
  return total / len(maps) if how == "A" else total


class StackingHead(nn.Module):
  """D: a dense ReLU layer and a dense softmax layer, applied to each pixel.

  Attributes:
    num_classes: classes, background included.
    hidden: units of the first layer. The paper does not give it.
  """

  num_classes: int
  hidden: int = 64

  @nn.compact
  def __call__(self, merged: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of merged maps [b h w m]."""
    del train  # nothing here differs in training
    merged = merged.astype(jnp.float32)
    hidden = nn.relu(
      nn.Dense(
        self.hidden, kernel_init=nn.initializers.he_normal(), name="hidden"
      )(merged)
    )
    logits = nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.glorot_uniform(),
      name="classify",
    )(hidden)
    return Outputs(logits, hidden)
