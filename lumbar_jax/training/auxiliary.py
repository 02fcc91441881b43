"""Losses of the auxiliary outputs that a network declares.

See `models.auxiliary` for what a network says of them.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.arrays import Labels, Logits
from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.training.losses import valid_pixels

LossFn = Callable[[Logits, Labels], jax.Array]


def class_edges(labels: Labels) -> Float[jax.Array, "b h w"]:
  """Returns 1 where the 3 x 3 pixels around one hold several classes.

  Label 255 is no class: it makes no edge, and is none.
  """
  counted = labels != IGNORE

  def extreme(values, start, pick):
    return jax.lax.reduce_window(
      values, start, pick, (1, 3, 3), (1, 1, 1), "SAME"
    )

  labels = labels.astype(jnp.int32)
  highest = extreme(jnp.where(counted, labels, -1), -1, jax.lax.max)
  lowest = extreme(labels, IGNORE, jax.lax.min)
  return ((highest > lowest) & counted).astype(jnp.float32)


def edge_loss(logits: Logits, labels: Labels) -> jax.Array:
  """Mean binary cross-entropy of [b h w 1] against `class_edges`.

  Inf-Net's edge loss (Fan et al. 2020, Eq. 1) for several classes.
  """
  valid = valid_pixels(labels)
  loss = optax.sigmoid_binary_cross_entropy(logits[..., 0], class_edges(labels))
  return (loss * valid).sum() / jnp.maximum(valid.sum(), 1.0)


def presence_loss(logits: Float[jax.Array, "b k"], labels: Labels) -> jax.Array:
  """Mean binary cross-entropy of [b k] against the classes an image has.

  Images in which nothing counts are left out.
  """
  truth = jax.nn.one_hot(labels, logits.shape[-1])  # 255: nowhere 1
  present = truth.max((1, 2))
  counted = valid_pixels(labels).max((1, 2))
  loss = optax.sigmoid_binary_cross_entropy(logits, present).mean(-1)
  return (loss * counted).sum() / jnp.maximum(counted.sum(), 1.0)


def _check(name, loss: AuxiliaryLoss, value, labels, num_classes: int) -> None:
  """Raises ValueError unless an output has the shape of its kind."""
  if loss.kind == "presence":
    wanted = (len(labels), num_classes)
  else:
    channels = {"segmentation": num_classes, "edge": 1}[loss.kind]
    wanted = (*labels.shape, channels)
  if value.shape != wanted:
    raise ValueError(
      f"auxiliary output {name!r} ({loss.kind}) is {value.shape}, not {wanted}"
    )


def auxiliary_loss(
  declared: Mapping[str, AuxiliaryLoss],
  maps: Mapping[str, jax.Array],
  labels: Labels,
  num_classes: int,
  loss_fn: LossFn,
) -> jax.Array:
  """Returns the weighted sum of the declared outputs' losses.

  Args:
    declared: {name: kind and weight}.
    maps: `Outputs.auxiliary`; those that are not declared have no part.
    labels: [b h w].
    num_classes: k.
    loss_fn: the run's own loss, for kind "segmentation".

  Raises:
    ValueError: a declared output is missing or has another shape.
  """
  losses = {
    "segmentation": loss_fn,
    "edge": edge_loss,
    "presence": presence_loss,
  }
  total = jnp.zeros((), jnp.float32)
  for name, loss in declared.items():
    if name not in maps:
      raise ValueError(
        f"auxiliary output {name!r} is missing; there are {sorted(maps)}"
      )
    _check(name, loss, maps[name], labels, num_classes)
    total += loss.weight * losses[loss.kind](maps[name], labels)
  return total
