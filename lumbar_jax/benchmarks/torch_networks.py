"""Whole networks of papers 000 and 004 in PyTorch; see `torch_blocks`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbar_jax.benchmarks.torch_blocks import (
  AttentionGate,
  Block,
  DeepSupervision,
  MultiKernel,
  QBlock,
  Up,
  conv,
)
from lumbar_jax.choices import check_choice
from lumbar_jax.models.block_table import ENCODERS
from lumbar_jax.models.fcn import FC_WIDTH, FCN8, VGG_WIDTHS
from lumbar_jax.models.unet import NUM_LEVELS, VGG_CONVS, UNet

_FUSIONS = ("skip", "attention", "ds1", "ds2")


class TorchUNet(nn.Module):
  """A U-Net variant."""

  def __init__(self, net: UNet, channels: int):
    super().__init__()
    self.topology, self.width = net.topology, net.width
    check_choice("fusion (PyTorch's twins)", net.topology.fusion, _FUSIONS)
    style, row = net.style, net.topology
    widths = [net.level_width(n) for n in range(1, NUM_LEVELS + 1)]
    if row.multi_kernel:
      branch = net.width // row.multi_kernel_divisor
      self.multi_kernel = MultiKernel(
        channels, branch, style, row.multi_kernel_depth
      )
      channels = 4 * branch
    for level, width in enumerate(widths, start=1):
      block = self._block(row.encoder, channels, width, style, level)
      self.add_module(f"encoder_{level}", block)
      channels = width
    if row.fusion in ("ds1", "ds2"):
      self.ds1 = DeepSupervision(widths, net.width)
    for level in range(NUM_LEVELS - 1, 0, -1):
      width = widths[level - 1]
      up = Up(widths[level], width, row.up_kernel, stride=2)
      self.add_module(f"up_{level}", up)
      if row.fusion == "attention":
        gate = AttentionGate(width, max(width // row.gate_divisor, 1))
        self.add_module(f"gate_{level}", gate)
      skip = net.width if row.fusion in ("ds1", "ds2") else width
      kind = ENCODERS[row.encoder].decoder
      block = self._block(kind, skip + width, width, style, level)
      self.add_module(f"decoder_{level}", block)
    if row.ds3:
      deep = widths if row.ds3_from_bottleneck else widths[:-1]
      self.ds3 = DeepSupervision(deep, net.width)
    self.classify = conv(
      net.width if row.ds3 else widths[0], net.num_classes, 1
    )

  def _block(self, kind, num_in, width, style, level) -> nn.Module:
    norm = "after" if self.topology.vgg_norm else ""
    twins = {
      "U": lambda: Block(num_in, width, style, 2, "inside"),
      "V": lambda: Block(num_in, width, style, VGG_CONVS[level - 1], norm),
      "Q": lambda: QBlock(num_in, width, style),
    }
    check_choice("the block's letter (PyTorch's twins)", kind, twins)
    return twins[kind]()

  def _skips(self, encoded: list[Tensor]) -> list[Tensor]:
    if self.topology.fusion not in ("ds1", "ds2"):
      return encoded[:-1]
    signals = self.ds1(encoded)[: NUM_LEVELS - 1]
    if self.topology.fusion == "ds2":
      combined = signals[:1]
      for signal in signals[1:]:
        combined.append(signal + F.max_pool2d(combined[-1], 2))
      return combined
    return signals

  def forward(self, x: Tensor) -> Tensor:
    """Maps images [b c h w] to logits [b k h w]."""
    if self.topology.multi_kernel:
      x = self.multi_kernel(x)
    encoded: list[Tensor] = []
    for level in range(1, NUM_LEVELS + 1):
      x = F.max_pool2d(x, 2) if level > 1 else x
      x = getattr(self, f"encoder_{level}")(x)
      encoded.append(x)
    skips, decoded = self._skips(encoded), []
    for level in range(NUM_LEVELS - 1, 0, -1):
      up = getattr(self, f"up_{level}")(x)
      skip = skips[level - 1]
      if self.topology.fusion == "attention":
        skip = getattr(self, f"gate_{level}")(skip, up)
      x = getattr(self, f"decoder_{level}")(torch.cat([skip, up], dim=1))
      decoded.insert(0, x)
    if self.topology.ds3:
      start = encoded[-1:] if self.topology.ds3_from_bottleneck else []
      x = self.ds3([*decoded, *start])[0]
    return self.classify(x)


class TorchFCN8(nn.Module):
  """FCN8 on VGG16; dropout is left out: it is off in what is timed."""

  def __init__(self, net: FCN8, channels: int):
    super().__init__()
    for level, (factor, count) in enumerate(
      zip(VGG_WIDTHS, VGG_CONVS, strict=True), start=1
    ):
      width = factor * net.width
      block = Block(channels, width, net.style, count, "")
      self.add_module(f"encoder_{level}", block)
      channels = width
    wide, k = FC_WIDTH * net.width, net.num_classes
    self.fc6, self.fc7 = conv(channels, wide, 7), conv(wide, wide, 1)
    self.classify = nn.Module()
    for name, num_in in (("score", wide), ("score_4", channels)):
      self.classify.add_module(name, conv(num_in, k, 1))
    self.classify.add_module("score_3", conv(VGG_WIDTHS[2] * net.width, k, 1))
    for name, s in (("up_4", 2), ("up_3", 2), ("up_1", 8)):
      up = nn.ConvTranspose2d(k, k, 2 * s, s, padding=s // 2, bias=False)
      self.classify.add_module(name, up)

  def forward(self, x: Tensor) -> Tensor:
    """Maps images [b c h w] to logits [b k h w]."""
    pools = []
    for level in range(1, len(VGG_WIDTHS) + 1):
      x = F.max_pool2d(getattr(self, f"encoder_{level}")(x), 2)
      pools.append(x)
    x = F.relu(self.fc7(F.relu(self.fc6(x))))
    fuse = self.classify
    x = fuse.up_4(fuse.score(x)) + fuse.score_4(pools[3])
    x = fuse.up_3(x) + fuse.score_3(pools[2])
    return fuse.up_1(x)
