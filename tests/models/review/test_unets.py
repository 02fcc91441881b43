"""U-Net, Attention U-Net, ResUNet++, MiniSeg and TransUNet of paper 002.

Their arithmetic is held to golden forward passes elsewhere (fingerprints); here
are sizes, options, and what training changes.
"""

import dataclasses

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from tiny_networks import abstract, unused_parameters

from lumbar_jax.errors import InputError
from lumbar_jax.models.review.attention_unet import AttentionUNet
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.miniseg import MiniSeg
from lumbar_jax.models.review.resunet_plus import ResUNetPlus
from lumbar_jax.models.review.resunet_plus_official import OfficialResUNetPlus
from lumbar_jax.models.review.transunet import TransUNet
from lumbar_jax.models.review.transunet_official import OfficialTransUNet
from lumbar_jax.models.review.unet import BilinearUNet
from lumbar_jax.models.unet import Outputs

ANY_SIZE = {
  BilinearUNet: 16,  # the smallest
  AttentionUNet: 1,
  ResUNetPlus: 1,
  OfficialResUNetPlus: 1,
  MiniSeg: 1,
}
FIXED_SIZE = (TransUNet, OfficialTransUNet)
_NAME = {"ids": lambda network: getattr(network, "__name__", "")}


@pytest.mark.parametrize("network", ANY_SIZE, **_NAME)
def test_logits_have_the_size_of_the_images(network):
  net, least = network(5, width=8), ANY_SIZE[network]
  for size in ((least, 41), (33, 30)):
    outputs, _ = abstract(net, 2, *size, 1)
    assert outputs.logits.shape == (2, *size, 5)
    if outputs.features is not None:
      assert outputs.features.shape[:3] == (2, *size)


def test_unet_refuses_what_its_poolings_would_use_up():
  with pytest.raises(InputError, match=r"15 x 40.*nearest are 16 x 40"):
    abstract(BilinearUNet(5, width=8), 1, 15, 40, 1)


@pytest.mark.parametrize("network", FIXED_SIZE, **_NAME)
def test_a_transunet_takes_the_size_it_was_built_for(network):
  net = network(5, width=8, image_size=48, depth=1)
  outputs, found = abstract(net, 2, 48, 48, 2)
  assert outputs.logits.shape == (2, 48, 48, 5)
  tokens = found["params"]["transformer"]["pos_embedding"].shape[0]
  assert tokens == 9 + (network is TransUNet)  # and the class token
  with pytest.raises(InputError, match=r"48 x 64.*made for 48 x 48"):
    abstract(net, 2, 48, 64, 2)
  with pytest.raises(InputError, match=r"72 x 72.*nearest are 64 x 64"):
    abstract(net.clone(image_size=72), 1, 72, 72, 1)


@pytest.mark.parametrize("network", [*ANY_SIZE, *FIXED_SIZE], **_NAME)
def test_options_change_no_parameter(network):
  """bfloat16 keeps parameters and logits in float32; remat keeps all names."""
  fixed = {"image_size": 32, "depth": 1} if network in FIXED_SIZE else {}
  net = network(3, width=8, **fixed)
  _, found = abstract(net, 1, 32, 32, 1)
  half = dataclasses.replace(TORCH, dtype=jnp.bfloat16)
  for other in (net.clone(style=half), net.clone(remat=True)):
    outputs, others = abstract(other, 1, 32, 32, 1)
    assert outputs.logits.dtype == jnp.float32
    assert jax.tree.map(lambda x: (x.shape, x.dtype), others) == jax.tree.map(
      lambda x: (x.shape, x.dtype), found
    )


def test_miniseg_has_maps_of_three_further_levels():
  net = MiniSeg(5, width=16, auxiliary_heads=True)
  outputs, found = abstract(net, 2, 33, 40, 1)
  assert set(outputs.auxiliary) == {"level_2", "level_3", "level_4"}
  for scores in outputs.auxiliary.values():
    assert scores.shape == (2, 33, 40, 5)
  _, without = abstract(net.clone(auxiliary_heads=False), 2, 33, 40, 1)
  extra = found["params"].keys() - without["params"].keys()
  assert extra == {"classify_2", "classify_3", "classify_4"}


def test_official_transunet_repeats_one_channel():
  net = OfficialTransUNet(3, width=8, image_size=32, depth=1)
  one, three = (abstract(net, 1, 32, 32, c)[1]["params"] for c in (1, 3))
  assert jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, three)


@pytest.mark.parametrize("network", [*ANY_SIZE, *FIXED_SIZE], **_NAME)
def test_every_parameter_matters(network):
  fixed = {"image_size": 32, "depth": 1} if network in FIXED_SIZE else {}
  assert unused_parameters(network(3, width=8, **fixed), 1, 32, 32, 1) == []


def test_a_parameter_that_does_not_matter_is_found():
  class Wasteful(nn.Module):
    @nn.compact
    def __call__(self, x):
      nn.Dense(3, name="wasted")(x)
      return Outputs(nn.Dense(3, name="used")(x))

  wasted = ["wasted/bias", "wasted/kernel"]
  assert sorted(unused_parameters(Wasteful(), 1, 4, 4, 2)) == wasted


@pytest.mark.parametrize("network", [*ANY_SIZE, *FIXED_SIZE], **_NAME)
def test_training_alone_changes_the_statistics(network):
  """Flax refuses an evaluation that would (see below); training changes all."""
  fixed = {"image_size": 32, "depth": 1} if network in FIXED_SIZE else {}
  net = network(3, width=8, **fixed)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  _, found = abstract(net, *image.shape)
  jax.eval_shape(net.apply, found, image)

  def train(found, image):
    rngs = {"dropout": jax.random.key(0)}
    return net.apply(found, image, True, mutable="batch_stats", rngs=rngs)[1]

  updates = jax.eval_shape(train, found, image)
  shapes = jax.tree.map(jnp.shape, updates["batch_stats"])
  assert shapes == jax.tree.map(jnp.shape, found["batch_stats"])


def test_flax_refuses_an_evaluation_that_changes_the_statistics():
  net = BilinearUNet(3, width=8)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  _, found = abstract(net, *image.shape)
  with pytest.raises(flax.errors.ModifyScopeVariableError):
    jax.eval_shape(lambda v, x: net.apply(v, x, True), found, image)
