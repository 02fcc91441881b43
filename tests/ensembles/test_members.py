"""Stacked members give what each member gives, however they are batched."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.ensembles import members, tuning
from lumbar_jax.ensembles.members import BATCHINGS, apply_stacked
from lumbar_jax.ensembles.pool import MemberPool
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.evaluate import threshold_slices
from lumbar_jax.evaluation.labelling import ThresholdCounts

SIZE = 32


def make(name, seed):
  net = models.build(name, 3, width=2)
  images = jnp.zeros((1, SIZE, SIZE, 2))
  return net, dict(jax.jit(net.init)(jax.random.key(seed), images))


@pytest.fixture(scope="module")
def images():
  return jax.random.normal(jax.random.key(9), (2, SIZE, SIZE, 2))


@pytest.fixture(scope="module")
def four():
  return [make("UAD", seed) for seed in range(4)]


@pytest.fixture(scope="module")
def wanted(four, images):
  """Each member by itself."""
  net = four[0][0]
  apply = jax.jit(lambda variables: net.apply(variables, images))
  found = [apply(variables) for _, variables in four]
  scores = [jax.nn.softmax(out.logits, -1) for out in found]
  return np.stack(scores), np.stack([out.features for out in found])


@pytest.mark.parametrize("batching", [*BATCHINGS, "auto"])
def test_every_batching_gives_what_the_members_give(
  batching, four, images, wanted
):
  stacked = members.stack([variables for _, variables in four])
  found = apply_stacked(
    four[0][0], stacked, images, with_features=True, batching=batching
  )
  np.testing.assert_allclose(found.scores, wanted[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(found.features, wanted[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batching", BATCHINGS)
def test_members_sharded_over_devices_give_the_same(
  batching, four, images, wanted
):
  mesh = members.member_mesh(4)
  assert mesh.shape == {"data": 1, "member": 4}
  stacked = members.place(
    members.stack([variables for _, variables in four]), mesh
  )
  kernel = jax.tree.leaves(stacked)[0]
  assert len(kernel.sharding.device_set) == 4
  found = apply_stacked(
    four[0][0], stacked, images, batching=batching, mesh=mesh
  )
  np.testing.assert_allclose(found.scores, wanted[0], rtol=1e-5, atol=1e-6)
  assert found.features is None


@pytest.mark.parametrize(("number", "size"), [(1, 1), (3, 3), (5, 1), (6, 3)])
def test_the_mesh_divides_the_members_evenly(number, size):
  mesh = members.member_mesh(number, jax.devices()[:4])
  assert (1 if mesh is None else mesh.shape["member"]) == size


def test_devices_left_over_split_the_batch(four, images, wanted):
  mesh = members.member_mesh(2, jax.devices()[:4])
  assert mesh.shape == {"data": 2, "member": 2}
  stacked = members.stack([variables for _, variables in four[:2]])
  stacked = members.place(stacked, mesh)
  for size, parts in ((2, 4), (1, 2)):  # one image cannot be split
    found = apply_stacked(
      four[0][0], stacked, images[:size], batching="vmap", mesh=mesh
    )
    np.testing.assert_allclose(
      found.scores, wanted[0][:2, :size], rtol=1e-5, atol=1e-6
    )
    places = found.scores.sharding.devices_indices_map(found.scores.shape)
    assert len({str(place) for place in places.values()}) == parts


def test_an_unknown_batching_is_refused(four, images):
  stacked = members.stack([variables for _, variables in four])
  with pytest.raises(InputError, match="pmap"):
    apply_stacked(four[0][0], stacked, images, batching="pmap")


def test_other_networks_cannot_be_stacked(four):
  with pytest.raises(InputError, match="different networks"):
    members.stack([four[0][1], make("U1", 0)[1]])


def test_fcns_logits_stand_in_for_its_features():
  net, variables = make("FCN", 0)
  images = jnp.ones((1, SIZE, SIZE, 2))
  found = apply_stacked(
    net, members.stack([variables]), images, with_features=True
  )
  logits = jax.jit(net.apply)(variables, images).logits
  np.testing.assert_allclose(found.features[0], logits, rtol=1e-5, atol=1e-6)


def test_a_pool_computes_a_batch_once(four, images, wanted, monkeypatch):
  calls = []

  def counting(net, *args, **options):
    calls.append(net)
    return apply_stacked(net, *args, **options)

  monkeypatch.setattr(members, "apply_stacked", counting)
  pool = MemberPool({i: four[i] for i in range(4)})
  for turn in range(2):  # the second with a copy of the images
    batch = np.array(images)
    for i in range(4):
      found = pool(i, batch).scores
      np.testing.assert_allclose(found, wanted[0][i], rtol=1e-5, atol=1e-6)
    assert len(calls) == 1, turn
  other = pool(0, np.array(images) + 1).scores
  assert len(calls) == 2
  assert not np.allclose(other, wanted[0][0], atol=1e-3)


def test_models_that_take_turns_compute_each_batch_once(four, monkeypatch):
  """Nine patches a slice and eight a batch, as of 512 x 512 slices."""
  calls = []

  def counting(net, stacked, images, **options):
    calls.append(images)
    scores = jnp.full((4, *images.shape[:3], 3), 1 / 3)
    return members.MemberOutputs(scores)

  monkeypatch.setattr(members, "apply_stacked", counting)
  pool = MemberPool({i: four[i] for i in range(4)})
  rng = np.random.default_rng(0)
  study = types.SimpleNamespace(
    name="s",
    image=rng.normal(size=(5, 96, 96, 2)).astype(np.float32),
    native_mask=np.zeros((5, 96, 96), np.uint8),
    native_shape=(96, 96),
  )
  patching = {"patch_size": SIZE, "patch_stride": SIZE, "batch_size": 8}
  counts = [ThresholdCounts.zeros(3) for _ in range(4)]
  tuning.take_turns(
    [
      threshold_slices(
        counts[i], lambda x, i=i: pool(i, x).scores, study, patching
      )
      for i in range(4)
    ]
  )
  assert len(calls) == 6  # 45 patches
  assert {int(c.counts[0].sum()) for c in counts} == {5 * 96 * 96}


def test_a_pool_of_several_networks_tells_them_apart(images):
  found = {
    (name, seed): make(name, seed) for name in ("U1", "UD") for seed in (0, 1)
  }
  pool = MemberPool(found, with_features=[("U1", 1)])
  for key, (net, variables) in found.items():
    logits = jax.jit(net.apply)(variables, images).logits
    np.testing.assert_allclose(
      pool(key, images).scores, jax.nn.softmax(logits, -1), rtol=1e-4, atol=1e-5
    )
  assert pool(("U1", 0), images).features is not None
  assert pool(("UD", 0), images).features is None
