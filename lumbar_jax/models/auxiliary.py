"""What a network says of its auxiliary outputs: their targets and weights.

A network with further outputs has an attribute or property `auxiliary_losses`,
{name in Outputs.auxiliary: AuxiliaryLoss}. Training adds them to the loss of
the logits; networks without the attribute are trained on the logits alone.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn

from lumbar_jax.choices import check_choice, check_number

KINDS = ("segmentation", "edge", "presence")


@dataclasses.dataclass(frozen=True)
class AuxiliaryLoss:
  """The target of one auxiliary output, and its share in the loss.

  Attributes:
    kind: "segmentation": logits [b h w k] at the labels' size, under the run's
      own loss; "edge": logits [b h w 1], binary cross-entropy against the
      borders between classes; "presence": logits [b k], binary cross-entropy
      against the classes that an image has.
    weight: factor beside the loss of the network's logits, which has 1.
  """

  kind: str
  weight: float = 1.0

  def __post_init__(self):
    check_choice("kind", self.kind, KINDS)
    check_number("weight", self.weight, 0)


def declared(net: nn.Module) -> Mapping[str, AuxiliaryLoss]:
  """Returns what a network declares, {} if nothing."""
  return getattr(net, "auxiliary_losses", {})
