"""A run's compiled functions, made once and shared by its folds."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import optax
from flax import struct
from jax.sharding import Mesh

from lumbar_jax.training import sharding
from lumbar_jax.training.losses import make_loss
from lumbar_jax.training.state import TrainState, create_state
from lumbar_jax.training.steps import make_eval_step, make_train_step


@struct.dataclass
class Engine:
  """What the training loop calls.

  Attributes:
    mesh: the devices.
    create: (key, seed) -> a fresh state on the mesh.
    train_step: (state, batch) -> (state, sums); takes the state's memory.
    eval_step: (variables, batch) -> sums.
    abstract: shapes, types and shardings of a state.
  """

  mesh: Mesh
  create: Callable[..., TrainState]
  train_step: Callable[..., Any]
  eval_step: Callable[..., Any]
  abstract: TrainState


def make_engine(
  net: nn.Module,
  optimizer: optax.GradientTransformation,
  config: Any,
  mesh: Mesh | None = None,
) -> Engine:
  """Returns the compiled functions of a run.

  Args:
    net: the network.
    optimizer: its optimizer.
    config: the run's config.
    mesh: the devices; all of them by default.

  Raises:
    InputError: the batch cannot be split over the devices.
  """
  mesh = mesh or sharding.make_mesh(config.training.batch_size)
  size, channels = config.data.patch_size, len(config.data.channels)

  def create(key, seed):
    return create_state(net, optimizer, key, seed, (size, size, channels))

  loss = make_loss(config.training)
  step = make_train_step(
    net, optimizer, loss, config.augmentation, config.training.auxiliary
  )
  return Engine(
    mesh,
    sharding.jit_create(create, mesh),
    sharding.jit_train_step(step, mesh),
    sharding.jit_eval_step(make_eval_step(net, loss), mesh),
    abstract_state(create, mesh),
  )


def abstract_state(create: Callable[..., TrainState], mesh: Mesh) -> TrainState:
  """Returns shapes, types and shardings of what `create` makes on a mesh."""
  whole = sharding.replicated(mesh)
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
    jax.eval_shape(create, jax.random.key(0), 0),
  )
