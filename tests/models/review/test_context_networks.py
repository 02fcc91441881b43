"""PSPNet, DeepLabv3+, DenseASPP, DANet, EMANet, Inf-Net and PSANet.

Their arithmetic is held to golden forward passes elsewhere (fingerprints); here
are sizes, options and outputs.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from tiny_networks import abstract, unused_parameters

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.models.auxiliary import declared
from lumbar_jax.models.review import densenet, resnet
from lumbar_jax.models.review.layers import TORCH

NAMES = ("PSPNet", "DeepLabv3+", "DenseASPP", "DANet", "EMANet", "Inf-Net")
NETWORKS = (*NAMES, "PSPNet_official", "PSANet_official")
CLASSES = 5
SIZE = (33, 41)


@pytest.fixture(autouse=True)
def _shallow(monkeypatch):
  """Traces two blocks of each stage instead of up to 32."""
  monkeypatch.setitem(resnet.DEPTHS, 101, (2, 2, 2, 2))
  monkeypatch.setitem(resnet.DEPTHS, 34, (2, 2, 2, 2))
  monkeypatch.setattr(densenet, "DEPTHS", (2, 2, 2, 2))


def _net(name, **overrides):
  return models.build(name, CLASSES, 33, width=4, **overrides)


def _size(name):
  return (33, 33) if name.startswith("PSANet") else SIZE


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_have_the_size_of_the_images(name):
  net, size = _net(name), _size(name)
  outputs, _ = abstract(net, 2, *size, 2)
  assert outputs.logits.shape == (2, *size, CLASSES)
  assert set(outputs.auxiliary) == set(declared(net))
  shapes = {
    "segmentation": (2, *size, CLASSES),
    "edge": (2, *size, 1),
    "presence": (2, CLASSES),
  }
  for key, loss in declared(net).items():
    assert outputs.auxiliary[key].shape == shapes[loss.kind]
    assert outputs.auxiliary[key].dtype == jnp.float32


@pytest.mark.parametrize("name", NETWORKS)
def test_options_change_no_parameter(name):
  """bfloat16 keeps parameters and logits in float32; remat keeps all names."""
  net, size = _net(name), _size(name)
  _, found = abstract(net, 2, *size, 2)
  half = dataclasses.replace(TORCH, dtype=jnp.bfloat16)
  outputs, others = abstract(net.clone(style=half, remat=True), 2, *size, 2)
  assert outputs.logits.dtype == jnp.float32
  assert jax.tree.map(lambda x: (x.shape, x.dtype), others) == jax.tree.map(
    lambda x: (x.shape, x.dtype), found
  )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_matters(name):
  assert unused_parameters(_net(name), 2, *_size(name), 2) == []


def test_what_the_papers_weigh_their_further_outputs_with():
  def weights(name):
    return [loss.weight for loss in declared(_net(name)).values()]

  assert weights("DANet") == [1, 1]
  assert weights("Inf-Net") == [1, 1, 1, 1]
  assert weights("PSPNet_official") == weights("PSANet_official") == [0.4]
  assert weights("MiniSeg_official") == [0.4, 0.4, 0.4]
  assert weights("PSANet") == weights("MiniSeg") == weights("EMANet") == []


def test_psanet_takes_what_is_padded_to_the_size_it_was_built_for():
  net = models.build("PSANet", CLASSES, 40, width=4)
  outputs, _ = abstract(net, 1, 35, 41, 1)  # all of them become 41 x 41
  assert outputs.logits.shape == (1, 35, 41, CLASSES)
  with pytest.raises(InputError, match="built for images of 40 pixels"):
    abstract(net, 1, 48, 40, 1)


@pytest.mark.parametrize(
  ("name", "allowed"),
  [("DANet", "32, 8"), ("DenseASPP", "16, 8"), ("Inf-Net", "16, 32")],
)
def test_output_strides_that_do_not_exist(name, allowed):
  with pytest.raises(InputError, match=f"output_stride is 4.*{allowed}"):
    _net(name, output_stride=4)


def test_an_activation_is_no_option():
  with pytest.raises(InputError, match="'activation' of network PSPNet"):
    _net("PSPNet", activation="prelu")


def test_inf_net_keeps_its_own_resolution_on_demand():
  net = _net("Inf-Net", full_size=False, edge_per_class=True)
  outputs, _ = abstract(net, 1, 64, 48, 1)
  assert outputs.logits.shape == (1, 8, 6, CLASSES)
  shapes = {name: x.shape[1:] for name, x in outputs.auxiliary.items()}
  assert shapes == {
    "coarse": (8, 6, CLASSES),
    "refined_4": (4, 3, CLASSES),
    "refined_3": (4, 3, CLASSES),
    "edge": (16, 12, CLASSES),
  }


def test_the_pyramid_of_dense_aspp_may_have_a_momentum_of_its_own():
  net = _net("DenseASPP", pyramid_momentum=0.75, batchnorm_momentum=0.5)
  momenta = {}

  def note(call, args, kwargs, context):
    if isinstance(context.module, nn.BatchNorm):
      momenta.setdefault(context.module.path[0], context.module.momentum)
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
    jax.eval_shape(net.init, jax.random.key(0), image)
  pyramid = {f"rate_{rate}": 0.75 for rate in (3, 6, 12, 18, 24)}
  assert momenta == {"backbone": 0.5, **pyramid}
