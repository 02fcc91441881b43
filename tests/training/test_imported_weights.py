"""Weights of ResNets from elsewhere: files, names, channels, a golden pass.

The golden values come from a ResNet50 in PyTorch, written with torchvision's
structure and names (width 8), whose state dict was filled by the index formulas
of `fingerprints.py`, running means as biases and variances as scales. Its
images were the golden ones, repeated to three channels.
"""

import functools
import json
import struct

import jax
import numpy as np
import pytest

from lumbar_jax import anatomy, config, models
from lumbar_jax.errors import InputError
from lumbar_jax.models.fingerprints import golden_input, index_hash
from lumbar_jax.models.review.layers import TORCH
from lumbar_jax.models.review.resnet import ResNet
from lumbar_jax.runs import Run
from lumbar_jax.training.imported_weights import (
  adapt_channels,
  replace_backbone,
)
from lumbar_jax.training.networks import initial_weights
from lumbar_jax.training.state_dicts import read_state_dict

OFFSET = 0x165667B1


@functools.cache
def _shapes(name, image=(32, 32, 1), **options):
  net = models.build(name, 3, width=8, **options)
  images = np.zeros((1, *image), np.float32)
  return dict(jax.eval_shape(net.init, jax.random.key(0), images))


def _random(shapes, seed):
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda x: rng.random(x.shape, np.float32), shapes)


def _state_dict(variables, prefix=""):
  """A network's backbone as a state dict, layout and names as in PyTorch."""
  state = {}

  def put(place, leaf):
    collection, backbone, *modules, leaf_name = (e.key for e in place)
    if backbone != "backbone":
      return
    statistic = {"mean": "running_mean", "var": "running_var"}
    weight = "bias" if leaf_name == "bias" else "weight"
    ending = statistic.get(leaf_name, weight)
    assert (collection == "batch_stats") == (leaf_name in statistic)
    name = ".".join((*modules, ending)).replace("convs_", "convs.")
    name = prefix + name.replace("bns_", "bns.")
    order = (3, 2, 0, 1) if leaf.ndim == 4 else range(leaf.ndim)
    state[name] = np.transpose(leaf, order)

  jax.tree_util.tree_map_with_path(put, dict(variables))
  for name in [n for n in state if n.endswith("running_var")]:
    counter = name.replace("running_var", "num_batches_tracked")
    state[counter] = np.array(7, np.int64)
  state[f"{prefix}fc.weight"] = np.zeros((1000, 256), np.float32)
  return state


def _write(path, state):
  if path.suffix == ".npz":
    np.savez(path, **state)
    return
  types = {"float32": "F32", "int64": "I64", "float16": "F16"}
  header, blob = {"__metadata__": {"format": "pt"}}, b""
  for name, array in state.items():
    raw = np.ascontiguousarray(array).tobytes()
    header[name] = {
      "dtype": types[array.dtype.name],
      "shape": array.shape,
      "data_offsets": (len(blob), len(blob) + len(raw)),
    }
    blob += raw
  text = json.dumps(header).encode()
  path.write_bytes(struct.pack("<Q", len(text)) + text + blob)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("name", ["PSPNet", "EMANet", "Inf-Net"])
def test_a_backbone_returns_as_it_was_written(tmp_path, name, suffix):
  """7 x 7 and deep stem, Res2Net's lists; the rest keeps its fresh values."""
  ours, fresh = (_random(_shapes(name), seed) for seed in (0, 1))
  path = tmp_path / f"weights{suffix}"
  _write(path, _state_dict(ours, prefix="module."))
  found = replace_backbone(fresh, read_state_dict(path), path)
  for collection, tree in found.items():
    for module, leaves in tree.items():
      source = ours if module == "backbone" else fresh
      jax.tree.map(
        np.testing.assert_array_equal, leaves, source[collection][module]
      )


def test_names_are_torchvisions():
  state = _state_dict(_random(_shapes("PSPNet"), 0))
  assert state["conv1.weight"].shape == (8, 1, 7, 7)
  assert state["bn1.running_mean"].shape == (8,)
  assert state["layer1.2.conv2.weight"].shape == (8, 8, 3, 3)
  assert state["layer2.0.downsample.0.weight"].shape == (16, 8, 1, 1)
  assert state["layer2.0.downsample.1.running_var"].shape == (16,)
  assert state["layer4.2.bn2.bias"].shape == (64,)


def test_a_deep_stem_may_bear_semsegs_names():
  ours, fresh = (_random(_shapes("EMANet"), seed) for seed in (0, 1))
  state = _state_dict(ours)
  stem = {"1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "0": "conv1"}
  renamed = {}
  for name, array in state.items():
    module, _, leaf = name.rpartition(".")
    if module == "bn1":
      module = "bn3"
    elif module.startswith("conv1."):
      module = stem[module[-1]]
    renamed[f"{module}.{leaf}"] = array
  found = replace_backbone(fresh, renamed, "r.npz")
  jax.tree.map(
    np.testing.assert_array_equal,
    found["params"]["backbone"],
    ours["params"]["backbone"],
  )


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_that_show_one_image_count_as_the_files(channels):
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((7, 7, 3, 4))
  adapted = adapt_channels(kernel, channels)
  assert adapted.shape == (7, 7, channels, 4)
  np.testing.assert_allclose(adapted.sum(axis=2), kernel.sum(axis=2))
  if channels == 3:
    np.testing.assert_array_equal(adapted, kernel)


def _indexed(name, shape):
  """A state dict's array by the index formulas."""
  if len(shape) == 4:
    scale = np.sqrt(2 / np.prod(shape[1:]))
    return (index_hash(shape, OFFSET) * scale).astype(np.float32)
  channel = np.arange(shape[0])
  if name.endswith(("weight", "running_var")):
    return (1 + 0.1 * np.cos(channel)).astype(np.float32)
  return (0.1 * np.sin(channel + 1)).astype(np.float32)


# Of layer1 to layer4: mean, standard deviation, and the values at (image,
# channel, row, column) (0, 7, 1, 0), (1, 0, 1, 1) and (1, 9, 0, 1).
GOLDEN = (
  (8.5439, 14.7413, 6.6848, 9.8075, 4.8447),
  (108.9652, 174.2936, 103.4389, 84.6267, 5.2466),
  (1198.336, 1862.6976, 3251.3873, 1691.7061, 1061.905),
  (4926.0773, 6609.8105, 13191.6866, 1702.8966, 251.8112),
)


def test_golden_features_of_a_resnet_in_pytorch(tmp_path):
  net, images = ResNet(50, 8, TORCH), golden_input((2, 1, 64, 48))
  shapes = jax.eval_shape(
    lambda key: net.init(key, images, False), jax.random.key(0)
  )
  fresh = {
    name: {"backbone": jax.tree.map(lambda x: np.zeros(x.shape), tree)}
    for name, tree in shapes.items()
  }
  state = _state_dict(fresh)
  state["conv1.weight"] = np.zeros((8, 3, 7, 7))  # of images in colour
  path = tmp_path / "resnet50.safetensors"
  _write(path, {n: _indexed(n, a.shape) for n, a in state.items() if a.ndim})
  found = replace_backbone(fresh, read_state_dict(path), path)
  variables = {name: tree["backbone"] for name, tree in found.items()}
  maps = jax.jit(lambda v, x: net.apply(v, x, False))(variables, images)
  for x, expected in zip(maps, GOLDEN, strict=True):
    x = np.asarray(x, np.float64)
    values = (x.mean(), x.std(), x[0, 1, 0, 7], x[1, 1, 1, 0], x[1, 0, 1, 9])
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  ("change", "problem"),
  [
    (lambda s: s.pop("layer2.1.bn1.bias"), "there is no layer2.1.bn1.bias"),
    (
      lambda s: s.update({"layer3.6.conv1.weight": s["conv1.weight"]}),
      "the backbone has no layer3.6.conv1.weight",
    ),
    (
      lambda s: s.update({"layer1.0.conv2.weight": s["conv1.weight"]}),
      r"layer1.0.conv2.weight is \(7, 7, 1, 8\) there, \(3, 3, 8, 8\) here",
    ),
    (lambda s: s.pop("layer1.0.conv1.weight"), "0 arrays are named layer1.0"),
    (
      lambda s: s.update({"ema.layer1.0.conv1.weight": s["conv1.weight"]}),
      "2 arrays are named layer1.0",
    ),
  ],
  ids=["lacks", "too much", "shape", "no ResNet", "two"],
)
def test_the_first_misfit_is_named(change, problem):
  fresh = _random(_shapes("PSPNet"), 1)
  state = _state_dict(fresh)
  change(state)
  with pytest.raises(InputError, match=f"r.npz: {problem}"):
    replace_backbone(fresh, state, "r.npz")


def test_a_network_without_a_resnet_is_refused():
  with pytest.raises(InputError, match=r"backbone_weights.*no ResNet"):
    replace_backbone({"params": {"classify": {}}}, {}, "r.npz")


def test_unreadable_files_are_refused(tmp_path):
  path = tmp_path / "weights.pth"
  with pytest.raises(InputError, match=r"not a .safetensors or .npz file"):
    read_state_dict(path)
  with pytest.raises(InputError, match="no such file"):
    read_state_dict(path.with_suffix(".npz"))
  whole = tmp_path / "whole.safetensors"
  _write(whole, {"a": np.arange(6, dtype=np.float32), "b": np.float16([1, 2])})
  found = read_state_dict(whole)
  np.testing.assert_array_equal(found["a"], np.arange(6))
  np.testing.assert_array_equal(found["b"], [1, 2])
  for data in (whole.read_bytes()[:-1], b"\x08" + 7 * b"\0" + b"[1, 2,3]", b""):
    for suffix in (".safetensors", ".npz"):
      damaged = tmp_path / f"damaged{suffix}"
      damaged.write_bytes(data)
      with pytest.raises(InputError, match="not a readable"):
        read_state_dict(damaged)


def test_a_run_starts_from_the_file_of_its_config(tmp_path):
  settings = config.default()
  settings.model.update(name="PSPNet", width=8)
  ours, fresh = (_random(_shapes("PSPNet"), seed) for seed in (0, 1))
  path = tmp_path / "weights.npz"
  _write(path, _state_dict(ours))
  settings.model.backbone_weights = str(path)
  run = Run(tmp_path, settings, anatomy.SCHEMES["midas12"])
  found = initial_weights(run, 0)(fresh)
  np.testing.assert_array_equal(
    found["params"]["backbone"]["conv1"]["kernel"],
    ours["params"]["backbone"]["conv1"]["kernel"],
  )
  settings.training.init_from = "runs/other"
  with pytest.raises(InputError, match=r"init_from.*backbone_weights.*both"):
    config.validate(settings)
