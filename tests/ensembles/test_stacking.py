"""The meta-learner, and what it is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax.ensembles.averaging import arithmetic_mean
from lumbar_jax.ensembles.stacking import StackingHead, merge
from lumbar_jax.errors import InputError


def test_merging_by_hand():
  a, b = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 6.0]])
  np.testing.assert_array_equal(merge([a, b], "A"), [[2, 4]])
  np.testing.assert_array_equal(merge([a, b], "S"), [[4, 8]])
  np.testing.assert_array_equal(merge([a, b], "C"), [[1, 2, 3, 6]])


@pytest.mark.parametrize("how", ["A", "S"])
def test_unequal_widths_can_only_be_concatenated(how):
  a, b = jnp.zeros((1, 64)), jnp.zeros((1, 12))
  with pytest.raises(InputError, match=r"64, 12 channels.*concatenate"):
    merge([a, b], how)
  assert merge([a, b], "C").shape == (1, 76)


@pytest.mark.parametrize(
  ("width", "count"),
  [(12, 1612), (640, 41804), (768, 49996)],  # NAD; TCD of E10 and of E12
)
def test_the_number_of_parameters_is_the_specifications(width, count):
  net = StackingHead(12)
  shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 1, width)))
  assert sum(x.size for x in jax.tree.leaves(shapes)) == count


def test_an_identity_reproduces_the_arithmetic_means_labels():
  rng = np.random.default_rng(0)
  members = [
    jnp.asarray(rng.dirichlet(np.ones(12), (2, 8, 8)), jnp.float32)
    for _ in range(4)
  ]
  identity = {
    "params": {
      "hidden": {"kernel": jnp.eye(12, 64), "bias": jnp.zeros(64)},
      "classify": {"kernel": jnp.eye(64, 12), "bias": jnp.zeros(12)},
    }
  }
  logits = StackingHead(12).apply(identity, merge(members, "A")).logits
  wanted = arithmetic_mean(members)
  np.testing.assert_allclose(logits, wanted, rtol=1e-6)
  np.testing.assert_array_equal(logits.argmax(-1), wanted.argmax(-1))


def test_a_pixel_depends_on_itself_alone():
  net = StackingHead(3, hidden=5)
  maps = jax.random.normal(jax.random.key(1), (1, 4, 4, 6))
  variables = net.init(jax.random.key(0), maps)
  before = net.apply(variables, maps).logits
  after = net.apply(variables, maps.at[0, 1, 2].add(1.0)).logits
  changed = np.argwhere(np.any(np.asarray(before != after), axis=-1))
  np.testing.assert_array_equal(changed, [[0, 1, 2]])
