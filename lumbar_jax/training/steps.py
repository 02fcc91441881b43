"""Pure training and evaluation steps."""

import zlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from lumbar_jax import metrics
from lumbar_jax.data import artefacts, augmentation
from lumbar_jax.models.auxiliary import declared
from lumbar_jax.training.auxiliary import auxiliary_loss
from lumbar_jax.training.losses import valid_pixels
from lumbar_jax.training.state import TrainState

# images [b h w c], labels [b h w]; spacing_mm [b 2] where artefacts are drawn
Batch = dict[str, jax.Array]
_ARTEFACTS = zlib.crc32(b"artefacts")  # of their keys, whatever else is drawn


@struct.dataclass
class StepSums:
  """What a step adds to the epoch's figures.

  Attributes:
    loss: mean loss of the batch's logits, float32; auxiliary losses are not in
      it, so that it can be compared with an evaluation's.
    num_pixels: pixels that count, float32.
    confusion: [k k] int32 counts, rows are the truth.
    update_norm: L2 norm of the parameters' update, 0 in an evaluation.
  """

  loss: jax.Array
  num_pixels: jax.Array
  confusion: jax.Array
  update_norm: jax.Array


def _norm(tree: Any) -> jax.Array:
  squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree)]
  return jnp.sqrt(sum(squares, jnp.zeros(())))


def _sums(loss, logits, labels, updates=None) -> StepSums:
  k = logits.shape[-1]
  return StepSums(
    loss.astype(jnp.float32),
    valid_pixels(labels).sum(),
    metrics.confusion(labels, jnp.argmax(logits, -1), k),
    _norm(updates),
  )


def _keys(seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns a step's keys of (augmentation, dropout)."""
  key = jax.random.fold_in(jax.random.key(seed), step)
  draw, drop = jax.random.split(key)
  return draw, drop


def augment_batch(
  seed: jax.Array, step: jax.Array, batch: Batch, augment: Any
) -> tuple[jax.Array, jax.Array]:
  """Returns the images and labels that a step trains on.

  Args:
    seed: the state's.
    step: the state's.
    batch: see `Batch`.
    augment: `config.augmentation`, or None to take them as they are.
  """
  images, labels = batch["images"], batch["labels"]
  if augment is None:
    return images, labels
  key = _keys(seed, step)[0]
  if not augmentation.is_identity(augment):
    affine = augmentation.sample(key, images.shape, augment)
    images, labels = augmentation.apply(images, labels, affine)
  if artefacts.wanted(augment):
    key = jax.random.fold_in(key, _ARTEFACTS)
    drawn = artefacts.sample(key, images.shape, augment)
    images = artefacts.apply(images, drawn, batch["spacing_mm"])
  return images, labels


def make_train_step(
  net: nn.Module,
  optimizer: optax.GradientTransformation,
  loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
  augment: Any,
  auxiliary_weight: float = 1.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, StepSums]]:
  """Returns the pure step (state, batch) -> (state, sums).

  Random numbers come from the state's seed and step alone, so a resumed run
  draws what the uninterrupted one would have drawn.

  Args:
    net: the network.
    optimizer: its optimizer.
    loss_fn: (logits, labels) -> scalar.
    augment: `config.augmentation`, or None for none.
    auxiliary_weight: factor of the losses that the network declares of its
      auxiliary outputs (see `models.auxiliary`), beside the logits' own.
  """
  further = declared(net) if auxiliary_weight else {}

  def train_step(state: TrainState, batch: Batch):
    images, labels = augment_batch(state.seed, state.step, batch, augment)
    drop = _keys(state.seed, state.step)[1]

    def objective(params):
      outputs, collections = net.apply(
        {"params": params, **state.collections},
        images,
        train=True,
        mutable=list(state.collections),
        rngs={"dropout": drop},
      )
      total = loss = loss_fn(outputs.logits, labels)
      if further:
        k = outputs.logits.shape[-1]
        total += auxiliary_weight * auxiliary_loss(
          further, outputs.auxiliary, labels, k, loss_fn
        )
      return total, (loss, outputs.logits, collections)

    grad_fn = jax.value_and_grad(objective, has_aux=True)
    (_, (loss, logits, collections)), grads = grad_fn(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = state.replace(
      step=state.step + 1,
      params=params,
      collections=dict(collections),
      opt_state=opt_state,
    )
    return new, _sums(loss, logits, labels, updates)

  return train_step


def make_eval_step(
  net: nn.Module, loss_fn: Callable[[jax.Array, jax.Array], jax.Array]
) -> Callable[[dict[str, Any], Batch], StepSums]:
  """Returns the pure step (variables, batch) -> sums, nothing random."""

  def eval_step(variables: dict[str, Any], batch: Batch) -> StepSums:
    logits = net.apply(variables, batch["images"], train=False).logits
    return _sums(loss_fn(logits, batch["labels"]), logits, batch["labels"])

  return eval_step
