"""Random MR artefacts of patches, on the device: noise, blur, motion, ghosts.

Paper 002, section 4.1, with TorchIO's definitions (Perez-Garcia et al., Comput
Methods Programs Biomed 2021) in two dimensions: RandomNoise, RandomBlur,
RandomMotion (Shaw et al. 2019) and RandomGhosting, in this order. As in
`augmentation`, `sample` draws and `apply` uses what was drawn. All channels of
a patch get the same; labels stay what they are.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from lumbar_jax.arrays import Images
from lumbar_jax.data import augmentation

_JITTER = 0.3  # of a movement's time, as a share of the time between two
_TRUNCATE = 4.0  # standard deviations at which a blur's kernel ends


@struct.dataclass
class Motion:
  """Movements during an acquisition.

  Attributes:
    angle_rad: [b m] of each movement, about the middle of the patch.
    shift_mm: [b m 2] rows and columns.
    times: [b m] ascending, from 0 to 1, when each begins.
    axis: [b] 0 or 1: whether the lines of k-space are acquired along the rows'
      or the columns' axis.
    on: [b] bool, whether there are any.
  """

  angle_rad: jax.Array
  shift_mm: jax.Array
  times: jax.Array
  axis: jax.Array
  on: jax.Array


@struct.dataclass
class Ghosts:
  """Ghosts of a periodic movement.

  Attributes:
    number: [b] int32, every so many lines of k-space are weakened.
    intensity: [b] from 0 to 1, by which share; 0: none.
    axis: [b] 0 or 1, along which they lie.
    restore: share of the lines, about the middle, that are left as they are.
  """

  number: jax.Array
  intensity: jax.Array
  axis: jax.Array
  restore: float = struct.field(pytree_node=False)


@struct.dataclass
class Artefacts:
  """The artefacts of a batch; None where a kind is switched off.

  Attributes:
    noise: [b] standard deviation.
    noise_key: JAX key of the noise itself.
    blur_mm: [b 2] standard deviation along rows and columns.
    motion: see `Motion`.
    ghosts: see `Ghosts`.
  """

  noise: jax.Array | None = None
  noise_key: jax.Array | None = None
  blur_mm: jax.Array | None = None
  motion: Motion | None = None
  ghosts: Ghosts | None = None


def wanted(config: Any) -> bool:
  """Returns whether `config.augmentation` switches any artefact on."""
  return any((config.noise, config.blur_mm, config.motions, config.ghosts[1]))


def sample(key: jax.Array, shape: tuple[int, ...], config: Any) -> Artefacts:
  """Draws the artefacts of a batch.

  Args:
    key: JAX key.
    shape: (b, h, w, ...) of the batch.
    config: `config.augmentation`. A kind whose strength is 0 is not drawn;
      each other one befalls a patch with `artefact_probability`.
  """
  noise, blur, motion, ghosts, noise_key = jax.random.split(key, 5)
  b, found = shape[0], Artefacts()
  if config.noise:
    std = config.noise * _uniform(noise, (b,))
    on = _on(noise, b, config)
    found = found.replace(noise=jnp.where(on, std, 0.0), noise_key=noise_key)
  if config.blur_mm:
    std = config.blur_mm * _uniform(blur, (b, 2))
    on = _on(blur, b, config)[:, None]
    found = found.replace(blur_mm=jnp.where(on, std, 0.0))
  if config.motions:
    found = found.replace(motion=_sample_motion(motion, b, config))
  if config.ghosts[1]:
    found = found.replace(ghosts=_sample_ghosts(ghosts, b, config))
  return found


def _uniform(key, shape, low: float = 0.0, high: float = 1.0) -> jax.Array:
  key = jax.random.fold_in(key, 0)
  return jax.random.uniform(key, shape, minval=low, maxval=high)


def _on(key, b: int, config: Any) -> jax.Array:
  key = jax.random.fold_in(key, 1)
  return jax.random.bernoulli(key, config.artefact_probability, (b,))


def _axis(key, b: int) -> jax.Array:
  return jax.random.bernoulli(jax.random.fold_in(key, 2), 0.5, (b,))


def _sample_motion(key: jax.Array, b: int, config: Any) -> Motion:
  count = config.motions
  turn, shift, time = jax.random.split(jax.random.fold_in(key, 3), 3)
  step = 1 / (count + 1)
  early = _uniform(time, (b, count), -_JITTER, _JITTER)
  return Motion(
    angle_rad=jnp.deg2rad(config.motion_deg)
    * _uniform(turn, (b, count), -1.0, 1.0),
    shift_mm=config.motion_mm * _uniform(shift, (b, count, 2), -1.0, 1.0),
    times=step * (1 + jnp.arange(count, dtype=jnp.float32)[None] + early),
    axis=_axis(key, b),
    on=_on(key, b, config),
  )


def _sample_ghosts(key: jax.Array, b: int, config: Any) -> Ghosts:
  few, many = config.ghosts
  number, strength = jax.random.split(jax.random.fold_in(key, 3))
  intensity = _uniform(strength, (b,), *config.ghost_intensity)
  return Ghosts(
    number=jax.random.randint(number, (b,), few, many + 1),
    intensity=jnp.where(_on(key, b, config), intensity, 0.0),
    axis=_axis(key, b),
    restore=config.ghost_restore,
  )


def apply(
  images: Images, artefacts: Artefacts, spacing_mm: Float[jax.Array, "b 2"]
) -> Images:
  """Gives patches their artefacts.

  Args:
    images: [b h w c], square where there is motion or ghosting.
    artefacts: what was drawn.
    spacing_mm: distance of neighbouring rows and columns of each patch.

  Returns:
    Images of the same shape and type; a patch that has none of an artefact is
    the same bit for bit.
  """
  if artefacts.noise is not None:
    noise = jax.random.normal(artefacts.noise_key, images.shape)
    images = images + artefacts.noise[:, None, None, None] * noise
  if artefacts.blur_mm is not None:
    images = blur(images, artefacts.blur_mm / spacing_mm)
  if artefacts.motion is not None:
    images = move(images, artefacts.motion, spacing_mm)
  if artefacts.ghosts is not None:
    images = add_ghosts(images, artefacts.ghosts)
  return images


def blur(images: Images, std_px: Float[jax.Array, "b 2"]) -> Images:
  """Convolves with a Gaussian, mirrored at the edges (scipy's `reflect`).

  Source: TorchIO Blur, which is scipy.ndimage.gaussian_filter.
  """
  _, h, w, _ = images.shape
  rows, columns = _blur_matrix(h, std_px[:, 0]), _blur_matrix(w, std_px[:, 1])
  options = {"precision": jax.lax.Precision.HIGHEST}
  images = jnp.einsum("bij,bjwc->biwc", rows, images, **options)
  return jnp.einsum("bij,bhjc->bhic", columns, images, **options)


def _blur_matrix(length: int, std_px: jax.Array) -> jax.Array:
  """Returns [b length length], the convolution along one axis.

  Pixel -1 is pixel 0 again, pixel -2 is pixel 1. A kernel reaches beyond the
  whole other side only where it is longer than the axis; it is cut there.
  """
  std_px = std_px[:, None, None]
  radius = jnp.floor(_TRUNCATE * std_px + 0.5)

  def weight(distance):
    exponent = -0.5 * jnp.square(distance / jnp.maximum(std_px, 1e-6))
    return jnp.where(jnp.abs(distance) <= radius, jnp.exp(exponent), 0.0)

  i = jnp.arange(length, dtype=jnp.float32)
  here, there = i[None, :, None], i[None, None, :]
  near = weight(here - there)
  mirrored = weight(here + there + 1) + weight(2 * length - 1 - here - there)
  matrix = near + mirrored
  return matrix / matrix.sum(-1, keepdims=True)


def move(
  images: Images, motion: Motion, spacing_mm: Float[jax.Array, "b 2"]
) -> Images:
  """Acquires each part of k-space from the patient as it lay at that time.

  The middle of k-space is of the patch as it is. Pixels are taken as square
  where they turn; beyond the edges lies the patch's minimum.

  Source: TorchIO Motion; its rotations are about the origin of the world.
  """
  count = motion.times.shape[1]
  poses = [images]
  for number in range(count):
    shift_px = motion.shift_mm[:, number] / spacing_mm
    poses.append(_moved(images, motion.angle_rad[:, number], shift_px))
  length = images.shape[1]
  line = jnp.arange(length, dtype=jnp.float32)[None, :, None]
  begin = jnp.floor(length * motion.times)[:, None]
  part = (line >= begin).sum(-1)  # [b length]
  middle = (motion.times <= 0.5).sum(-1, keepdims=True)  # the middle line's
  pose = jnp.where(part == 0, middle, part)
  pose = jnp.where(part == middle, 0, pose)
  shares = [pose == number for number in range(count + 1)]
  moved = _through_k_space(poses, shares, motion.axis)
  return jnp.where(motion.on[:, None, None, None], moved, images)


def _moved(images: Images, angle_rad, shift_px) -> Images:
  """Turns and shifts patches; the minimum of each lies beyond its edges."""
  _, h, w, _ = images.shape
  pose = augmentation.Affine(
    angle_rad, jnp.ones_like(shift_px), shift_px, jnp.zeros(len(images), bool)
  )
  y, x = augmentation.source(pose, h, w)
  inside = (y >= -0.5) & (y <= h - 0.5) & (x >= -0.5) & (x <= w - 0.5)
  y, x = jnp.clip(y, 0, h - 1), jnp.clip(x, 0, w - 1)
  found = augmentation.interpolate(images, y, x)
  lowest = images.min((1, 2), keepdims=True)
  return jnp.where(inside[..., None], found, lowest)


def add_ghosts(images: Images, ghosts: Ghosts) -> Images:
  """Weakens every n-th line of k-space, but those about its middle.

  Source: TorchIO Ghosting.
  """
  length = images.shape[1]
  line = jnp.arange(length)[None]
  middle = length // 2
  half = round(ghosts.restore * length) // 2
  kept = (line >= middle - half) & (line < middle + half) | (line == middle)
  weak = (line % ghosts.number[:, None] == 0) & ~kept
  share = jnp.where(weak, 1 - ghosts.intensity[:, None], 1.0)
  ghosted = _through_k_space([images], [share], ghosts.axis)
  on = ghosts.intensity > 0
  return jnp.where(on[:, None, None, None], ghosted, images)


def _through_k_space(poses, shares, axis: jax.Array) -> Images:
  """Returns the image whose k-space is the sum of shares of the poses'.

  Shares are the same for all of a line, so that one transform across the lines
  does: the other one would be undone.

  Args:
    poses: [b h w c] each.
    shares: [b h] each, lines in their order in k-space, the middle at h // 2.
    axis: [b] bool, whether the lines follow each other along the columns.

  Raises:
    ValueError: patches that are not square.
  """
  _, h, w, _ = poses[0].shape
  if h != w:
    raise ValueError(f"patches of {h} x {w} pixels; k-space lines need squares")
  turned = axis[:, None, None, None]

  def turn(images):
    return jnp.where(turned, jnp.swapaxes(images, 1, 2), images)

  total = 0.0
  for images, share in zip(poses, shares, strict=True):
    share = jnp.fft.ifftshift(share.astype(jnp.float32), axes=1)
    spectrum = jnp.fft.fft(turn(images), axis=1)
    total = total + share[:, :, None, None] * spectrum
  return turn(jnp.fft.ifft(total, axis=1).real)
