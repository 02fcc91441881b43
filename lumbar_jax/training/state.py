"""What training carries from step to step."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct


@struct.dataclass
class TrainState:
  """A pytree of everything that a step changes.

  Attributes:
    step: steps taken, int32.
    seed: of the steps' random numbers, int32.
    params: trained parameters.
    collections: all other collections (BatchNorm statistics ...).
    opt_state: the optimizer's.
  """

  step: jax.Array
  seed: jax.Array
  params: Any
  collections: Any
  opt_state: Any

  @property
  def variables(self) -> dict[str, Any]:
    """The linen dict that `net.apply` takes."""
    return {"params": self.params, **self.collections}


def create_state(
  net: nn.Module,
  optimizer: optax.GradientTransformation,
  key: jax.Array,
  seed: jax.Array | int,
  image_shape: tuple[int, int, int],
) -> TrainState:
  """Initialises a network; pure, so that it can run inside `jax.jit`.

  Args:
    net: the network.
    optimizer: its optimizer.
    key: JAX key of the initial weights.
    seed: of the steps' random numbers.
    image_shape: (h, w, c) of a patch.
  """
  variables = net.init(key, jnp.zeros((1, *image_shape), jnp.float32))
  params = variables["params"]
  collections = {k: v for k, v in variables.items() if k != "params"}
  return TrainState(
    jnp.zeros((), jnp.int32),
    jnp.asarray(seed, jnp.int32),
    params,
    collections,
    optimizer.init(params),
  )
