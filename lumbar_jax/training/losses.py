"""Losses of logits [b h w k] against labels [b h w], 255 left out."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.arrays import Labels, Logits

DICE_SMOOTHING = 1e-6
# The fields of `config.training` that `make_loss` reads.
LOSS_FIELDS = (
  *("cross_entropy", "dice", "structure", "class_weights"),
  *("dice_smoothing", "dice_absent"),
)
_NEIGHBOURHOOD = 31  # pixels aside, of the structure loss
_EMPHASIS = 5.0


def valid_pixels(labels: Labels) -> jax.Array:
  """Returns [b h w] float32: 1 where a label counts, 0 where it is 255."""
  return (labels != IGNORE).astype(jnp.float32)


def cross_entropy(
  logits: Logits, labels: Labels, class_weights: tuple[float, ...] = ()
) -> jax.Array:
  """Categorical cross-entropy, mean over the pixels that count.

  Paper 000, section 5.2. With class weights, the mean is weighted by the
  weight of each pixel's true class.

  Raises:
    ValueError: another number of weights than of classes.
  """
  if class_weights and len(class_weights) != logits.shape[-1]:
    raise ValueError(  # indexing would clamp
      f"{len(class_weights)} class weights for {logits.shape[-1]} classes"
    )
  valid = valid_pixels(labels)
  target = jnp.where(labels == IGNORE, 0, labels).astype(jnp.int32)
  if class_weights:
    valid = valid * jnp.asarray(class_weights, jnp.float32)[target]
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
  return (loss * valid).sum() / jnp.maximum(valid.sum(), 1e-12)


def soft_dice(
  logits: Logits,
  labels: Labels,
  smoothing: float = DICE_SMOOTHING,
  *,
  absent: bool = False,
) -> jax.Array:
  """1 - mean over classes of the soft Dice of the whole batch.

  Dice_c = (2 sum p g + e) / (sum p + sum g + e) with softmax scores p, one-hot
  truth g and e the smoothing (Milletari 2016, with plain sums in the
  denominator).

  Args:
    logits: [b h w k].
    labels: [b h w].
    smoothing: e.
    absent: whether classes that the batch's truth lacks are in the mean (paper
      002's loss as far as it is known: all classes, e = 1e-5).
  """
  k = logits.shape[-1]
  valid = valid_pixels(labels)[..., None]
  scores = jax.nn.softmax(logits, axis=-1) * valid
  truth = jax.nn.one_hot(labels, k) * valid
  axes = (0, 1, 2)
  total = (scores + truth).sum(axes)
  dice = (2 * (scores * truth).sum(axes) + smoothing) / (total + smoothing)
  if absent:
    return (1 - dice).mean()
  present = (truth.sum(axes) > 0).astype(jnp.float32)
  return 1 - (dice * present).sum() / jnp.maximum(present.sum(), 1.0)


def _surroundings(maps: jax.Array) -> jax.Array:
  """Returns sums over 31 x 31 pixels of [b h w k], zeros beyond the edges."""
  for window in ((1, _NEIGHBOURHOOD, 1, 1), (1, 1, _NEIGHBOURHOOD, 1)):
    maps = jax.lax.reduce_window(
      maps, 0.0, jax.lax.add, window, (1, 1, 1, 1), "SAME"
    )
  return maps


def structure(logits: Logits, labels: Labels) -> jax.Array:
  """Cross-entropy plus 1 - IoU, both with the weight on the structures' rims.

  Inf-Net's loss (Fan et al., IEEE Trans Med Imaging 2020, Eqs. 3 and 4): a
  pixel counts 1 + 5 |mean of g over 31 x 31 pixels - g|, g the one-hot truth
  of a class. Of several classes, the cross-entropy is the softmax one, weighted
  by the pixel's true class, and the IoU the mean over classes and images: with
  two classes that is the binary loss on both. Neighbours beyond the image's
  edge or with label 255 are left out of the mean.
  """
  k = logits.shape[-1]
  valid = valid_pixels(labels)[..., None]
  truth = jax.nn.one_hot(labels, k) * valid
  around = _surroundings(truth) / jnp.maximum(_surroundings(valid), 1.0)
  weight = (1 + _EMPHASIS * jnp.abs(around - truth)) * valid
  rim = (weight * truth).sum(-1)
  log_scores = (jax.nn.log_softmax(logits, axis=-1) * truth).sum(-1)
  entropy = -(rim * log_scores).sum((1, 2)) / jnp.maximum(rim.sum((1, 2)), 1.0)
  scores = jax.nn.softmax(logits, axis=-1)
  both = (scores * truth * weight).sum((1, 2))
  either = ((scores + truth) * weight).sum((1, 2)) - both
  iou = (both + 1) / (either + 1)
  return (entropy + (1 - iou).mean(-1)).mean()


def make_loss(config: Any):
  """Returns loss(logits, labels) from `config.training`'s weights."""
  weights = tuple(config.class_weights)

  def loss(logits: Logits, labels: Labels) -> jax.Array:
    total = jnp.zeros((), jnp.float32)
    if config.cross_entropy:
      total += config.cross_entropy * cross_entropy(logits, labels, weights)
    if config.dice:
      total += config.dice * soft_dice(
        logits, labels, config.dice_smoothing, absent=config.dice_absent
      )
    if config.structure:
      total += config.structure * structure(logits, labels)
    return total

  return loss
