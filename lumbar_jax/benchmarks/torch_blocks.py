"""The networks of papers 000 and 004 in PyTorch, as the peer to be timed.

Written as a PyTorch user would write them (NCHW, fused batch normalisation,
`max_pool2d`, `conv_transpose2d`), submodules named as ours, so that weights are
carried over by name. PyTorch is needed here alone and imported when used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbar_jax.choices import check_choice
from lumbar_jax.models.layers import LayerStyle


def _activation(style: LayerStyle, channels: int) -> nn.Module:
  if style.activation == "relu":
    return nn.ReLU(inplace=True)
  check_choice("activation (PyTorch's twins)", style.activation, ("prelu",))
  return nn.PReLU(channels, init=0.0)


def _norm(style: LayerStyle, channels: int) -> nn.Module:
  momentum = 1 - style.batchnorm_momentum
  return nn.BatchNorm2d(channels, style.batchnorm_epsilon, momentum)


def conv(num_in: int, num_out: int, kernel: int) -> nn.Module:
  """Returns a k x k convolution with bias and "same" padding."""
  return nn.Conv2d(num_in, num_out, kernel, padding=kernel // 2)


class ConvNormAct(nn.Module):
  """Convolution, batch normalisation, activation."""

  def __init__(self, num_in, features, style, kernel=3):
    super().__init__()
    self.conv = conv(num_in, features, kernel)
    self.norm, self.act = _norm(style, features), _activation(style, features)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [b c h w] to [b features h w]."""
    return self.act(self.norm(self.conv(x)))


class Block(nn.Module):
  """U or V: convolutions of one width, with batch normalisation or without."""

  def __init__(self, num_in, features, style, num_convs, norm):
    super().__init__()
    self.order = []
    for i in range(1, num_convs + 1):
      if norm == "inside":
        self._add(f"conv_{i}", ConvNormAct(num_in, features, style))
      else:
        self._add(f"conv_{i}", conv(num_in, features, 3))
        if norm == "after":
          self._add(f"norm_{i}", _norm(style, features))
        self._add(f"act_{i}", _activation(style, features))
      num_in = features

  def _add(self, name: str, layer: nn.Module) -> None:
    self.add_module(name, layer)
    self.order.append(name)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [b c h w] to [b features h w]."""
    for name in self.order:
      x = getattr(self, name)(x)
    return x


class QBlock(nn.Module):
  """Q: a dense block of three convolutions."""

  def __init__(self, num_in, features, style):
    super().__init__()
    for i, kernel in enumerate((5, 3, 1), start=1):
      self.add_module(f"norm_{i}", _norm(style, num_in))
      self.add_module(f"act_{i}", _activation(style, num_in))
      self.add_module(f"conv_{i}", conv(num_in, features, kernel))
      num_in += features

  def forward(self, x: Tensor) -> Tensor:
    """Maps [b c h w] to [b features h w]."""
    for i in (1, 2, 3):
      y = getattr(self, f"act_{i}")(getattr(self, f"norm_{i}")(x))
      y = getattr(self, f"conv_{i}")(y)
      x = torch.cat([x, y], dim=1)
    return y


class MultiKernel(nn.Module):
  """M: parallel 1, 3, 5 and 7 wide convolutions."""

  def __init__(self, num_in, features, style, depth):
    super().__init__()
    self.depth = depth
    for kernel in (1, 3, 5, 7):
      for i in range(1, depth + 1):
        layer = ConvNormAct(
          num_in if i == 1 else features, features, style, kernel
        )
        self.add_module(f"k{kernel}_{i}", layer)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [b c h w] to [b 4*features h w]."""
    branches = []
    for kernel in (1, 3, 5, 7):
      y = x
      for i in range(1, self.depth + 1):
        y = getattr(self, f"k{kernel}_{i}")(y)
      branches.append(y)
    return torch.cat(branches, dim=1)


class AttentionGate(nn.Module):
  """A: the skip connection weighed by where the decoder looks."""

  def __init__(self, channels, inner):
    super().__init__()
    self.skip, self.gate = conv(channels, inner, 1), conv(channels, inner, 1)
    self.weight = conv(inner, 1, 1)

  def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
    """Maps two [b c h w] to one."""
    a = F.relu(self.skip(skip) + self.gate(gate))
    return torch.sigmoid(self.weight(a)) * skip


class DeepSupervision(nn.Module):
  """DS.v1 and DS.v3."""

  def __init__(self, channels, features):
    super().__init__()
    for level, num_in in enumerate(channels, start=1):
      self.add_module(f"level_{level}", conv(num_in, features, 1))

  def forward(self, maps: list[Tensor]) -> list[Tensor]:
    """Maps a list, finest first, to one of `features` channels."""
    signals: list[Tensor] = []
    for level in range(len(maps), 0, -1):
      s = getattr(self, f"level_{level}")(maps[level - 1])
      if signals:
        s = s + F.interpolate(signals[0], scale_factor=2, mode="nearest")
      signals.insert(0, s)
    return signals


class Up(nn.ConvTranspose2d):
  """Transposed convolution with stride 2 and Keras' alignment."""

  def forward(self, x: Tensor) -> Tensor:
    """Maps [b c h w] to [b m 2h 2w]."""
    rows, columns = 2 * x.shape[2], 2 * x.shape[3]
    return super().forward(x)[:, :, :rows, :columns]
