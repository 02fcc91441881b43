"""Every network against published counts and golden forward passes.

The counts and the golden values come from reference networks in another
framework; one of them reproduces the model summary of paper 000's first
author.
"""

import csv
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
from lumbar_jax.models.summary import summarize

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("fingerprints.json")
OFFSET = 0x165667B1

# One image; the macs are of plain layers, the output as (h, w, classes).
with (Path(__file__).with_name("arch_checks.csv")).open() as file:
  CHECKS = {row["name"]: row for row in csv.DictReader(file)}


def _shape(text):
  return tuple(map(int, text.split()))


def _summary(name, image, classes, overrides):
  return summarize(models.build(name, classes, image[0], **overrides), image)


def _here(row):
  """Paper 002's networks are deep: `make verify` does the rest of theirs."""
  variant = "_official" in row["network"] or "depth" in row["overrides"]
  small = row["output"] in ("256 256 20", "257 257 20", "32 32 20")
  edges = "edge" in row["overrides"]
  one = small and not variant and not edges
  return row["network"] in models.names("000") or one


@pytest.mark.parametrize("name", [n for n in CHECKS if _here(CHECKS[n])])
def test_counts_and_output_shape(name):
  row = CHECKS[name]
  output = _shape(row["output"])
  overrides = json.loads(row["overrides"])
  summary = _summary(
    row["network"], _shape(row["image"]), output[-1], overrides
  )
  assert summary.params == int(row["params"])
  assert summary.batch_stats == int(row["batch_stats"])
  assert summary.output == output
  assert summary.macs == int(row["macs"])


def test_blocks_add_up_to_the_whole():
  summary = _summary("UAMD", (64, 32, 2), 5, {"width": 4})
  for name in ("params", "batch_stats", "macs"):
    total = sum(getattr(row, name) for row in summary.rows)
    assert total == getattr(summary, name), name


def test_per_pixel_prelu_has_a_slope_for_every_pixel_and_channel():
  overrides = {"prelu_per_pixel": True}
  summary = _summary("UVDD", (256, 256, 2), 12, overrides)
  assert summary.params == 44_521_612 + 33_808_896


def test_every_network_has_a_row():
  assert set(models.names()) == {row["network"] for row in CHECKS.values()}


def test_author_summary_of_u1():
  """The first author's own summaries: trained and running values together."""
  for name, total in (("", 34_535_810), (" m=32", 8_641_730)):
    row = CHECKS[f"author's U-Net{name}"]
    assert int(row["params"]) + int(row["batch_stats"]) == total


def test_fcn_has_the_parameters_of_fcn8s_on_voc():
  """Three channels and 21 classes, as in Long et al. 2015."""
  assert _summary("FCN", (32, 32, 3), 21, {}).params == 134_489_759


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


def test_paper_002_trains_all_networks_alike():
  """Section 4.2: Adam, 5e-4."""
  for name in models.names("002"):
    row = models.topology(name)
    assert (row.optimizer, row.learning_rate) == ("adam", 5e-4)


def test_table_3():
  assert set(models.names("000")) == set(TABLE_3)
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
  overrides["dropout"] = (0.0,) * len(models.module(network).dropout)
  net = models.build(network, entry["shape"][0], **overrides)
  outputs = fingerprints.forward(net, entry["input_shape_nchw"], OFFSET)
  return fingerprints.compare(entry, np.asarray(outputs.logits))


# One entry for each block of paper 000, the narrowest there is, and two small
# networks of paper 002: `make verify` does all. The script's own test below has
# the one with attention gates.
@pytest.mark.parametrize(
  ("entry", "network", "overrides"),
  [
    ("004 UMD m=32", "UMD", {"width": 32}),  # U, M, DS.v3
    ("004 UVD m=32", "UVD", {"width": 32}),  # V, PReLU
    ("000 UQD", "UQD", {}),  # Q
    ("000 UDD2", "UDD2", {}),  # DS.v1, DS.v2
    ("004 FCN8 m=32", "FCN", {"width": 32}),
    ("002 MiniSeg", "MiniSeg", {}),
    ("002 PSPNet R34 Lextal (logits)", "PSPNet", {}),
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
    "dense": {"kernel": (20, 9)},
    "attention": {"gamma": (1,)},
    "vit": {"pos_embedding": (1, 7, 12), "cls_token": (1, 1, 12)},
  }
  tree = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
    shapes,
    is_leaf=lambda x: isinstance(x, tuple),
  )
  filled = fingerprints.fill_params(tree, offset, {("up_2",)})
  kernel = filled["encoder"]["conv"]["kernel"]
  for y, x, i, o in [(0, 0, 0, 0), (4, 1, 69, 32), (2, 3, 5, 17)]:
    expected = _hash(o, i, y, x, offset) * math.sqrt(2 / (5 * 5 * 70))
    assert kernel[y, x, i, o] == np.float32(expected)
  up = filled["up_2"]["kernel"]
  for y, x, i, o in [(0, 0, 0, 0), (2, 1, 19, 8), (0, 2, 7, 3)]:
    expected = _hash(o, i, y, x, offset) * math.sqrt(2 / 20)
    assert up[2 - y, 2 - x, i, o] == np.float32(expected)
  for i, o in [(0, 0), (19, 8), (3, 5)]:
    expected = _hash(o, i, 0, 0, offset) * math.sqrt(2 / 20)
    assert filled["dense"]["kernel"][i, o] == np.float32(expected)
  position = filled["vit"]["pos_embedding"]
  assert position[0, 6, 11] == np.float32(0.02 * _hash(6, 11, 0, 0, offset))
  token = filled["vit"]["cls_token"]
  assert token[0, 0, 4] == np.float32(0.02 * math.sin(5))
  assert filled["attention"]["gamma"] == 0.5
  bias = filled["encoder"]["conv"]["bias"]
  assert bias[11] == np.float32(0.1 * math.sin(12))
  assert filled["norm"]["scale"][39] == np.float32(1 + 0.1 * math.cos(39))
  assert filled["act"]["alpha"][2] == np.float32(0.25 + 0.05 * math.sin(3))


def test_bases_are_filled_and_of_length_1():
  shape = jax.ShapeDtypeStruct((7, 3), jnp.float32)
  tree = {"bases": {"unit": {"mu": shape}}, "batch_stats": {"mean": shape}}
  filled = fingerprints.fill_collections(tree, OFFSET)
  column = np.array([_hash(c, 2, 0, 0, OFFSET) for c in range(7)])
  np.testing.assert_allclose(
    filled["bases"]["unit"]["mu"][:, 2],
    column / np.sqrt(np.square(column).sum()),
    rtol=1e-6,
  )
  assert not filled["batch_stats"]["mean"].any()


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
