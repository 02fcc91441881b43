"""A golden entry made here, with other sizes and another hash offset.

The reference is a slow second implementation of UAD in numpy, NCHW, without
anything of the package; only the formulas of the protocol are shared.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OFFSET = 0x7A3C19E5
WIDTH, CLASSES, SHAPE = 16, 7, (2, 3, 32, 48)


def _hash(*shape):
  """Unit-variance values of (out, in, y, x)."""
  o, i, y, x = np.indices(shape, dtype=np.uint64)
  k = o * 0x9E3779B1 + i * 0x85EBCA77 + y * 0xC2B2AE3D + x * 0x27D4EB2F
  k = (k + OFFSET) % 2**32
  k = (k ^ k >> 15) * 0x2C1B3C6D % 2**32
  k = (k ^ k >> 12) * 0x297A2D39 % 2**32
  k ^= k >> 15
  return (k * 2.0**-31 - 1) * math.sqrt(3)


def _bias(channels):
  return 0.1 * np.sin(np.arange(channels) + 1)[:, None, None]


def _conv(x, features, size):
  kernel = _hash(features, x.shape[1], size, size)
  kernel *= math.sqrt(2 / (size * size * x.shape[1]))
  edge = size // 2
  padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
  rows, columns = x.shape[2:]
  y = 0
  for i in range(size):
    for j in range(size):
      part = padded[:, :, i : i + rows, j : j + columns]
      y = y + np.einsum("bchw,oc->bohw", part, kernel[:, :, i, j])
  return y + _bias(features)


def _double(x):
  """Two times 3 x 3 convolution, batch normalisation, ReLU."""

  def one(x, features):
    x = _conv(x, features, 3)
    channel = np.arange(features)[:, None, None]
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    x = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-3)
    return np.maximum(x * (1 + 0.1 * np.cos(channel)) + _bias(features), 0)

  return lambda features: one(one(x, features), features)


def _up_conv(x, features):
  """y[2p + j] += x[p] w[j], cropped to twice the input."""
  b, channels, rows, columns = x.shape
  kernel = _hash(features, channels, 3, 3) * math.sqrt(2 / channels)
  y = np.zeros((b, features, 2 * rows + 1, 2 * columns + 1))
  for i in range(3):
    for j in range(3):
      part = np.einsum("bchw,oc->bohw", x, kernel[:, :, i, j])
      y[:, :, i : i + 2 * rows : 2, j : j + 2 * columns : 2] += part
  return y[:, :, :-1, :-1] + _bias(features)


def _gate(skip, up):
  inner = skip.shape[1] // 2
  both = np.maximum(_conv(skip, inner, 1) + _conv(up, inner, 1), 0)
  return skip / (1 + np.exp(-_conv(both, 1, 1)))


def _uad(x):
  skips = []
  for level in range(5):
    if level:
      b, c, h, w = x.shape
      x = x.reshape(b, c, h // 2, 2, w // 2, 2).max((3, 5))
    x = _double(x)(WIDTH * 2**level)
    skips.append(x)
  signal = 0
  for level in (3, 2, 1, 0):
    up = _up_conv(x, WIDTH * 2**level)
    x = np.concatenate([_gate(skips[level], up), up], axis=1)
    x = _double(x)(WIDTH * 2**level)
    if level < 3:
      signal = signal.repeat(2, axis=2).repeat(2, axis=3)
    signal = signal + _conv(x, WIDTH, 1)
  return _conv(signal, CLASSES, 1)


def _images():
  _, channels, rows, columns = SHAPE
  c, h, w = np.ogrid[:channels, :rows, :columns]
  first = np.sin(0.11 * (h + 1) * (1 + 0.3 * c))
  first = first + np.cos(0.07 * (w + 1) * (1 + 0.2 * c))
  second = np.cos(0.05 * (h + 1) + 0.2 * c) * np.sin(0.13 * (w + 1))
  return np.stack([first, second])


def test_verification_takes_another_file(tmp_path):
  y = _uad(_images())
  rng = np.random.default_rng(0)
  places = [tuple(int(rng.integers(n)) for n in y.shape) for _ in range(12)]
  entry = {
    "input_shape_nchw": list(SHAPE),
    "shape": list(y.shape[1:]),
    "mean": y.mean(),
    "std": y.std(),
    "points": [[*place, y[place]] for place in places],
    "max_abs_diff_fp32_vs_fp64": 1e-4,
  }
  path = tmp_path / "others.json"
  for offset, passed in ((OFFSET, 1), (OFFSET + 1, 0)):
    entries = {
      "_protocol": {"hash_offset": hex(offset)},
      "004 UAD m=16": entry,
    }
    path.write_text(json.dumps(entries))
    done = subprocess.run(
      [
        sys.executable,
        str(ROOT / "experiments" / "verify_architectures.py"),
        f"--fingerprints={path}",
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
    said = done.stdout.splitlines()[-1:] or done.stderr
    assert said == [f"{passed} passed, {1 - passed} failed"]
    assert done.returncode == 1 - passed
