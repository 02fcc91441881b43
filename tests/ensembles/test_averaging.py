"""Averages of scores against values computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import gmean

from lumbar_jax.ensembles.averaging import (
  FLOOR,
  MEANS,
  arithmetic_mean,
  geometric_mean,
)


def scores(num_members=3, seed=0):
  rng = np.random.default_rng(seed)
  return [
    jnp.asarray(rng.dirichlet(np.ones(4), (2, 3, 5)), jnp.float32)
    for _ in range(num_members)
  ]


def test_the_arithmetic_mean_of_two_pixels_by_hand():
  a, b = jnp.array([[0.8, 0.2]]), jnp.array([[0.4, 0.6]])
  np.testing.assert_allclose(arithmetic_mean([a, b]), [[0.6, 0.4]], rtol=1e-6)
  np.testing.assert_allclose(
    arithmetic_mean([a, b], (3.0, 1.0)), [[0.7, 0.3]], rtol=1e-6
  )


def test_the_geometric_mean_of_two_pixels_by_hand():
  a, b = jnp.array([[0.8, 0.2]]), jnp.array([[0.2, 0.8]])
  np.testing.assert_allclose(geometric_mean([a, b]), [[0.5, 0.5]], rtol=1e-6)
  # 0.9^.5 0.4^.5 = 0.6 and 0.1^.5 0.6^.5 = 0.2449; divided by their sum.
  c, d = jnp.array([[0.9, 0.1]]), jnp.array([[0.4, 0.6]])
  np.testing.assert_allclose(
    geometric_mean([c, d]), [[0.71010, 0.28990]], rtol=1e-4
  )


def test_the_geometric_mean_is_scipys_renormalised():
  members = scores()
  stacked = np.stack(members).astype(np.float64)
  weights = np.broadcast_to(
    np.reshape([1, 2, 5], (3, 1, 1, 1, 1)), stacked.shape
  )
  wanted = gmean(stacked, weights=weights)
  wanted /= wanted.sum(-1, keepdims=True)
  np.testing.assert_allclose(
    geometric_mean(members, (1, 2, 5)), wanted, rtol=1e-5
  )


def test_one_members_zero_is_no_veto_in_the_geometric_mean():
  a, b = jnp.array([[1.0, 0.0]]), jnp.array([[0.5, 0.5]])
  ratio = np.sqrt(FLOOR)
  np.testing.assert_allclose(
    geometric_mean([a, b]), [[1 / (1 + ratio), ratio / (1 + ratio)]], rtol=1e-5
  )


@pytest.mark.parametrize("name", MEANS)
def test_averages_sum_to_one(name):
  np.testing.assert_allclose(MEANS[name](scores()).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", MEANS)
def test_identical_members_give_the_member_itself(name):
  member = scores(1)[0]
  np.testing.assert_allclose(MEANS[name]([member] * 3), member, rtol=1e-5)


@pytest.mark.parametrize("name", MEANS)
def test_the_order_of_members_does_not_matter(name):
  a, b, c = scores()
  np.testing.assert_allclose(
    MEANS[name]([a, b, c]), MEANS[name]([c, a, b]), rtol=1e-5
  )


@pytest.mark.parametrize("name", MEANS)
def test_a_member_of_weight_zero_has_no_say(name):
  a, b, c = scores()
  np.testing.assert_allclose(
    MEANS[name]([a, b, c], (1, 0, 1)), MEANS[name]([a, c]), rtol=1e-5
  )
