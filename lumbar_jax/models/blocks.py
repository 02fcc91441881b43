"""The interchangeable blocks of paper 000, section 4.1 (and its Figure 4)."""

import flax.linen as nn
import jax

from lumbar_jax.models.joining import join_channels
from lumbar_jax.models.layers import (
  Activation,
  LayerStyle,
  batch_norm,
  conv,
)


class ConvNormAct(nn.Module):
  """k x k convolution, batch normalisation, activation."""

  features: int
  style: LayerStyle
  kernel: int = 3

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = conv(self.features, self.kernel, self.style, name="conv")(x)
    x = batch_norm(self.style, train, name="norm")(x)
    return Activation(self.style, name="act")(x)


class UBlock(nn.Module):
  """U: two times 3 x 3 convolution, batch normalisation, activation.

  Section 4.1.1 (i). The text can be read as conv-conv-norm-act; the first
  author's own code has the normalisation after each convolution.
  """

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = ConvNormAct(self.features, self.style, name="conv_1")(x, train)
    return ConvNormAct(self.features, self.style, name="conv_2")(x, train)


class VBlock(nn.Module):
  """V: two or three 3 x 3 convolutions as in VGG16; section 4.1.1 (ii).

  The text mentions no batch normalisation; `norm` adds one after each
  convolution.
  """

  features: int
  style: LayerStyle
  num_convs: int = 2
  norm: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    for i in range(1, self.num_convs + 1):
      x = conv(self.features, 3, self.style, name=f"conv_{i}")(x)
      if self.norm:
        x = batch_norm(self.style, train, name=f"norm_{i}")(x)
      x = Activation(self.style, name=f"act_{i}")(x)
    return x


class QBlock(nn.Module):
  """Q: dense block of three convolutions (5, 3, 1); section 4.1.1 (iii).

  Each convolution sees the block's input and all earlier outputs, after batch
  normalisation and activation, and gives the same number of channels.
  """

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    seen = x
    for i, kernel in enumerate((5, 3, 1), start=1):
      y = batch_norm(self.style, train, name=f"norm_{i}")(seen)
      y = Activation(self.style, name=f"act_{i}")(y)
      y = conv(self.features, kernel, self.style, name=f"conv_{i}")(y)
      seen = join_channels([seen, y])
    return y


class MultiKernel(nn.Module):
  """M: parallel 1, 3, 5 and 7 wide convolutions at the input; section 4.1.2.

  Attributes:
    features: channels of each branch; the output has four times as many.
    depth: convolutions in a branch. "Convolutional blocks" in the text may
      mean 2; section 5.2 and the Inception model it follows say 1.
  """

  features: int
  style: LayerStyle
  depth: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    branches = []
    for kernel in (1, 3, 5, 7):
      y = x
      for i in range(1, self.depth + 1):
        y = ConvNormAct(
          self.features, self.style, kernel, name=f"k{kernel}_{i}"
        )(y, train)
      branches.append(y)
    return join_channels(branches)


class AttentionGate(nn.Module):
  """A: weighs a skip connection by where the decoder looks; 4.1.4 (iii).

  sigmoid(conv1(relu(conv1(skip) + conv1(gate)))) multiplies the skip; all
  convolutions are 1 x 1 with bias.

  Attributes:
    features: inner channels; half of the level's by default (Oktay 2018).
  """

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, skip: jax.Array, gate: jax.Array) -> jax.Array:
    a = conv(self.features, 1, self.style, name="skip")(skip)
    b = conv(self.features, 1, self.style, name="gate")(gate)
    weight = conv(1, 1, self.style, name="weight")(nn.relu(a + b))
    return nn.sigmoid(weight) * skip
