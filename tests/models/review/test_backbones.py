"""Backbones against published counts, stage by stage, and their dilations."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from tiny_networks import abstract, equations

from lumbar_jax.models.review import resnet
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.res2net import res2net101
from lumbar_jax.models.review.resnet import ResNet
from lumbar_jax.models.summary import summarize
from lumbar_jax.models.unet import Outputs

DEEP = (64, 64, 128)


class Bare(nn.Module):
  """A backbone's last map as if it were a network's result."""

  backbone: nn.Module

  @nn.compact
  def __call__(self, images, train=False):
    return Outputs(self.backbone(images, train)[-1])


# One channel; 880 x 880, stride 32 but for the deep stem's 8.
@pytest.mark.parametrize(
  ("backbone", "stages", "stem", "gmacs"),
  [
    (
      ResNet(50, 64, TORCH),
      (215_808, 1_219_584, 7_098_368, 14_964_736),
      3_136 + 128,
      62.265,
    ),
    (
      ResNet(101, 64, TORCH, resnet.TORCHVISION_8, DEEP),
      (236_288, 1_219_584, 26_090_496, 14_964_736),
      111_680,
      544.298,
    ),
    (
      res2net101(64, TORCH, resnet.STRIDE_32),
      (214_056, 1_229_856, 26_705_936, 14_998_304),
      28_064 + 128,
      128.450,
    ),
  ],
  ids=["R50", "R101 deep, stride 8", "Res2Net101"],
)
def test_published_counts(backbone, stages, stem, gmacs):
  summary = summarize(Bare(backbone), (880, 880, 1))
  assert summary.params == stem + sum(stages)
  assert round(summary.macs / 1e9, 3) == gmacs
  found = summary.graph.variables["params"]["backbone"]
  for i, count in enumerate(stages, start=1):
    leaves = jax.tree.leaves(found[f"layer{i}"])
    assert sum(leaf.size for leaf in leaves) == count


def _names(tree):
  return {
    "/".join(entry.key for entry in path)
    for path, _ in jax.tree_util.tree_leaves_with_path(tree)
  }


def test_modules_are_named_as_torchvision_names_them():
  found = abstract(Bare(ResNet(50, 2, TORCH)), 1, 32, 32, 3)[1]
  found = {kind: tree["backbone"] for kind, tree in found.items()}
  params, stats = _names(found["params"]), _names(found["batch_stats"])
  assert {
    "conv1/kernel",
    "bn1/scale",
    "layer1/0/downsample/0/kernel",
    "layer1/0/downsample/1/bias",
    "layer3/5/conv2/kernel",
    "layer4/2/bn3/scale",
  } <= params
  assert {"bn1/mean", "layer4/0/downsample/1/var"} <= stats
  assert len(params) == 159  # a torchvision ResNet50 has 161, 2 of its fc
  assert "layer1/1/downsample/0/kernel" not in params


def _dilations(depth, dilation):
  """Returns the dilations of the 3 x 3 convolutions of layer3 and layer4."""
  net = ResNet(depth, 2, TORCH, dilation)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)

  def convolve(image):
    return net.init_with_output(jax.random.key(0), image, False)[0]

  jaxpr = jax.make_jaxpr(convolve)(image)
  kernels = [
    equation.params["rhs_dilation"][0]
    for equation in equations(jaxpr.jaxpr)
    if equation.primitive.name == "conv_general_dilated"
    and equation.invars[1].aval.shape[:2] == (3, 3)
  ]
  per_block = 2 if depth == 34 else 1
  return kernels[7 * per_block : 13 * per_block], kernels[13 * per_block :]


@pytest.mark.parametrize(
  ("depth", "name", "layer3", "layer4"),
  [
    (50, "STRIDE_32", [1] * 6, [1] * 3),
    (50, "TORCHVISION_8", [1, 2, 2, 2, 2, 2], [2, 4, 4]),
    (50, "SEMSEG_8", [2] * 6, [4] * 3),
    (34, "LEXTAL_8", [1, 1] + [2] * 10, [1, 1] + [4] * 4),
    (50, "EMANET_8", [1, 2, 2, 2, 2, 2], [2, 8, 16]),
    (50, "DANET_8", [1, 2, 2, 2, 2, 2], [4, 8, 16]),
    (50, "JFZHANG_16", [1] * 6, [2, 4, 8]),
  ],
)
def test_dilations(depth, name, layer3, layer4):
  assert _dilations(depth, getattr(resnet, name)) == (layer3, layer4)
