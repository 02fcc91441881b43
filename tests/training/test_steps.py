"""Steps: devices, padding, one compilation, random numbers, bfloat16."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lumbar_jax import config
from lumbar_jax.anatomy import IGNORE
from lumbar_jax.errors import InputError
from lumbar_jax.models import layers
from lumbar_jax.models.blocks import ConvNormAct
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.unet import Outputs
from lumbar_jax.training import sharding
from lumbar_jax.training.engine import make_engine

K, BATCH, SIZE = 3, 8, 16
TRACES = []


class Small(nn.Module):
  """One level of a U-Net: every kind of layer, quick to compile."""

  style: LayerStyle = LayerStyle()
  dropout: float = 0.0
  label: str = ""

  @nn.compact
  def __call__(self, images, train=False):
    TRACES.append((self.label, train))
    images = images.astype(self.style.dtype)
    skip = ConvNormAct(4, self.style)(images, train)
    x = ConvNormAct(4, self.style)(layers.max_pool(skip), train)
    x = layers.TransposedConv(4, self.style)(x)
    x = jnp.concatenate([skip, x], axis=-1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    logits = layers.conv(K, 1, self.style)(x)
    return Outputs(logits.astype(jnp.float32), x)


def _settings(*, augment=False):
  settings = config.default()
  settings.data.patch_size = SIZE
  settings.training.batch_size = BATCH
  settings.training.dice = 0.5
  if not augment:
    settings.augmentation.update(
      rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0, flip=0.0
    )
  return settings


def _engine(net=None, *, devices=4, optimizer=None, augment=False):
  mesh = sharding.make_mesh(BATCH, jax.devices()[:devices])
  optimizer = optimizer or optax.sgd(0.1)
  return make_engine(
    net or Small(), optimizer, _settings(augment=augment), mesh
  )


def _batch(seed=0):
  """The class is decided by the first channel, so that it can be learnt."""
  rng = np.random.default_rng(seed)
  images = rng.standard_normal((BATCH, SIZE, SIZE, 2)).astype(np.float32)
  labels = np.digitize(images[..., 0], (-0.5, 0.5)).astype(np.int32)
  labels[1, :5] = IGNORE
  return {"images": images, "labels": labels}


@pytest.fixture(scope="module")
def four():
  """With all that is random."""
  return _engine(Small(dropout=0.5), augment=True)


@pytest.fixture(scope="module")
def plain():
  """With nothing random."""
  return _engine(Small(label="plain"))


def _fresh(engine, seed=5, step=0):
  state = engine.create(jax.random.key(0), seed)
  return state.replace(step=jax.device_put(np.int32(step), state.step.sharding))


def _step(engine, state, batch):
  state, sums = engine.train_step(state, sharding.put_batch(batch, engine.mesh))
  return jax.device_get((state, sums))


def _assert_equal(a, b, **tolerance):
  tolerance = {"rtol": 0, "atol": 0} | tolerance
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_four_devices_are_one(four):
  """Statistics, dropout and augmentation are of the whole batch."""
  one = _engine(Small(dropout=0.5), devices=1, augment=True)
  assert four.mesh.size == 4
  assert one.mesh.size == 1
  batch = _batch()
  states = [_fresh(engine) for engine in (four, one)]
  _assert_equal(*map(jax.device_get, states))
  shards = sharding.put_batch(batch, four.mesh)["images"].addressable_shards
  assert [s.data.shape[0] for s in shards] == [BATCH // 4] * 4

  (state, sums), (state_1, sums_1) = (
    _step(engine, start, batch)
    for engine, start in zip((four, one), states, strict=True)
  )
  _assert_equal(state.params, state_1.params, rtol=1e-5, atol=1e-6)
  _assert_equal(state.collections, state_1.collections, rtol=1e-5, atol=1e-7)
  assert (state.step, state_1.step) == (1, 1)
  np.testing.assert_array_equal(sums.confusion, sums_1.confusion)
  assert sums.num_pixels == sums_1.num_pixels
  np.testing.assert_allclose(sums.loss, sums_1.loss, rtol=1e-6)
  np.testing.assert_allclose(sums.update_norm, sums_1.update_norm, rtol=1e-5)


def test_steps_are_traced_once(plain):
  """Whatever other tests have asked of the same functions."""
  state = plain.create(jax.random.key(0), 5)
  batches = [sharding.put_batch(_batch(seed), plain.mesh) for seed in range(3)]
  for batch in batches:
    state, _ = plain.train_step(state, batch)
  assert TRACES.count(("plain", True)) == 1
  plain.eval_step(state.variables, batches[0])
  before = len(TRACES)
  plain.eval_step(state.variables, batches[1])
  assert len(TRACES) == before


def test_sums_and_update_are_of_this_step(plain):
  """By numpy: counts of the labels, the update's norm, the new statistics."""
  engine = plain
  batch = _batch()
  before = jax.device_get(_fresh(engine))
  after, sums = _step(engine, _fresh(engine), batch)
  labels = batch["labels"]
  counts = [(labels == c).sum() for c in range(K)]
  np.testing.assert_array_equal(sums.confusion.sum(1), counts)
  assert sums.confusion.dtype == np.int32
  assert sums.num_pixels == sum(counts) == labels.size - 5 * SIZE
  squares = jax.tree.map(
    lambda a, b: np.square(a - b).sum(), after.params, before.params
  )
  norm = np.sqrt(sum(jax.tree.leaves(squares)))
  np.testing.assert_allclose(sums.update_norm, norm, rtol=1e-4)
  assert norm > 0
  # The first normalisation sees a linear function of the input.
  first = before.params["ConvNormAct_0"]["conv"]
  padded = np.pad(batch["images"], ((0, 0), (1, 1), (1, 1), (0, 0)))
  y = first["bias"] + sum(
    padded[:, i : i + SIZE, j : j + SIZE] @ first["kernel"][i, j]
    for i in range(3)
    for j in range(3)
  )
  stats = after.collections["batch_stats"]["ConvNormAct_0"]["norm"]
  np.testing.assert_allclose(
    stats["mean"], 0.01 * y.mean((0, 1, 2)), rtol=1e-3, atol=1e-6
  )
  np.testing.assert_allclose(
    stats["var"], 0.99 + 0.01 * y.var((0, 1, 2)), rtol=1e-4
  )


def test_evaluation_changes_nothing_and_needs_no_random_numbers(four):
  state = _fresh(four)
  kept = jax.device_get(state)
  batch = sharding.put_batch(_batch(), four.mesh)
  first, again = (four.eval_step(state.variables, batch) for _ in range(2))
  _assert_equal(jax.device_get(state), kept)
  _assert_equal(jax.device_get(first), jax.device_get(again))
  assert first.update_norm == 0


@pytest.mark.parametrize("real", [1, 3])
def test_a_padded_batch_has_the_sums_of_its_patches(four, real):
  """What pads the batch has label 255; its pixels do not matter."""
  engine, whole = four, _batch()
  variables = _fresh(engine).variables
  found = []
  for filling in (0, 100):
    batch = {k: v.copy() for k, v in whole.items()}
    batch["images"][real:] = filling
    batch["labels"][real:] = IGNORE
    on_device = sharding.put_batch(batch, engine.mesh)
    found.append(jax.device_get(engine.eval_step(variables, on_device)))
  _assert_equal(*found)

  # The same patches eight times over, without padding: the same means.
  repeated = {k: np.repeat(v[:real], BATCH, axis=0) for k, v in whole.items()}
  total, loss = np.zeros((K, K), int), []
  for i in range(real):
    part = {k: v[BATCH * i : BATCH * (i + 1)] for k, v in repeated.items()}
    on_device = sharding.put_batch(part, engine.mesh)
    sums = jax.device_get(engine.eval_step(variables, on_device))
    total += sums.confusion
    loss.append(sums)
  np.testing.assert_array_equal(found[0].confusion, total // BATCH)
  assert found[0].num_pixels == sum(s.num_pixels for s in loss) / BATCH
  if real == 1:  # Dice is not a mean over patches
    np.testing.assert_allclose(found[0].loss, loss[0].loss, rtol=1e-5)


def test_a_step_depends_on_seed_and_step_alone(four):
  engine = four
  batch = _batch()

  def losses(seed, step):
    return _step(engine, _fresh(engine, seed, step), batch)

  state, sums = losses(5, 7)
  _step(engine, _fresh(engine, 1, 0), batch)  # no hidden state
  again, sums_again = losses(5, 7)
  _assert_equal(state, again)
  _assert_equal(sums, sums_again)
  for other in ((5, 8), (6, 7), (7, 5)):
    assert losses(*other)[1].loss != sums.loss


def test_bfloat16_follows_float32_and_learns(plain):
  half = _engine(Small(LayerStyle(dtype=jnp.bfloat16)))
  batch, start = _batch(), jax.device_get(_fresh(plain).params)

  def update(engine):
    state, _ = _step(engine, _fresh(engine), batch)
    flat = [
      (a - b).ravel()
      for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(start), strict=True
      )
    ]
    return np.concatenate(flat)

  a, b = update(plain), update(half)
  assert a @ b > 0.98 * np.linalg.norm(a) * np.linalg.norm(b)
  np.testing.assert_allclose(np.linalg.norm(a), np.linalg.norm(b), rtol=0.05)

  state, losses = _fresh(half), []
  for _ in range(40):
    state, sums = _step(half, state, batch)
    losses.append(sums.loss)
  assert losses[-1] < 0.85 * losses[0]
  kept = (state.params, state.collections)
  assert {x.dtype for x in jax.tree.leaves(kept)} == {np.dtype("float32")}


def test_a_batch_that_cannot_be_split_names_the_nearest():
  with pytest.raises(InputError, match=r"batch_size 7 .* 4 devices.*example 8"):
    sharding.make_mesh(7, jax.devices()[:4])
