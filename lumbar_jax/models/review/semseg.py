"""What the public code of PSPNet's and PSANet's authors shares; its PSPNet.

github.com/hszhao/semseg: a ResNet101 of stride 8 with a deep stem, whose last
map is joined with its context before it is classified.
"""

import flax.linen as nn
import jax

from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.review.layers import (
  ConvNormAct,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.padding import crop_as, pad_to_multiple
from lumbar_jax.models.review.pspnet import BINS
from lumbar_jax.models.review.resizing import adaptive_avg_pool, resize
from lumbar_jax.models.review.resnet import SEMSEG_8, ResNet
from lumbar_jax.models.unet import Outputs

STEM = (64, 64, 128)


class SemsegNetwork(Network):
  """A network of the semseg code; subclasses give the context of a map.

  Images are padded to multiples of 8 and one more, where corners stay aligned.

  Attributes:
    dropout: rate of maps before each classification.
    auxiliary_heads: give `Outputs.auxiliary["stage_3"]`, scores [b h w k] of
      the third stage's map.
  """

  dropout: tuple[float] = (0.1,)
  auxiliary_heads: bool = False

  @property
  def auxiliary_losses(self) -> dict[str, AuxiliaryLoss]:
    if not self.auxiliary_heads:
      return {}
    return {"stage_3": AuxiliaryLoss("segmentation", weight=0.4)}

  def _context(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns a map of x's size [b h w m]."""
    raise NotImplementedError

  def _classify(self, x, features: int, name: str, train: bool) -> jax.Array:
    features = scaled(features, self.width)
    x = ConvNormAct(features, self.style, name=f"mix_{name}")(x, train)
    x = dropout_maps(self.dropout[0], x, train)
    return score(self.num_classes, self.style, name=name)(x)

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    padded = pad_to_multiple(images.astype(self.style.dtype), 8, 1)
    *_, middle, x = ResNet(
      101,
      self.width,
      self.style,
      SEMSEG_8,
      STEM,
      remat=self.remat,
      name="backbone",
    )(padded, train)

    def full(scores):
      scores = resize(scores, padded.shape[1:3], align_corners=True)
      return crop_as(scores, images)

    x = join_channels([x, self._context(x, train)])
    logits = full(self._classify(x, 512, "classify", train))
    if not self.auxiliary_heads:
      return Outputs(logits)
    stage_3 = full(self._classify(middle, 256, "classify_stage_3", train))
    return Outputs(logits, auxiliary={"stage_3": stage_3})


class SemsegPSPNet(SemsegNetwork):
  """Pyramid scene parsing network (Zhao et al. 2017), its authors' version."""

  auxiliary_heads: bool = True

  def _context(self, x: jax.Array, train: bool) -> jax.Array:
    size, features = x.shape[1:3], x.shape[-1] // len(BINS)
    maps = []
    for bins in BINS:
      y = adaptive_avg_pool(x, bins)
      y = ConvNormAct(features, self.style, 1, name=f"pool_{bins}")(y, train)
      maps.append(resize(y, size, align_corners=True))
    return join_channels(maps)
