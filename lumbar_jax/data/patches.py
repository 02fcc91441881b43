"""Patches: where they lie on a slice, cutting them out, putting them back.

Paper 000 section 4.3: a slice is covered by overlapping D x D patches and the
score of a pixel is the mean over the patches it lies in.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Shaped

from lumbar_jax.arrays import SliceScores
from lumbar_jax.errors import InputError
from lumbar_jax.timing import stage

Grid = Sequence[tuple[int, int]]  # (first row, first column) of each patch
Size = int | tuple[int, int]  # of a patch: rows and columns, or both at once


def starts(length: int, size: int, stride: int) -> tuple[int, ...]:
  """Returns the first pixel of each patch along one axis.

  n = ceil((L - D) / S) + 1 patches, evenly spaced from border to border: the
  reading of paper 000 section 4.3 that covers every pixel and gives 3 x 3
  patches for a 512 x 512 slice with D = 256, S = 192.

  Args:
    length: L, pixels along the axis. Below D there is one (padded) patch.
    size: D, patch size in pixels.
    stride: S, the largest distance between neighbours in pixels.

  Raises:
    InputError: a length below 1, or a stride that would leave pixels out.
  """
  if length < 1 or size < 1:
    raise InputError(
      f"cannot cut patches of {size} pixels from {length} pixels",
      "both must be at least 1",
    )
  if not 1 <= stride <= size:
    raise InputError(
      f"patch stride {stride} with patch size {size}",
      f"the stride must lie in 1..{size}, or some pixels lie in no patch",
    )
  if length <= size:
    return (0,)
  num_patches = -(-(length - size) // stride) + 1
  places = np.linspace(0, length - size, num_patches)
  return tuple(int(place) for place in np.round(places))


def grid(
  height: int, width: int, size: int, stride: int
) -> list[tuple[int, int]]:
  """Returns (first row, first column) of every patch, row by row.

  Raises:
    InputError: see `starts`.
  """
  rows = starts(height, size, stride)
  columns = starts(width, size, stride)
  return [(row, column) for row in rows for column in columns]


def study_grid(
  shape: Sequence[int], size: int, stride: int
) -> list[tuple[int, int, int]]:
  """Returns (slice, first row, first column) of every patch of a study.

  Args:
    shape: (n, h, w) of the study at its training resolution.
    size: of a patch, pixels.
    stride: of the patches, pixels.

  Raises:
    InputError: see `starts`.
  """
  num_slices, height, width = shape
  places = grid(height, width, size, stride)
  return [(n, *place) for n in range(num_slices) for place in places]


def _rows_columns(size: Size) -> tuple[int, int]:
  return (size, size) if isinstance(size, int) else size


def whole_size(shape: tuple[int, int], multiple: int) -> tuple[int, int]:
  """Returns the smallest size in multiples that a whole slice fits in."""
  rows, columns = (-(-length // multiple) * multiple for length in shape)
  return rows, columns


def pad(
  array: Shaped[np.ndarray, "h w ..."], size: Size, fill: float | None = None
) -> Shaped[np.ndarray, "H W ..."]:
  """Extends a slice below and to the right to at least the size of a patch.

  Pixel coordinates stay what they were, so cropping is `[:h, :w]`.

  Args:
    array: a slice's image, labels or weights.
    size: the patch size in pixels.
    fill: value of the new pixels; None takes each channel's minimum, which is
      air in a normalised MR image. Labels take `anatomy.IGNORE`.
  """
  height, width = array.shape[:2]
  rows, columns = _rows_columns(size)
  if height >= rows and width >= columns:
    return array
  shape = (max(height, rows), max(width, columns), *array.shape[2:])
  value = array.min(axis=(0, 1)) if fill is None else fill
  padded = np.empty(shape, array.dtype)
  padded[...] = value
  padded[:height, :width] = array
  return padded


@stage("prepare")
def extract(
  array: Shaped[np.ndarray, "h w ..."],
  places: Grid,
  size: Size,
  fill: float | None = None,
) -> Shaped[np.ndarray, "b rows columns ..."]:
  """Cuts the patches of a slice.

  Args:
    array: a slice's image [h w c], labels [h w] or anything on its pixels.
    places: from `grid` for this slice's height and width.
    size: the patch size in pixels.
    fill: what a slice smaller than a patch is padded with, see `pad`.
  """
  padded, (rows, columns) = pad(array, size, fill), _rows_columns(size)
  return np.stack(
    [
      padded[row : row + rows, column : column + columns]
      for row, column in places
    ]
  )


@stage("reconstruct")
def assemble(
  patches: Float32[np.ndarray, "b rows columns k"],
  places: Grid,
  shape: tuple[int, int],
) -> SliceScores:
  """Puts patch scores back: the arithmetic mean where patches overlap.

  Inverse of `extract`; padding is cropped off. A count map divides the sum, so
  any number of patches may cover a pixel.

  Args:
    patches: scores of one slice's patches, in the order of `places`.
    places: from `grid`.
    shape: (height, width) of the slice in pixels.

  Returns:
    [h w k] float32.

  Raises:
    ValueError: the patches and their places differ in number.
  """
  rows, columns = patches.shape[1:3]
  height, width = max(shape[0], rows), max(shape[1], columns)
  total = np.zeros((height, width, *patches.shape[3:]), np.float32)
  count = np.zeros((height, width), np.float32)
  for patch, (row, column) in zip(patches, places, strict=True):
    window = np.s_[row : row + rows, column : column + columns]
    total[window] += patch
    count[window] += 1
  total, count = total[: shape[0], : shape[1]], count[: shape[0], : shape[1]]
  return total / count.reshape(count.shape + (1,) * (total.ndim - 2))
