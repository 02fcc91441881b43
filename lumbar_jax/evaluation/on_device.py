"""From a study's slices to labels without bringing scores to the host.

An accelerator computes a slice's scores faster than they travel: reassembling,
resampling and labelling happen where the scores are, and a byte a pixel is
brought home. The same formulas as `reconstruction` and `labelling`.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from lumbar_jax.arrays import Scores, StudyImages
from lumbar_jax.data import patches
from lumbar_jax.evaluation.labelling import Thresholds
from lumbar_jax.evaluation.reconstruction import (
  ScoresFn,
  layout,
  resize_scores,
)


def _assemble(scores: Scores, places: patches.Grid, shape: tuple[int, int]):
  rows, columns = scores.shape[1:3]
  height, width = max(shape[0], rows), max(shape[1], columns)
  total = jnp.zeros((height, width, scores.shape[-1]), jnp.float32)
  count = np.zeros((height, width, 1), np.float32)
  for patch, (row, column) in zip(scores, places, strict=True):
    window = np.s_[row : row + rows, column : column + columns]
    total = total.at[window].add(patch)
    count[window] += 1
  return (total / count)[: shape[0], : shape[1]]


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def label_slice(
  scores: Scores,
  places: patches.Grid,
  shape: tuple[int, int],
  native_shape: tuple[int, int],
  limits: jax.Array,
) -> jax.Array:
  """Returns the labels [H W] uint8 of a slice from its patches' scores.

  Args:
    scores: [b h w k] of the slice's patches, in the order of `places`.
    places: from `layout`, as a tuple.
    shape: (h, w) of the slice at the training resolution.
    native_shape: (H, W) of the scanner's grid.
    limits: [k] thresholds, of the background 0; all 0 for MAP.
  """
  found = resize_scores(_assemble(scores, places, shape), native_shape)
  passing = jnp.where(found >= limits[None, None], found, -jnp.inf)
  return jnp.argmax(passing, axis=-1).astype(jnp.uint8)


def label_slices(
  scores_fn: ScoresFn,
  images: StudyImages,
  thresholds: Thresholds | None,
  native_shape: tuple[int, int],
  *,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
) -> Iterator[np.ndarray]:
  """Yields the labels [H W] uint8 of a study's slices.

  A slice's patches are a batch (several, where there are more of them), and the
  next slice is begun before the last one's labels are waited for.

  Args:
    scores_fn: see `reconstruction`.
    images: [n h w c] at the training resolution.
    thresholds: [k] for TH; None for MAP.
    native_shape: (H, W) of the scanner's grid.
    patch_size: D in pixels; 0: whole slices.
    patch_stride: S in pixels.
    batch_size: the most patches in a batch.

  Raises:
    InputError: patch size and stride that do not cover a slice.
  """
  shape = images.shape[1:3]
  places, size = layout(shape, patch_size, patch_stride)
  num_batches = -(-len(places) // batch_size)
  waiting = None
  for image in images:
    cut = patches.extract(np.asarray(image, np.float32), places, size)
    parts = [scores_fn(part) for part in _even(cut, num_batches)]
    scores = jnp.concatenate(parts)[: len(places)]
    limits = np.zeros(scores.shape[-1], np.float32)
    if thresholds is not None:
      limits[1:] = thresholds[1:]
    started = label_slice(scores, tuple(places), shape, native_shape, limits)
    if waiting is not None:
      yield np.asarray(waiting)
    waiting = started
  if waiting is not None:
    yield np.asarray(waiting)


def _even(cut: np.ndarray, num_batches: int) -> list[np.ndarray]:
  """Splits patches into equal batches; the last is filled with zeros."""
  size = -(-len(cut) // num_batches)
  filling = ((0, size * num_batches - len(cut)), (0, 0), (0, 0), (0, 0))
  return np.split(np.pad(cut, filling), num_batches)
