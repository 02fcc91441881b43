"""The networks of paper 002 as data: a row each.

A plain name is the network that the paper measured (its Table 3), `_official`
the one that its authors published, where the two differ. To add a network, add
a row.
"""

import dataclasses
from typing import Any

import flax.linen as nn

from lumbar_jax.models.review.danet import DANet
from lumbar_jax.models.review.deeplab import DeepLab
from lumbar_jax.models.review.dense_aspp import DenseASPP
from lumbar_jax.models.review.emanet import EMANet
from lumbar_jax.models.review.infnet import InfNet
from lumbar_jax.models.review.psanet import PSANet
from lumbar_jax.models.review.pspnet import PSPNet
from lumbar_jax.models.review.semseg import SemsegPSPNet
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


REVIEW: dict[str, ReviewRow] = {
  "PSPNet": _row(PSPNet),
  "DeepLabv3+": _row(DeepLab),
  "DenseASPP": _row(DenseASPP),
  "DANet": _row(DANet),
  "EMANet": _row(EMANet),
  "Inf-Net": _row(InfNet),
  "PSANet": _row(PSANet),
  "PSPNet_official": _row(SemsegPSPNet),
  "DenseASPP_official": _row(DenseASPP, output_stride=8),
  "DANet_official": _row(DANet, output_stride=8),
  "Inf-Net_official": _row(InfNet, output_stride=32),
}
