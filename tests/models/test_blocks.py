"""Blocks and deep supervision against numpy written from the paper's text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax.models import blocks, supervision
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.unet import VGG_CONVS, UNet

STYLE = LayerStyle()
KEY = jax.random.key(0)


def _normal(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def _random_like(tree, seed=7):
  """Random values in the shapes of a tree, so that no bias stays 0."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: rng.standard_normal(x.shape).astype(np.float32), tree
  )


def _conv1(params, x):
  """1 x 1 convolution with bias."""
  return x @ params["kernel"][0, 0] + params["bias"]


def _twice(x):
  return x.repeat(2, axis=1).repeat(2, axis=2)


def _pool(x):
  b, h, w, c = x.shape
  return x.reshape(b, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def _kernel_shapes(variables):
  leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
  names = ((tuple(e.key for e in path), leaf) for path, leaf in leaves)
  return {name[:-1]: leaf.shape for name, leaf in names if name[-1] == "kernel"}


def test_attention_gate_by_hand():
  skip, gate = _normal(2, 3, 4, 6), _normal(2, 3, 4, 5, seed=1)
  net = blocks.AttentionGate(4, STYLE)
  params = _random_like(net.init(KEY, skip, gate)["params"])
  inner = _conv1(params["skip"], skip) + _conv1(params["gate"], gate)
  assert inner.shape[-1] == 4
  weight = _conv1(params["weight"], np.maximum(inner, 0))
  assert weight.shape[-1] == 1
  expected = skip / (1 + np.exp(-weight))
  np.testing.assert_allclose(
    net.apply({"params": params}, skip, gate), expected, rtol=1e-4, atol=1e-6
  )


@pytest.fixture(scope="module")
def encoded():
  """C_1 .. C_5 with their widths doubling."""
  return [
    _normal(2, 32 >> n, 32 >> n, 3 << n, seed=n).clip(-2, 2) for n in range(5)
  ]


@pytest.fixture(scope="module")
def ds1(encoded):
  """Parameters and outputs of deep supervision on the encoder."""
  net = supervision.DeepSupervision(4, STYLE)
  params = _random_like(jax.eval_shape(net.init, KEY, encoded)["params"])
  return params, net.apply({"params": params}, encoded)


def test_ds1_is_the_recursion_from_the_coarsest_level(encoded, ds1):
  params, signals = ds1
  assert len(params) == len(signals) == 5
  lateral = [_conv1(params[f"level_{n + 1}"], encoded[n]) for n in range(5)]
  expected = [lateral[4]]
  for n in (3, 2, 1, 0):
    expected.insert(0, lateral[n] + _twice(expected[0]))
  for ours, theirs in zip(signals, expected, strict=True):
    assert ours.shape[-1] == 4
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_ds2_adds_the_pooled_finer_signal(ds1):
  previous = [np.asarray(p) for p in ds1[1]]
  ours = supervision.deep_supervision_v2(previous)
  expected = [previous[0]]
  for p in previous[1:]:
    expected.append(p + _pool(expected[-1]))
  for a, b in zip(ours, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_ds2_is_ds1_where_the_pooled_term_is_zero(ds1, monkeypatch):
  def no_pool(x):
    return jnp.zeros((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]))

  monkeypatch.setattr(supervision, "max_pool", no_pool)
  for a, b in zip(supervision.deep_supervision_v2(ds1[1]), ds1[1], strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("channels", [2, 64, 128])
def test_dense_block_sees_all_earlier_outputs(channels):
  """And has the parameters that the text gives for 64 channels."""
  x = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
  net = blocks.QBlock(64, STYLE)
  variables = jax.eval_shape(lambda x: net.init(KEY, x, True), x)
  assert _kernel_shapes(variables) == {
    ("conv_1",): (5, 5, channels, 64),
    ("conv_2",): (3, 3, channels + 64, 64),
    ("conv_3",): (1, 1, channels + 128, 64),
  }
  expected = {2: 50_124, 64: 189_376, 128: 333_120}[channels]
  leaves = jax.tree.leaves(variables["params"])
  assert sum(x.size for x in leaves) == expected


def test_dense_block_normalises_and_activates_before_each_convolution():
  """A block whose last convolution copies one channel shows what it sees."""
  x = _normal(2, 4, 4, 2)
  net = blocks.QBlock(3, STYLE)
  shapes = jax.eval_shape(lambda x: net.init(KEY, x, True), x)
  params = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  params = params["params"]
  params["norm_3"]["scale"][:] = 1
  params["norm_3"]["bias"][:] = 0.5
  params["conv_3"]["kernel"][0, 0, 1, 2] = 1  # input channel 1 -> output 2
  y, _ = net.apply({"params": params}, x, True, mutable=["batch_stats"])
  seen = x[..., 1]
  seen = (seen - seen.mean()) / np.sqrt(seen.var() + 1e-3) + 0.5
  expected = np.zeros((2, 4, 4, 3))
  expected[..., 2] = np.maximum(seen, 0)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_multi_kernel_has_four_branches_of_growing_kernels(depth):
  x = jax.ShapeDtypeStruct((1, 16, 16, 2), jnp.float32)
  net = blocks.MultiKernel(5, STYLE, depth)

  def run(x):
    variables = net.init(KEY, x, True)
    y, _ = net.apply(variables, x, True, mutable=["batch_stats"])
    return variables, y

  variables, y = jax.eval_shape(run, x)
  assert y.shape == (1, 16, 16, 4 * 5)
  kernels = sorted(_kernel_shapes(variables).values())
  assert kernels == sorted(
    (k, k, 2 if i == 0 else 5, 5) for k in (1, 3, 5, 7) for i in range(depth)
  )


def test_multi_kernel_keeps_its_branches_apart():
  """Each branch's channels are those of its own kernel, 1 to 7 wide."""
  x = np.zeros((1, 15, 15, 1), np.float32)
  x[0, 7, 7] = 1
  net = blocks.MultiKernel(1, STYLE)
  variables = jax.tree.map(np.asarray, net.init(KEY, x, False))
  variables["params"] = jax.tree_util.tree_map_with_path(
    lambda path, leaf: np.full_like(leaf, path[-1].key in ("kernel", "scale")),
    variables["params"],
  )
  y = np.asarray(net.apply(variables, x, False))[0]
  for branch, size in enumerate((1, 3, 5, 7)):
    rows, columns = np.nonzero(y[..., branch])
    half = size // 2
    assert len(rows) == size**2
    for places in (rows, columns):
      assert (places.min(), places.max()) == (7 - half, 7 + half)


def test_vgg_encoder_has_two_two_three_three_three_convolutions():
  from lumbar_jax.models import topology

  assert VGG_CONVS == (2, 2, 3, 3, 3)
  net = UNet(topology("UVD"), 2, width=2, style=STYLE)
  image = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
  params = jax.eval_shape(net.init, KEY, image)["params"]
  for level, count in enumerate((2, 2, 3, 3, 3), start=1):
    block = params[f"encoder_{level}"]
    assert sum(name.startswith("conv") for name in block) == count
    assert not any(name.startswith("norm") for name in block)
  for level in range(1, 5):  # the ascending branch keeps U blocks
    assert set(params[f"decoder_{level}"]) == {"conv_1", "conv_2"}
    assert "norm" in params[f"decoder_{level}"]["conv_1"]


def test_u_block_normalises_after_each_convolution():
  """conv-norm-act twice, by numpy, with 1 x 1-like kernels."""
  x = _normal(2, 4, 4, 2)
  net = blocks.UBlock(3, STYLE)
  shapes = jax.eval_shape(lambda x: net.init(KEY, x, True), x)["params"]
  params = _random_like(shapes)
  for name in ("conv_1", "conv_2"):
    kernel = params[name]["conv"]["kernel"]
    middle = kernel[1, 1].copy()
    kernel[:] = 0
    kernel[1, 1] = middle
  expected = x.astype(float)
  for name in ("conv_1", "conv_2"):
    conv, norm = params[name]["conv"], params[name]["norm"]
    y = expected @ conv["kernel"][1, 1] + conv["bias"]
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    y = norm["scale"] * (y - mean) / np.sqrt(variance + 1e-3) + norm["bias"]
    expected = np.maximum(y, 0)
  y, _ = net.apply({"params": params}, x, True, mutable=["batch_stats"])
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
