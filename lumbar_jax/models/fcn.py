"""FCN8 on VGG16, the baseline of papers 000 and 004, with scalable width.

Neither paper specifies it beyond its name; this is voc-fcn8s (Long et al. 2015)
with "same" padding instead of 100 pixels around the image: as many parameters,
a third of the arithmetic.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lumbar_jax.models.blocks import VBlock
from lumbar_jax.models.checking import check_network
from lumbar_jax.models.layers import (
  NHWC,
  Activation,
  LayerStyle,
  conv,
  max_pool,
)
from lumbar_jax.models.unet import VGG_CONVS, Outputs, check_size

VGG_WIDTHS = (1, 2, 4, 8, 8)  # times m; VGG16's 64 .. 512 where m = 64
FC_WIDTH = 64  # times m; VGG16's 4096


def bilinear_kernel(key, shape, dtype=jnp.float32) -> jax.Array:
  """Initialises a kernel [2s 2s k k] to linear interpolation by s.

  Each score is upsampled by itself (Long et al. 2015, section 3.3).
  """
  del key  # nothing is drawn; Flax hands every initialiser one
  size, _, num_in, num_out = shape
  tent = 1 - jnp.abs(jnp.arange(size) - (size - 1) / 2) / (size // 2)
  each = jnp.eye(num_in, num_out)
  return jnp.einsum("i,j,km->ijkm", tent, tent, each).astype(dtype)


@jax.jit
def upsampling_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Transposed convolution, 2s wide, with stride s: s times the size.

  Alignment of Keras' Conv2DTranspose(2s, s, "same"): y[s p + j - s/2] +=
  x[p] w[j]. An output sees two inputs along each axis, so one 2 x 2 convolution
  gives all s x s phases and no zeros are multiplied.

  Args:
    x: [b h w c].
    kernel: [2s 2s c m] with even s, spatially flipped against Keras as in
      `flax.linen.ConvTranspose`.

  Returns:
    [b s*h s*w m].
  """
  size, _, num_in, num_out = kernel.shape
  s = size // 2
  taps = kernel.reshape(2, s, 2, s, num_in, num_out)[:, ::-1, :, ::-1]
  taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, num_in, -1)
  y = lax.conv_general_dilated(
    x, taps, (1, 1), ((1, 1), (1, 1)), dimension_numbers=NHWC
  )
  b, h, w, _ = y.shape
  y = y.reshape(b, h, w, s, s, num_out).transpose(0, 1, 3, 2, 4, 5)
  y = y.reshape(b, h * s, w * s, num_out)
  return y[:, s // 2 : -s // 2, s // 2 : -s // 2]


class Upsampling(nn.Module):
  """Learnt upsampling of scores by a factor, without bias.

  Parameters as in `flax.linen.ConvTranspose`; linear interpolation at first.
  """

  factor: int

  transposed = True  # its kernel, see fingerprints.py

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    size, channels = 2 * self.factor, x.shape[-1]
    shape = (size, size, channels, channels)
    return upsampling_conv(x, self.param("kernel", bilinear_kernel, shape))


class FuseScores(nn.Module):
  """Scores of three depths, summed from the coarsest up, at full size.

  Long et al. 2015, section 4.2: everything whose shape depends on the classes.
  """

  num_classes: int
  style: LayerStyle

  @nn.compact
  def __call__(self, pool3, pool4, deep) -> jax.Array:
    """Computes scores [b 8h 8w k] of maps [b h w c], [b h/2 ..], [b h/4 ..]."""

    def score(x, name):
      return conv(self.num_classes, 1, self.style, name=name)(x)

    x = Upsampling(2, name="up_4")(score(deep, "score"))
    x = Upsampling(2, name="up_3")(x + score(pool4, "score_4"))
    return Upsampling(8, name="up_1")(x + score(pool3, "score_3"))


class FCN8(nn.Module):
  """FCN8 on VGG16 without batch normalisation.

  Attributes:
    num_classes: classes, background included.
    width: m, the channels of the first block; the last has 8 m, the two fully
      connected layers (as convolutions) 64 m.
    style: what all layers share.
    dropout: rates after the first and the second fully connected layer.
    remat: recompute each block in the backward pass instead of keeping it.
  """

  num_classes: int
  width: int = 64
  style: LayerStyle = LayerStyle()
  dropout: tuple[float, float] = (0.5, 0.5)
  remat: bool = False

  size_multiple = 2 ** len(VGG_WIDTHS)  # of an image's rows and columns

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them makes no sense.
    """
    super().__post_init__()
    check_network(self)

  def _encode(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns the maps after each of the five poolings."""
    block = nn.remat(VBlock, static_argnums=(2,)) if self.remat else VBlock
    pools = []
    for level, (factor, count) in enumerate(
      zip(VGG_WIDTHS, VGG_CONVS, strict=True), start=1
    ):
      x = block(
        factor * self.width, self.style, count, name=f"encoder_{level}"
      )(x, train)
      x = max_pool(x)
      pools.append(x)
    return pools

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
    """Computes logits [b h w k] of images [b h w c].

    Raises:
      InputError: h or w is not a multiple of 32.
    """
    check_size(images.shape[1], images.shape[2], self.size_multiple)
    pools = self._encode(images.astype(self.style.dtype), train)
    x = pools[-1]
    for i, (kernel, rate) in enumerate(
      zip((7, 1), self.dropout, strict=True), start=6
    ):
      x = conv(FC_WIDTH * self.width, kernel, self.style, name=f"fc{i}")(x)
      x = Activation(self.style, name=f"act{i}")(x)
      x = nn.Dropout(rate, deterministic=not train)(x)
    # Scores, and the sums in their bias' gradient, want full precision.
    precise = dataclasses.replace(self.style, dtype=jnp.float32)
    fuse = FuseScores(self.num_classes, precise, name="classify")
    return Outputs(fuse(pools[2], pools[3], x))
