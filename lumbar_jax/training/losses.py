"""Losses of logits [b h w k] against labels [b h w], 255 left out."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.arrays import Labels, Logits

DICE_SMOOTHING = 1e-6


def valid_pixels(labels: Labels) -> jax.Array:
  """Returns [b h w] float32: 1 where a label counts, 0 where it is 255."""
  return (labels != IGNORE).astype(jnp.float32)


def cross_entropy(
  logits: Logits, labels: Labels, class_weights: tuple[float, ...] = ()
) -> jax.Array:
  """Categorical cross-entropy, mean over the pixels that count.

  Paper 000, section 5.2. With class weights, the mean is weighted by the
  weight of each pixel's true class.
  """
  valid = valid_pixels(labels)
  target = jnp.where(labels == IGNORE, 0, labels).astype(jnp.int32)
  if class_weights:
    valid = valid * jnp.asarray(class_weights, jnp.float32)[target]
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
  return (loss * valid).sum() / jnp.maximum(valid.sum(), 1e-12)


def soft_dice(logits: Logits, labels: Labels) -> jax.Array:
  """1 - mean over classes of the soft Dice of the whole batch.

  Dice_c = (2 sum p g + e) / (sum p + sum g + e) with softmax scores p, one-hot
  truth g and e = 1e-6 (Milletari 2016, with plain sums in the denominator).
  Classes that the batch's truth lacks are left out of the mean.
  """
  k = logits.shape[-1]
  valid = valid_pixels(labels)[..., None]
  scores = jax.nn.softmax(logits, axis=-1) * valid
  truth = jax.nn.one_hot(labels, k) * valid
  axes = (0, 1, 2)
  total = (scores + truth).sum(axes)
  dice = (2 * (scores * truth).sum(axes) + DICE_SMOOTHING) / (
    total + DICE_SMOOTHING
  )
  present = (truth.sum(axes) > 0).astype(jnp.float32)
  return 1 - (dice * present).sum() / jnp.maximum(present.sum(), 1.0)


def make_loss(config: Any):
  """Returns loss(logits, labels) from `config.training`'s weights."""
  weights = tuple(config.class_weights)

  def loss(logits: Logits, labels: Labels) -> jax.Array:
    total = jnp.zeros((), jnp.float32)
    if config.cross_entropy:
      total += config.cross_entropy * cross_entropy(logits, labels, weights)
    if config.dice:
      total += config.dice * soft_dice(logits, labels)
    return total

  return loss
