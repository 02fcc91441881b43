"""Every network against published counts and golden forward passes.

The counts and the golden values come from reference networks in another
framework; one of them reproduces the model summary of paper 000's first
author.
"""

import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.models import fingerprints

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("fingerprints.json")
OFFSET = 0x165667B1

# Row, network, overrides, classes, parameters, BatchNorm running statistics.
COUNTS = (
  # Paper 000, m = 64.
  ("FCN", {}, 12, 134_359_844, 0),
  ("U1", {}, 12, 34_525_260, 11_776),
  ("UA", {}, 12, 34_874_864, 11_776),
  ("UD", {}, 12, 34_586_956, 11_776),
  ("UAD", {}, 12, 34_936_560, 11_776),
  ("UMD", {}, 12, 34_744_780, 12_288),
  ("UAMD", {}, 12, 35_094_384, 12_288),
  ("UVMD", {}, 12, 47_124_940, 4_352),
  ("UVDD", {}, 12, 44_521_612, 3_840),
  ("UQD", {}, 12, 2_305_240, 8_076),
  ("UDD", {}, 12, 32_133_772, 11_776),
  ("UMDD", {}, 12, 32_291_596, 12_288),
  ("UDD2", {}, 12, 32_133_772, 11_776),
  ("UMD", {}, 5, 34_744_325, 12_288),
  # The slides of 2020 (their UD and U1 are those above).
  ("UAD", {"width": 16}, 12, 2_187_720, 2_944),
  ("UVAD", {"width": 32}, 12, 11_837_056, 1_920),
  ("UAMD", {"width": 16}, 12, 2_199_528, 3_072),
  ("UVD", {"width": 32}, 12, 11_749_292, 1_920),
  ("UMD", {"width": 32}, 12, 8_693_996, 6_144),
  ("FCN", {"width": 32}, 12, 33_639_076, 0),
  # Other readings of the text.
  ("U1", {"up_kernel": 2}, 12, 31_043_660, 11_776),
  ("UMD", {"multi_kernel_depth": 2}, 12, 35_089_612, 12_800),
  ("UMD", {"multi_kernel_divisor": 4}, 12, 34_625_548, 11_904),
  ("UVMD", {"vgg_cap": True}, 12, 28_249_036, 4_352),
  ("UVDD", {"vgg_cap": True}, 12, 25_611_404, 3_840),
  ("UVDD", {"activation": "relu"}, 12, 44_513_932, 3_840),
  ("UVDD", {"vgg_norm": True}, 12, 44_533_132, 15_360),
  ("UVDD", {"prelu_per_pixel": True}, 12, 44_521_612 + 33_808_896, 3_840),
  ("UD", {"ds3_from_bottleneck": True}, 12, 34_652_556, 11_776),
  ("UA", {"gate_divisor": 1}, 12, 35_224_464, 11_776),
  ("UVAD", {"width": 32, "vgg_cap": True}, 12, 7_116_928, 1_920),
  ("UVD", {"width": 32, "vgg_cap": True}, 12, 7_029_164, 1_920),
)


def _row_id(value):
  if isinstance(value, dict):
    return ",".join(f"{k}={v}" for k, v in value.items()) or "plain"
  return str(value)


def _size(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ("name", "overrides", "classes", "params", "stats"), COUNTS, ids=_row_id
)
def test_counts_and_output_shape(name, overrides, classes, params, stats):
  net = models.build(name, classes, **overrides)
  image = jax.ShapeDtypeStruct((1, 256, 256, 2), jnp.float32)
  outputs, variables = jax.eval_shape(
    net.init_with_output, jax.random.key(0), image
  )
  assert _size(variables["params"]) == params
  assert _size(variables.get("batch_stats", {})) == stats
  assert set(variables) == {"params", *(["batch_stats"] if stats else [])}
  assert outputs.logits.shape == (1, 256, 256, classes)


def test_every_network_has_a_row():
  assert set(models.names()) == {name for name, *_ in COUNTS}


def test_author_summary_of_u1():
  """The first author's own summaries: one channel, two classes."""
  for width, total, trained in (
    (64, 34_535_810, 34_524_034),
    (32, 8_641_730, None),
  ):
    net = models.build("U1", 2, width=width)
    image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), image)
    assert _size(variables) == total
    assert trained in (None, _size(variables["params"]))


def test_fcn_has_the_parameters_of_fcn8s_on_voc():
  """Three channels and 21 classes, as in Long et al. 2015."""
  net = models.build("FCN", 21)
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), image)
  assert _size(variables) == 134_489_759


# Paper 000, Table 3, and the slides of 2020 (UVAD, UVD).
TABLE_3 = {
  **dict.fromkeys(
    ("FCN", "UA", "UD", "UMD", "UAMD", "UVMD", "UQD", "UDD", "UMDD", "UDD2"),
    ("adam", 3.3e-4, "relu"),
  ),
  "U1": ("adadelta", 1.0, "relu"),
  "UAD": ("rmsprop", 1e-3, "relu"),
  "UVDD": ("adam", 3.3e-4, "prelu"),
  "UVAD": ("adam", 3.3e-4, "prelu"),
  "UVD": ("adam", 3.3e-4, "prelu"),
}


def test_table_3():
  assert set(models.names()) == set(TABLE_3)
  for name, expected in TABLE_3.items():
    row = models.topology(name)
    assert (row.optimizer, row.learning_rate, row.activation) == expected


@functools.cache
def _golden():
  entries = json.loads(GOLDEN.read_text())
  assert int(entries.pop("_protocol")["hash_offset"], 16) == OFFSET
  return entries


def _compare(entry_name, network, **overrides):
  entry = _golden()[entry_name]
  net = models.build(network, entry["shape"][0], **overrides)
  outputs = fingerprints.forward(net, entry["input_shape_nchw"], OFFSET)
  return fingerprints.compare(entry, np.asarray(outputs.logits))


# One entry for each block, the narrowest there is: `make verify` does all. The
# script's own test below has the one with attention gates.
@pytest.mark.parametrize(
  ("entry", "network", "overrides"),
  [
    ("004 UMD m=32", "UMD", {"width": 32}),  # U, M, DS.v3
    ("004 UVD m=32", "UVD", {"width": 32}),  # V, PReLU
    ("000 UQD", "UQD", {}),  # Q
    ("000 UDD2", "UDD2", {}),  # DS.v1, DS.v2
    ("004 FCN8 m=32", "FCN", {"width": 32, "dropout": (0.0, 0.0)}),
  ],
  ids=lambda x: x if isinstance(x, str) else "",
)
def test_golden_forward_pass(entry, network, overrides):
  assert _compare(entry, network, **overrides) == []


def test_a_wrong_epsilon_fails_the_comparison():
  wrong = {"width": 16, "batchnorm_epsilon": 1e-5}
  assert _compare("004 UAD m=16", "UAD", **wrong)


def _small_entry():
  rng = np.random.default_rng(0)
  output = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
  nchw = output.transpose(0, 3, 1, 2).astype(float)
  places = [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)]
  entry = {
    "shape": [3, 4, 5],
    "mean": nchw.mean(),
    "std": nchw.std(),
    "points": [[*place, nchw[place]] for place in places],
    "max_abs_diff_fp32_vs_fp64": 3e-4,
  }
  return entry, output


def test_compare_names_what_differs():
  entry, output = _small_entry()
  assert fingerprints.compare(entry, output) == []
  (line,) = fingerprints.compare(entry, output[:, :, :4])
  assert "[3, 4, 4]" in line
  assert "[3, 4, 5]" in line
  (line,) = fingerprints.compare({**entry, "mean": 9}, output)
  assert line.startswith("mean")
  (line,) = fingerprints.compare({**entry, "std": 9}, output)
  assert line.startswith("std")
  assert fingerprints.compare(entry, np.full_like(output, np.nan))


def test_compare_tolerates_ten_times_the_conditioning():
  entry, output = _small_entry()
  near, far = output.copy(), output.copy()
  near[1, 3, 4, 2] += 2.9e-3
  far[1, 3, 4, 2] += 3.1e-3
  assert fingerprints.compare(entry, near) == []
  assert [line[:15] for line in fingerprints.compare(entry, far)] == [
    "at [1, 2, 3, 4]"
  ]


def _hash(o, i, y, x, offset):
  """The protocol's formula in Python's whole numbers."""
  k = o * 0x9E3779B1 + i * 0x85EBCA77 + y * 0xC2B2AE3D + x * 0x27D4EB2F
  k = (k + offset) % 2**32
  k ^= k >> 15
  k = k * 0x2C1B3C6D % 2**32
  k ^= k >> 12
  k = k * 0x297A2D39 % 2**32
  k ^= k >> 15
  return (2 * k / 2**32 - 1) * math.sqrt(3)


@pytest.mark.parametrize("offset", [OFFSET, 0, 0x9ABCDEF1])
def test_parameters_are_filled_by_the_formulas(offset):
  shapes = {
    "encoder": {"conv": {"kernel": (5, 5, 70, 33), "bias": (33,)}},
    "up_2": {"kernel": (3, 3, 20, 9)},
    "norm": {"scale": (40,)},
    "act": {"alpha": (6,)},
  }
  tree = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
    shapes,
    is_leaf=lambda x: isinstance(x, tuple),
  )
  filled = fingerprints.fill_params(tree, offset)
  kernel = filled["encoder"]["conv"]["kernel"]
  for y, x, i, o in [(0, 0, 0, 0), (4, 1, 69, 32), (2, 3, 5, 17)]:
    expected = _hash(o, i, y, x, offset) * math.sqrt(2 / (5 * 5 * 70))
    assert kernel[y, x, i, o] == np.float32(expected)
  up = filled["up_2"]["kernel"]
  for y, x, i, o in [(0, 0, 0, 0), (2, 1, 19, 8), (0, 2, 7, 3)]:
    expected = _hash(o, i, y, x, offset) * math.sqrt(2 / 20)
    assert up[2 - y, 2 - x, i, o] == np.float32(expected)
  bias = filled["encoder"]["conv"]["bias"]
  assert bias[11] == np.float32(0.1 * math.sin(12))
  assert filled["norm"]["scale"][39] == np.float32(1 + 0.1 * math.cos(39))
  assert filled["act"]["alpha"][2] == np.float32(0.25 + 0.05 * math.sin(3))


def test_golden_input():
  images = fingerprints.golden_input((2, 3, 20, 50))
  assert images.shape == (2, 20, 50, 3)
  for h, w, c in [(0, 0, 0), (19, 49, 2), (7, 30, 1)]:
    first = math.sin(0.11 * (h + 1) * (1 + 0.3 * c))
    first += math.cos(0.07 * (w + 1) * (1 + 0.2 * c))
    second = math.cos(0.05 * (h + 1) + 0.2 * c) * math.sin(0.13 * (w + 1))
    np.testing.assert_allclose(
      images[:, h, w, c], [first, second], rtol=1e-5, atol=1e-6
    )
  with pytest.raises(ValueError, match="batch size 2"):
    fingerprints.golden_input((1, 2, 16, 16))


@pytest.fixture(scope="module")
def golden_file(tmp_path_factory):
  """One right, one wrong and one unknown entry."""
  right = _golden()["004 UAD m=16"]
  wrong = json.loads(json.dumps(_golden()["004 UAMD m=16"]))
  wrong["points"][5][-1] += 0.1
  entries = {
    "_protocol": {"hash_offset": hex(OFFSET)},
    "004 UAD m=16": right,
    "004 UAMD m=16": wrong,
    "000 UNKNOWN": right,
  }
  path = tmp_path_factory.mktemp("golden") / "entries.json"
  path.write_text(json.dumps(entries))
  return path


def _verify(path, *arguments):
  return subprocess.run(
    [
      sys.executable,
      str(ROOT / "experiments" / "verify_architectures.py"),
      f"--fingerprints={path}",
      *arguments,
    ],
    capture_output=True,
    text=True,
    timeout=300,
    env={
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    },
  )


def test_verification_script_fails_where_one_entry_does(golden_file):
  done = _verify(golden_file)
  assert done.returncode == 1, done.stderr
  lines = done.stdout.splitlines()
  assert len(lines) == 4
  assert lines[0].split() == ["ok", "004", "UAD", "m=16"]
  assert lines[1].startswith("FAIL 004 UAMD m=16 at [")
  assert lines[2].startswith("FAIL 000 UNKNOWN")
  assert lines[3] == "1 passed, 2 failed"


def test_verification_script_passes_the_right_entry(golden_file):
  done = _verify(golden_file, "--only=UAD")
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == "1 passed, 0 failed"
