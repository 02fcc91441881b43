"""Inf-Net (Fan et al. 2020): a coarse map, refined where it says background.

The authors' graph, with resizes by size instead of by factor, so that any size
works, and with any number of classes instead of one.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.review.infnet_blocks import (
  Edge,
  PartialDecoder,
  ReceptiveField,
  ReverseAttention,
)
from lumbar_jax.models.review.layers import scaled
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.res2net import res2net101
from lumbar_jax.models.review.resizing import resize
from lumbar_jax.models.review.resnet import STRIDE_32, Dilation
from lumbar_jax.models.unet import Outputs

# Output stride -> the backbone's strides.
STRIDES = {16: Dilation(strides=(1, 2, 2, 1)), 32: STRIDE_32}


class InfNet(Network):
  """Inf-Net on a Res2Net101.

  The logits are those of the last refinement. `Outputs.auxiliary` has the maps
  before it, "coarse", "refined_4" and "refined_3" [b h w k], each with the
  labels as its target, and "edge" [b h w 1 or k], whose target are the classes'
  borders. With one class all are scores of a sigmoid.

  Attributes:
    output_stride: of the backbone's last map: 16, as paper 002 measured it, or
      32, the authors' own.
    edge_per_class: an edge map for each class, not one in all.
    full_size: resize all maps to the images' size; else they are as small as
      they were computed.
  """

  dropout: tuple[()] = ()
  output_stride: int = 16
  edge_per_class: bool = False
  full_size: bool = True

  choices: ClassVar = {"output_stride": tuple(STRIDES)}

  @property
  def auxiliary_losses(self) -> dict[str, AuxiliaryLoss]:
    maps = dict.fromkeys(
      ("coarse", "refined_4", "refined_3"), AuxiliaryLoss("segmentation")
    )
    if self.edge_per_class:  # no target is defined for these
      return maps
    return {**maps, "edge": AuxiliaryLoss("edge")}

  def _refine(self, maps, coarse, edge, train: bool) -> list[jax.Array]:
    """Returns the maps after each refinement, of layer4, layer3 and layer2."""
    found, scores = [], coarse
    for level in (4, 3, 2):
      x = maps[level - 1]
      scores = ReverseAttention(
        self.num_classes,
        scaled(256 if level == 4 else 64, self.width),
        self.style,
        deep=level == 4,
        name=f"classify_{level}" if level > 2 else "classify",
      )(x, resize(scores, x.shape[1:3], False), edge, train)
      found.append(scores)
    return found

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, width, size = self.style, self.width, images.shape[1:3]
    maps = res2net101(
      width,
      style,
      STRIDES[self.output_stride],
      remat=self.remat,
      name="backbone",
    )(images.astype(style.dtype), train)
    num_edges = self.num_classes if self.edge_per_class else 1
    guide, edge = Edge(
      scaled(64, width), num_edges, style, name="classify_edge"
    )(maps[0], train)
    fields = [
      ReceptiveField(scaled(32, width), style, name=f"field_{level}")(
        maps[level - 1], train
      )
      for level in (4, 3, 2)
    ]
    coarse = PartialDecoder(
      self.num_classes, scaled(32, width), style, name="classify_coarse"
    )(*fields, train)
    found = self._refine(maps, coarse, guide, train)

    def full(x):
      x = x.astype(jnp.float32)
      return resize(x, size, align_corners=False) if self.full_size else x

    before = zip(
      ("coarse", "refined_4", "refined_3", "edge"),
      (coarse, *found[:2], edge),
      strict=True,
    )
    return Outputs(
      full(found[-1]), auxiliary={name: full(x) for name, x in before}
    )
