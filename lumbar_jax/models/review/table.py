"""The networks of paper 002 as data: a row each.

A plain name is the network that the paper measured (its Table 3), `_official`
the one that its authors published, where the two differ. To add a network, add
a row.
"""

import dataclasses
from typing import Any

import flax.linen as nn

from lumbar_jax.choices import check_choice
from lumbar_jax.errors import InputError
from lumbar_jax.models.review.attention_unet import AttentionUNet
from lumbar_jax.models.review.danet import DANet
from lumbar_jax.models.review.deeplab import DeepLab
from lumbar_jax.models.review.dense_aspp import DenseASPP
from lumbar_jax.models.review.emanet import EMANet
from lumbar_jax.models.review.infnet import InfNet
from lumbar_jax.models.review.miniseg import MiniSeg
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.psanet import PSANet
from lumbar_jax.models.review.pspnet import PSPNet
from lumbar_jax.models.review.resunet_plus import ResUNetPlus
from lumbar_jax.models.review.resunet_plus_official import OfficialResUNetPlus
from lumbar_jax.models.review.semseg import SemsegPSPNet
from lumbar_jax.models.review.transunet import TransUNet
from lumbar_jax.models.review.transunet_official import OfficialTransUNet
from lumbar_jax.models.review.unet import BilinearUNet
from lumbar_jax.models.topology import Recipe


@dataclasses.dataclass(frozen=True)
class ReviewRow(Recipe):
  """A network of paper 002.

  Attributes:
    network: its class.
    source: the public implementation that it equals.
    options: fields of the class that differ from their defaults.
    learning_rate: paper 002, section 4.2.
  """

  network: type[nn.Module] = None
  source: str = ""
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  learning_rate: float = 5e-4

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: no network, or an option that it does not have or that has a
        value that it cannot have.
    """
    super().__post_init__()
    if not (
      isinstance(self.network, type) and issubclass(self.network, Network)
    ):
      raise InputError(
        f"network is {self.network!r}", "give a class of models/review"
      )
    fields = [field.name for field in dataclasses.fields(self.network)]
    for name in self.options:
      check_choice(f"an option of {self.network.__name__}", name, fields)
    self.network(num_classes=1, **self.options)  # it checks their values


def _row(network: type[nn.Module], source: str, **options: Any) -> ReviewRow:
  return ReviewRow(network=network, source=source, options=options)


REVIEW: dict[str, ReviewRow] = {
  "U-Net": _row(BilinearUNet, "milesial/Pytorch-UNet of 2019, bilinear"),
  "AttentionU-Net": _row(AttentionUNet, "LeeJunHyun/Image_Segmentation"),
  "ResUNet++": _row(ResUNetPlus, "rishikksh20/ResUnet, 32 to 512 filters"),
  "TransUNet": _row(TransUNet, "The-AI-Summer/self-attention-cv, patches of 1"),
  "MiniSeg": _row(MiniSeg, "yun-liu/MiniSeg without auxiliary heads"),
  "PSPNet": _row(PSPNet, "Lextal/pspnet-pytorch, ResNet34"),
  "DeepLabv3+": _row(DeepLab, "jfzhang95/pytorch-deeplab-xception, ResNet101"),
  "DenseASPP": _row(DenseASPP, "DeepMotionAIResearch/DenseASPP, stride 16"),
  "DANet": _row(DANet, "junfu1115/DANet's head, ResNet101 of stride 32"),
  "EMANet": _row(EMANet, "XiaLiPKU/EMANet, ResNet101 of stride 8"),
  "Inf-Net": _row(InfNet, "DengPingFan/Inf-Net, Res2Net101 of stride 16"),
  "PSANet": _row(PSANet, "hszhao/semseg, ResNet101, without auxiliary head"),
  "ResUNet++_official": _row(
    OfficialResUNetPlus, "DebeshJha/ResUNetPlusPlus, 16 to 256 filters"
  ),
  "TransUNet_official": _row(
    OfficialTransUNet, "Beckschen/TransUNet, R50-ViT-B_16"
  ),
  "MiniSeg_official": _row(MiniSeg, "yun-liu/MiniSeg", auxiliary_heads=True),
  "PSPNet_official": _row(SemsegPSPNet, "hszhao/semseg, ResNet101"),
  "PSANet_official": _row(
    PSANet, "hszhao/semseg, ResNet101", auxiliary_heads=True
  ),
  "DenseASPP_official": _row(
    DenseASPP, "DeepMotionAIResearch/DenseASPP, stride 8", output_stride=8
  ),
  "DANet_official": _row(
    DANet, "junfu1115/DANet, ResNet101 of stride 8", output_stride=8
  ),
  "Inf-Net_official": _row(
    InfNet, "DengPingFan/Inf-Net, Res2Net101 of stride 32", output_stride=32
  ),
}
