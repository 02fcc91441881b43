"""A compiled train step recomputes what it is told to recompute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.training import sharding

DEPTH, ROWS, NARROW, WIDE = 8, 2048, 16, 64
MESH = sharding.make_mesh(1, jax.devices()[:1])


def _block(weight, x):
  return jnp.tanh(jnp.tanh(x @ weight) @ weight.T)


def _step(remat):
  block = jax.checkpoint(_block) if remat else _block

  def loss(weights, x):
    for weight in weights:
      x = block(weight, x)
    return jnp.square(x).mean()

  def step(weights, x):
    value, gradients = jax.value_and_grad(loss)(weights, x)
    return jax.tree.map(lambda w, g: w - g, weights, gradients), value

  return sharding.jit_train_step(step, MESH)


def test_recomputing_saves_memory_and_changes_nothing():
  """Also where XLA would rather merge what looks alike: on CPUs."""
  rng = np.random.default_rng(0)
  weights = list(rng.standard_normal((DEPTH, NARROW, WIDE), np.float32) / 8)
  x = rng.standard_normal((ROWS, NARROW), np.float32)
  working, results = [], []
  for remat in (False, True):
    step = _step(remat).lower(weights, x).compile()
    working.append(step.memory_analysis().temp_size_in_bytes)
    results.append(step(jax.device_put(weights), x))
  wide = 4 * ROWS * WIDE  # bytes of a block's widest map
  assert working[0] > DEPTH * wide
  assert working[1] < working[0] - (DEPTH - 3) * wide
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    *results,
  )


def _recomputed(name):
  """Returns the number of `jax.checkpoint`s in a forward pass."""
  net = models.build(name, 2, width=2, remat=True)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), image)
  jaxpr = jax.make_jaxpr(net.apply)(variables, image)
  names = [equation.primitive.name for equation in jaxpr.eqns]
  return sum(name in ("checkpoint", "remat", "remat2") for name in names)


@pytest.mark.parametrize(
  ("name", "blocks"),
  [("U1", 9), ("UMD", 10), ("UVDD", 9), ("UQD", 9), ("FCN", 5)],
)
def test_every_block_is_recomputed(name, blocks):
  """Five levels down and four up; the multi-kernel input; FCN's five."""
  assert _recomputed(name) == blocks
