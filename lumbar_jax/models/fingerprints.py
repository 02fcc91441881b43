"""Golden forward passes: parameters and inputs made from indices alone.

A reference implementation in any framework fills its tensors by these formulas
and records what its network gives; ours must give the same. The test needs no
weight file and no other framework. It is sensitive to padding, dilation,
concatenation order, resizing, BatchNorm's epsilon and the order of recursion.
"""

from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

# Multipliers of the indices (out, in, row, column, depth), mod 2^32.
_FACTORS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x61C88647)
_MASK = np.uint64(0xFFFFFFFF)


def index_hash(shape: tuple[int, ...], offset: int) -> np.ndarray:
  """Returns unit-variance values [out in rows columns] from their indices."""
  key = np.full(shape, offset, np.uint64)
  for axis, index in enumerate(np.indices(shape, dtype=np.uint64, sparse=True)):
    key = (key + index * np.uint64(_FACTORS[axis])) & _MASK
  key ^= key >> np.uint64(15)
  key = key * np.uint64(0x2C1B3C6D) & _MASK
  key ^= key >> np.uint64(12)
  key = key * np.uint64(0x297A2D39) & _MASK
  key ^= key >> np.uint64(15)
  return (2 * key.astype(np.float64) / 2**32 - 1) * np.sqrt(3)


def _kernel(shape, transposed: bool, offset: int) -> np.ndarray:
  """Fills a kernel [rows columns in out], or [in out] of a dense layer."""
  rows, columns, num_in, num_out = (1,) * (4 - len(shape)) + tuple(shape)
  values = index_hash((num_out, num_in, rows, columns), offset)
  if transposed:  # index order of torch and Keras; Flax has it flipped
    values = values[:, :, ::-1, ::-1] * np.sqrt(2 / num_in)
  else:  # of a grouped convolution num_in is a group's
    values = values * np.sqrt(2 / (rows * columns * num_in))
  return values.transpose(2, 3, 1, 0).reshape(shape)


def _table(shape, offset: int) -> np.ndarray:
  """Fills [a b] from its indices."""
  return index_hash((*shape, 1, 1), offset).reshape(shape)


def _fill(kind: str, shape: tuple[int, ...], transposed: bool, offset: int):
  """Fills a parameter by its kind, the last name of its path."""
  if kind == "kernel":
    return _kernel(shape, transposed, offset)
  if kind == "pos_embedding":
    return 0.02 * _table(shape[-2:], offset).reshape(shape)
  channel = np.arange(shape[-1])
  values = {
    "bias": 0.1 * np.sin(channel + 1),
    "scale": 1 + 0.1 * np.cos(channel),
    "alpha": 0.25 + 0.05 * np.sin(channel + 1),
    "gamma": 0.5,
    "cls_token": 0.02 * np.sin(channel + 1),
  }
  return np.broadcast_to(values[kind], shape)


def _names(path) -> tuple[str, ...]:
  return tuple(entry.key for entry in path)


def fill_params(
  params: Mapping[str, Any],
  offset: int,
  transposed: Collection[tuple[str, ...]] = (),
) -> dict[str, Any]:
  """Fills a parameter tree (of arrays or shapes) by the formulas, float32.

  Args:
    params: the tree.
    offset: the hash's last constant.
    transposed: paths of the modules whose kernels are of transposed
      convolutions.
  """

  def fill(path, leaf):
    *owner, kind = _names(path)
    values = _fill(kind, leaf.shape, tuple(owner) in transposed, offset)
    return values.astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, params)


def fill_collections(
  collections: Mapping[str, Any], offset: int
) -> dict[str, Any]:
  """Fills what is not trained: bases of length 1, all else is 0."""

  def fill(path, leaf):
    if _names(path)[-1] != "mu":
      return np.zeros(leaf.shape, leaf.dtype)
    values = _table(leaf.shape, offset)
    return (values / np.linalg.norm(values, axis=0)).astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, collections)


def _initialise(net: nn.Module, images):
  """Returns the shapes of a network's variables, and its transposed modules."""
  transposed = set()

  def note(call, args, kwargs, context):
    if getattr(context.module, "transposed", False):
      transposed.add(context.module.path)
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    shapes = jax.eval_shape(net.init, jax.random.key(0), images)
  return dict(shapes), transposed


def golden_input(shape: tuple[int, int, int, int]) -> np.ndarray:
  """Returns the two golden images [2 c h w] as [2 h w c] float32."""
  batch, channels, height, width = shape
  if batch != 2:
    raise ValueError(f"the golden input has batch size 2, not {batch}")
  c, h, w = np.ogrid[:channels, :height, :width]
  first = np.sin(0.11 * (h + 1) * (1 + 0.3 * c))
  first = first + np.cos(0.07 * (w + 1) * (1 + 0.2 * c))
  second = np.cos(0.05 * (h + 1) + 0.2 * c) * np.sin(0.13 * (w + 1))
  return np.stack([first, second]).transpose(0, 2, 3, 1).astype(np.float32)


def forward(net, shape, offset: int):
  """Returns the outputs of a network filled by the formulas.

  BatchNorm uses the batch's statistics; the network has no dropout.

  Args:
    net: a module of `lumbar_jax.models.build` without dropout.
    shape: input shape (2, c, h, w).
    offset: the hash's last constant.
  """
  images = golden_input(shape)
  rest, transposed = _initialise(net, images)
  params = fill_params(rest.pop("params"), offset, transposed)
  rest = fill_collections(rest, offset)
  outputs, _ = jax.jit(
    lambda v, x: net.apply(v, x, train=True, mutable=list(rest))
  )({"params": params, **rest}, images)
  return outputs


def compare(entry: Mapping[str, Any], output: np.ndarray) -> list[str]:
  """Compares an output [b h w k] with an entry of the file.

  Returns:
    What differs, a line each; empty if nothing does. Mean and standard
    deviation within 1e-3, each probe within ten times the entry's conditioning
    figure and at least 1e-3.
  """
  nchw = np.asarray(output, np.float64).transpose(0, 3, 1, 2)
  if list(nchw.shape[1:]) != list(entry["shape"]):
    return [f"shape {list(nchw.shape[1:])}, expected {entry['shape']}"]
  wrong = []
  for name, value in (("mean", nchw.mean()), ("std", nchw.std())):
    if not abs(value - entry[name]) <= 1e-3:
      wrong.append(f"{name} {value:.6f}, expected {entry[name]:.6f}")
  tolerance = max(1e-3, 10 * entry["max_abs_diff_fp32_vs_fp64"])
  for *place, expected in entry["points"]:
    value = nchw[tuple(place)]
    if not abs(value - expected) <= tolerance:
      wrong.append(f"at {place} {value:.6f}, expected {expected:.6f}")
  return wrong
