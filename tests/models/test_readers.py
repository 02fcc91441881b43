"""What is folded: a normalisation that alone reads a convolution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax.models.inference import fold

SHAPE = (1, 3, 5, 2)


def _conv(name="conv", **fields):
  return nn.Conv(2, (1, 1), name=name, **fields)


def _norm(name="norm", **fields):
  return nn.BatchNorm(use_running_average=True, name=name, **fields)


def _plain(x):
  return _norm()(_conv()(x))


def _grouped(x):
  return _norm()(_conv(feature_group_count=2, use_bias=False)(x))


def _behind_another_reader_of_the_input(x):
  return _norm()(_conv()(x)) + x


def _in_a_jitted_layer(x):
  return jax.jit(nn.relu)(_norm()(_conv()(x)))


class _Block(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.relu(_norm()(_conv()(x)))


def _recomputed(x):
  return nn.remat(_Block)(name="block")(x)


@pytest.mark.parametrize(
  "network",
  [
    *(_plain, _grouped, _behind_another_reader_of_the_input),
    *(_in_a_jitted_layer, _recomputed),
  ],
)
def test_a_sole_reader_is_folded(network):
  assert _folded_is_equal(network) == 1


def _skip(x):
  y = _conv()(x)
  return nn.relu(_norm()(y)) + y


def _read_before(x):
  y = _conv()(x)
  z = y.mean((1, 2), keepdims=True)
  return nn.relu(_norm()(y)) * z


def _concatenated(x):
  y = _conv()(x)
  return jnp.concatenate([_norm()(y), y], -1)


def _given_too(x):
  y = _conv()(x)
  return _norm()(y), y


def _two_norms(x):
  y = _conv()(x)
  return nn.relu(_norm("a")(y)) + _norm("b")(y)


def _conv_applied_twice(x):
  conv = _conv()
  return _norm()(conv(conv(x)))


def _norm_applied_twice(x):
  norm = _norm()
  return norm(nn.relu(norm(_conv()(x))))


def _one_norm_of_two_convs(x):
  norm = _norm()
  return norm(_conv("a")(x)) + norm(_conv("b")(x))


def _kernel_read_elsewhere(x):
  conv = _conv()
  y = _norm()(conv(x))
  return y + conv.variables["params"]["kernel"].sum()


def _cast_between(x):
  return _norm(dtype=jnp.float32)(_conv(dtype=jnp.float16)(x))


def _activated_between(x):
  return _norm()(nn.relu(_conv()(x)))


def _of_rows(x):
  return _norm(axis=1)(_conv()(x))


class _Standardised(nn.Conv):
  def param(self, name, *args, **kwargs):
    value = super().param(name, *args, **kwargs)
    return value / jnp.linalg.norm(value) if name == "kernel" else value


def _derived_conv(x):
  return _norm()(_Standardised(2, (1, 1), name="conv")(x))


class _Step(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return _norm()(_conv()(x)), None


def _in_a_loop(x):
  loop = nn.scan(
    _Step,
    variable_broadcast=("params", "batch_stats"),
    split_rngs={"params": False},
    length=2,
  )
  return loop(name="loop")(x, None)[0]


def _mapped(x):
  both = nn.vmap(
    _Block,
    variable_axes={"params": 0, "batch_stats": 0},
    split_rngs={"params": True},
    in_axes=None,
    axis_size=2,
  )
  return both(name="both")(x)


@pytest.mark.parametrize(
  "network",
  [
    *(_skip, _read_before, _concatenated, _given_too, _two_norms),
    *(_conv_applied_twice, _norm_applied_twice, _one_norm_of_two_convs),
    *(_kernel_read_elsewhere, _cast_between, _activated_between),
    *(_of_rows, _derived_conv, _in_a_loop, _mapped),
  ],
)
def test_whatever_else_is_read_is_not_folded(network):
  assert _folded_is_equal(network) == 0


def _folded_is_equal(network) -> int:
  """Compares a network with its folded form; returns how many it folded."""

  class Network(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
      return network(x)

  images = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
  variables = _random_variables(Network(), SHAPE)
  folded, smaller = fold(Network(), variables, SHAPE)
  apply = Network().apply
  jax.tree.map(
    lambda ours, plain: np.testing.assert_allclose(
      ours, plain, atol=1e-6 * float(abs(plain).max())
    ),
    folded.apply(smaller, images),
    apply(variables, images, train=False),
  )
  return len(folded.norms)


def _random_variables(net, shape):
  """Variables whose means are not 0, and variances far from 1."""
  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  found = dict(jax.eval_shape(net.init, jax.random.key(0), images))
  rng = np.random.default_rng(0)

  def fill(path, leaf):
    values = rng.standard_normal(leaf.shape)
    positive = path[-1].key in ("var", "scale")
    return (np.exp(values) if positive else values).astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, found)
