"""Joining channels against numpy's concatenation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax.models.joining import join_channels


def _maps(channels, dtype=np.float32):
  rng = np.random.default_rng(0)
  maps = [rng.standard_normal((2, 4, 6, c)) for c in channels]
  maps[0][0, 0, 0, 0], maps[-1][1, 0, 0, 0] = np.inf, np.nan
  return [jnp.asarray(x, dtype) for x in maps]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("channels", [(3,), (2, 5), (1, 4, 2), (3, 3, 3, 3)])
def test_it_is_the_concatenation_to_the_last_bit(
  monkeypatch, channels, dtype, backend
):
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  maps = _maps(channels, dtype)
  found = jax.jit(join_channels)(maps)
  assert found.dtype == dtype
  expected = np.concatenate([np.float32(x) for x in maps], -1)
  np.testing.assert_array_equal(np.float32(found), expected)


def test_its_gradient_is_each_map_s_own_part():
  maps = _maps((2, 5, 1))
  weight = np.random.default_rng(1).standard_normal((2, 4, 6, 8))
  weight = jnp.asarray(weight, jnp.float32)
  _, pull = jax.vjp(join_channels, maps)
  for ours, theirs in zip(
    pull(weight)[0], np.split(np.asarray(weight), [2, 7], -1), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)
