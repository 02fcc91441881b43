"""From patches to slices: anything that scores patches, applied to a study.

The one contract for whatever segments, be it a network, a fold or an ensemble:
`scores(images [b h w c]) -> [b h w k]`, softmax scores at the images' size.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from lumbar_jax.arrays import (
  Images,
  Scores,
  SliceScores,
  StudyImages,
  StudyScores,
)
from lumbar_jax.data import patches
from lumbar_jax.timing import stage

ScoresFn = Callable[[Images], Scores]
# Every network of papers 000 and 004 takes multiples of it.
WHOLE_MULTIPLE = 32


def _axis_weights(size: int, native: int):
  """Returns (lower pixel, upper pixel, weight of the upper) [native]."""
  centres = (np.arange(native) + 0.5) * (size / native) - 0.5
  centres = np.clip(centres, 0, size - 1)
  lower = np.floor(centres).astype(np.int64)
  upper = np.minimum(lower + 1, size - 1)
  return lower, upper, (centres - lower).astype(np.float32)


@stage("reconstruct")
def resize_scores(
  scores: SliceScores, shape: tuple[int, int]
) -> Float32[np.ndarray, "H W k"]:
  """Resamples scores linearly to another size of the same field of view.

  Pixel i of an axis covers [i, i + 1] / size of the field of view and its value
  sits at the centre, so output pixel i reads the input at
  (i + 0.5) * size / native - 0.5, held constant beyond the outermost centres.

  Args:
    scores: [h w k] float32.
    shape: (H, W) in pixels.
  """
  height, width = scores.shape[:2]
  if height != shape[0]:
    lower, upper, part = _axis_weights(height, shape[0])
    first = scores[lower]
    scores = first + part[:, None, None] * (scores[upper] - first)
  if width != shape[1]:
    lower, upper, part = _axis_weights(width, shape[1])
    first = scores[:, lower]
    scores = first + part[None, :, None] * (scores[:, upper] - first)
  return scores


@stage("network")
def _fetch(batch, scores, num_patches):
  """Brings a batch's scores to the host, without the filling."""
  scores = np.asarray(scores, np.float32)
  if scores.ndim != 4 or scores.shape[:3] != batch.shape[:3]:
    raise ValueError(f"scores {scores.shape} for images {batch.shape}")
  return scores[:num_patches]


def _score_patches(
  scores_fn: ScoresFn,
  cut: Iterable[np.ndarray],
  batch_size: int,
  pauses: bool,
) -> Iterator[SliceScores | None]:
  """Yields each patch's scores; every call of `scores_fn` has one shape.

  A batch is fetched only after the next was started, so that an accelerator
  works while the host cuts and assembles. With `pauses`, None follows each
  call.
  """
  cut, waiting = iter(cut), None
  while chunk := list(itertools.islice(cut, batch_size)):
    batch = np.zeros((batch_size, *chunk[0].shape), np.float32)
    batch[: len(chunk)] = chunk
    started = (batch, scores_fn(batch), len(chunk))
    if pauses:
      yield None
    if waiting is not None:
      yield from _fetch(*waiting)
    waiting = started
  if waiting is not None:
    yield from _fetch(*waiting)


def layout(
  shape: tuple[int, int], patch_size: int, patch_stride: int
) -> tuple[patches.Grid, patches.Size]:
  """Returns where a slice's patches lie and their size; see `iterate_slices`.

  Raises:
    InputError: patch size and stride that do not cover a slice.
  """
  if patch_size:
    return patches.grid(*shape, patch_size, patch_stride), patch_size
  return [(0, 0)], patches.whole_size(shape, WHOLE_MULTIPLE)


def iterate_slices(
  scores_fn: ScoresFn,
  images: StudyImages,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
  native_shape: tuple[int, int] | None = None,
  *,
  pauses: bool = False,
) -> Iterator[SliceScores | None]:
  """Yields the scores of a study's slices, one after the other.

  Patches are batched across slices; two batches and one slice are held at a
  time, however many slices there are (`images` may be a memory map).

  Args:
    scores_fn: the contract above; always called with `batch_size` patches.
    images: [n h w c] the study at the training resolution.
    patch_size: D in pixels; 0: the whole slice in one pass, padded to a
      multiple of 32 (the networks are convolutional; pixels then see all that
      their receptive field covers, and nothing is averaged).
    patch_stride: S in pixels.
    batch_size: patches in a batch.
    native_shape: (H, W) of the scanner's grid where it differs from (h, w); the
      scores are resampled to it by `resize_scores`.
    pauses: whether to yield None after each call of `scores_fn`, so that
      several models can take turns batch by batch.

  Yields:
    [h w k] (or [H W k]) float32.

  Raises:
    InputError: patch size and stride that do not cover a slice.
    ValueError: `scores_fn` breaks the contract.
  """
  shape = images.shape[1:3]
  places, size = layout(shape, patch_size, patch_stride)
  cut = itertools.chain.from_iterable(
    patches.extract(np.asarray(image, np.float32), places, size)
    for image in images
  )
  scored = _score_patches(scores_fn, cut, batch_size, pauses)
  for _ in range(len(images)):
    found = []
    while len(found) < len(places):
      patch = next(scored)
      if patch is None:
        yield None
      else:
        found.append(patch)
    scores = patches.assemble(np.stack(found), places, shape)
    yield resize_scores(scores, native_shape or shape)


def study_scores(
  scores_fn: ScoresFn,
  images: StudyImages,
  patch_size: int,
  patch_stride: int,
  batch_size: int,
  native_shape: tuple[int, int] | None = None,
) -> StudyScores:
  """Returns the scores of a whole study, [n h w k] (or [n H W k]) float32.

  `iterate_slices` in one array: prefer it where slices can be used one by one.
  """
  slices = iterate_slices(
    scores_fn, images, patch_size, patch_stride, batch_size, native_shape
  )
  return np.stack(list(slices))
