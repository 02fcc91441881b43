"""EMANet (Li et al. 2019): maps rebuilt from few bases, found by EM."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lumbar_jax.models.layers import LayerStyle, batch_norm
from lumbar_jax.models.review.layers import (
  ConvNormAct,
  conv,
  dropout_maps,
  scaled,
  score,
)
from lumbar_jax.models.review.network import Network
from lumbar_jax.models.review.resizing import resize
from lumbar_jax.models.review.resnet import EMANET_8, ResNet
from lumbar_jax.models.unet import Outputs

STEM = (64, 64, 128)
_TINY = 1e-6  # of the public code, in every division


def _unit(bases: jax.Array) -> jax.Array:
  """Scales bases [.. c r] to length 1 along their channels."""
  return bases / (_TINY + jnp.linalg.norm(bases, axis=-2, keepdims=True))


def _first_bases(key, shape) -> jax.Array:
  return _unit(nn.initializers.he_normal()(key, shape))


class ExpectationMaximisation(nn.Module):
  """x plus what a few bases say of it (the EMA unit).

  The bases are no parameters: the collection "bases" keeps a running mean of
  what the iterations find in each batch of the training.

  Attributes:
    style: what all layers share.
    num_bases: bases, k in the paper.
    num_iterations: of expectation and maximisation.
    momentum: share of the old bases kept per step.
    gradient: let gradients through the iterations. The public code does not:
      its first convolution is never trained.
  """

  style: LayerStyle
  num_bases: int = 64
  num_iterations: int = 3
  momentum: float = 0.9
  gradient: bool = False

  def _iterate(self, x: jax.Array, bases: jax.Array):
    """Returns weights [b n r] and bases [b c r] of x [b n c]."""
    for _ in range(self.num_iterations):
      weights = nn.softmax(jnp.einsum("bnc,bcr->bnr", x, bases))
      share = weights / (_TINY + weights.sum(1, keepdims=True))
      bases = _unit(jnp.einsum("bnc,bnr->bcr", x, share))
    return weights, bases

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    channels = x.shape[-1]
    y = conv(channels, 1, self.style, name="conv1")(x)
    flat = y.reshape(len(y), -1, channels).astype(jnp.float32)
    if not self.gradient:
      flat = lax.stop_gradient(flat)
    kept = self.variable(
      "bases",
      "mu",
      lambda: _first_bases(self.make_rng("params"), (channels, self.num_bases)),
    )
    first = jnp.broadcast_to(kept.value, (len(x), *kept.value.shape))
    weights, bases = self._iterate(flat, first)
    if train and not self.is_initializing():
      new = lax.stop_gradient(bases).mean(0)
      kept.value = self.momentum * kept.value + (1 - self.momentum) * new
    y = nn.relu(jnp.einsum("bnr,bcr->bnc", weights, bases))
    y = y.reshape(x.shape).astype(x.dtype)
    y = conv(channels, 1, self.style, bias=False, name="conv2")(y)
    return nn.relu(batch_norm(self.style, train, name="norm")(y) + x)


class EMANet(Network):
  """Expectation-maximisation attention network on a ResNet101, stride 8.

  The public code's BatchNorm momentum, of the whole network, is .9997.

  Attributes:
    dropout: rate of maps before the classification.
    em_gradient: let gradients through the EM iterations; see
      `ExpectationMaximisation`.
  """

  dropout: tuple[float] = (0.1,)
  em_gradient: bool = False

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c]."""
    style, width = self.style, self.width
    *_, x = ResNet(
      101, width, style, EMANET_8, STEM, remat=self.remat, name="backbone"
    )(images.astype(style.dtype), train)
    x = ConvNormAct(scaled(512, width), style, name="reduce")(x, train)
    x = ExpectationMaximisation(
      style,
      num_bases=scaled(64, width),
      gradient=self.em_gradient,
      name="attention",
    )(x, train)
    x = ConvNormAct(scaled(256, width), style, name="mix")(x, train)
    x = dropout_maps(self.dropout[0], x, train)
    x = score(self.num_classes, style, name="classify")(x)
    return Outputs(resize(x, images.shape[1:3], align_corners=True))
