"""Gradients reach every parameter of every network; what BatchNorm cancels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models

CLASSES = 3


def _normal(*shape, seed):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def _variables(net, images):
  """Random variables: no bias or PReLU slope at 0, no scale at 1."""
  rng = np.random.default_rng(3)

  def fill(path, leaf):
    values = rng.standard_normal(leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
    ones = path[-1].key in ("scale", "var")
    return (1 + 0.1 * values if ones else values).astype(np.float32)

  shapes = jax.eval_shape(net.init, jax.random.key(0), images)
  return jax.tree_util.tree_map_with_path(fill, dict(shapes))


def _largest(name, *, width, train):
  """Returns {parameter: largest absolute gradient} of a squared error."""
  net = models.build(name, CLASSES, width=width)
  images = _normal(2, 32, 32, 2, seed=0)
  target = _normal(2, 32, 32, CLASSES, seed=1)
  variables = _variables(net, images)

  def objective(params):
    outputs, _ = net.apply(
      {**variables, "params": params}, images, train, mutable=["batch_stats"]
    )
    return jnp.square(outputs.logits - target).mean()

  gradients = jax.jit(jax.grad(objective))(variables["params"])
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): np.abs(leaf).max()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients)
  }


# By running statistics: a batch's own cancel the biases before them (below).
# At width 2 ReLU cuts both channels of one of UQD's blocks off.
@pytest.mark.parametrize("name", models.names("000"))
def test_gradients_reach_every_parameter(name):
  largest = _largest(name, width=4, train=False)
  assert all(np.isfinite(value) for value in largest.values())
  assert [name for name, value in largest.items() if value == 0] == []


def test_a_batch_s_statistics_cancel_only_the_biases_before_them():
  """UMD in training: the mean takes a convolution's bias away again."""
  largest = _largest("UMD", width=2, train=True)
  cancelled = {name for name in largest if name.endswith("/conv/bias")}
  assert len(cancelled) == 2 * 9 + 4  # U blocks, branches of M
  rounding = 1e-5 * max(largest.values())
  silent = {name for name, value in largest.items() if value < rounding}
  assert silent == cancelled
