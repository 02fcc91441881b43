"""The networks of paper 002 as data: a row each.

A plain name is the network that the paper measured (its Table 3), `_official`
the one that its authors published, where the two differ. To add a network, add
a row.
"""

import dataclasses
from typing import Any

import flax.linen as nn

from lumbar_jax.models.topology import Recipe


@dataclasses.dataclass(frozen=True)
class ReviewRow(Recipe):
  """A network of paper 002.

  Attributes:
    network: its class.
    options: fields of the class that differ from their defaults.
    learning_rate: paper 002, section 4.2.
  """

  network: type[nn.Module] = None
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  learning_rate: float = 5e-4


def _row(network: type[nn.Module], **options: Any) -> ReviewRow:
  return ReviewRow(network=network, options=options)


REVIEW: dict[str, ReviewRow] = {}
