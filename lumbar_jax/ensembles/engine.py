"""The compiled functions of a meta-learner's training.

Members are frozen and never differentiated: a step augments the batch, asks the
pool for the members' outputs, merges them and moves the meta-learner alone.
"""

import functools
import types
from typing import Any

import jax
from jax.sharding import Mesh

from lumbar_jax.ensembles.model import Model, merged_width
from lumbar_jax.ensembles.pool import MemberPool, merged_input
from lumbar_jax.ensembles.stacking import StackingHead
from lumbar_jax.training import sharding
from lumbar_jax.training.engine import Engine, abstract_state
from lumbar_jax.training.losses import LOSS_FIELDS, make_loss
from lumbar_jax.training.optimizers import make_optimizer
from lumbar_jax.training.state import create_state
from lumbar_jax.training.steps import (
  augment_batch,
  make_eval_step,
  make_train_step,
)


def one_device() -> Mesh:
  """Returns the mesh of this process' first device: they are tiny."""
  return sharding.make_mesh(1, jax.local_devices()[:1])


@functools.lru_cache
def _steps(head: StackingHead, optimizer: str, rate: float, loss: tuple):
  """Returns the compiled (train, eval) steps, shared by equal meta-learners."""
  loss_fn = make_loss(types.SimpleNamespace(**dict(loss)))
  step = make_train_step(head, make_optimizer(optimizer, rate), loss_fn, None)
  mesh = one_device()
  return (
    sharding.jit_train_step(step, mesh),
    sharding.jit_eval_step(make_eval_step(head, loss_fn), mesh),
  )


@functools.lru_cache
def _augmenter(augmentation: tuple):
  """Returns the compiled augmentation, shared by all meta-learners."""
  config = types.SimpleNamespace(**dict(augmentation))
  return jax.jit(
    lambda seed, step, batch: augment_batch(seed, step, batch, config)
  )


def _loss_fields(training: Any) -> tuple:
  """Returns the fields that a loss reads, hashable."""
  values = [getattr(training, name) for name in LOSS_FIELDS]
  hashable = (tuple(v) if isinstance(v, list) else v for v in values)
  return tuple(zip(LOSS_FIELDS, hashable, strict=True))


def make_stacking_engine(
  model: Model, fold: int, pool: MemberPool | None, config: Any
) -> Engine:
  """Returns what `FoldTrainer` calls to train a meta-learner.

  Args:
    model: a stacking ensemble.
    fold: whose networks to read.
    pool: with them; None where batches hold the merged outputs already (a
      cache), which are then taken as they are.
    config: the run's config with the meta-learner's own training section.

  Raises:
    InputError: members whose features cannot be merged.
  """
  head, settings = model.head(), config.training
  width = merged_width(model.members, model.ensemble)
  train, evaluate = _steps(
    head,
    settings.optimizer,
    settings.learning_rate,
    _loss_fields(settings),
  )
  augment = _augmenter(tuple(config.augmentation.items()))
  optimizer = make_optimizer(settings.optimizer, settings.learning_rate)
  mesh = one_device()

  def create(key, seed):
    return create_state(head, optimizer, key, seed, (1, 1, width))

  def merged(images):
    return merged_input(pool, model.ensemble, model.keys(fold), images)

  def train_step(state, batch):
    images, labels = augment(state.seed, state.step, batch)
    return train(state, {"images": merged(images), "labels": labels})

  def eval_step(variables, batch):
    return evaluate(variables, {**batch, "images": merged(batch["images"])})

  return Engine(
    mesh,
    jax.jit(create, out_shardings=sharding.replicated(mesh)),
    train_step if pool is not None else train,
    eval_step if pool is not None else evaluate,
    abstract_state(create, mesh),
  )
