"""In-plane resizing between the native grid and the training grid.

Both grids cover the same rectangle: pixel i of n has its centre at
(i + 1/2) / n of the side, so centres are aligned (the convention of
`jax.image.resize`), and the real spacing is native * native_size / size,
which differs from the spacing asked for by the rounding of the size alone.
"""

import numpy as np


def training_shape(
  shape: tuple[int, int],
  spacing_mm: tuple[float, float],
  target_mm: float,
  size: int = 0,
) -> tuple[int, int]:
  """Returns (h, w) of a native slice at `target_mm`; 0 keeps the native one.

  Args:
    shape: native (rows, columns).
    spacing_mm: native distance of neighbouring (rows, columns).
    target_mm: in-plane spacing to train at.
    size: if not 0, the rows and columns that every slice gets, whatever its
      own are: one that is not square is stretched.
  """
  if size:
    return size, size
  if not target_mm:
    return tuple(shape)
  sizes = np.multiply(shape, spacing_mm) / target_mm
  return tuple(max(1, round(size)) for size in sizes.tolist())


def resize_weights(size: int, new_size: int) -> np.ndarray:
  """Returns [new_size size] float32 weights of a 1-D linear resize.

  Going down, the triangle is widened to the new pixel (anti-aliasing); every
  row sums to 1.
  """
  scale = size / new_size
  centers = (np.arange(new_size) + 0.5) * scale - 0.5
  distance = np.abs(centers[:, None] - np.arange(size))
  weights = np.maximum(0, 1 - distance / max(1.0, scale))
  return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _apply(array: np.ndarray, rows: np.ndarray, columns: np.ndarray):
  """Returns rows @ array @ columns.T for each slice of [n h w]."""
  return np.matmul(np.matmul(rows, array), columns.T)


def resize_images(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Resizes [n h w] intensities linearly, anti-aliased, to [n *shape]."""
  if array.shape[1:] == tuple(shape):
    return array
  rows, columns = map(resize_weights, array.shape[1:], shape)
  return _apply(array.astype(np.float32, copy=False), rows, columns)


def resize_labels(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Resizes [n h w] labels to [n *shape] by the heaviest label.

  Each pixel gets the label with the largest weight under the images' own
  kernel; a tie goes to the smaller number. 255 (ignore) is a label like any
  other.
  """
  if array.shape[1:] == tuple(shape):
    return array
  rows, columns = map(resize_weights, array.shape[1:], shape)
  best = np.full((len(array), *shape), -1, np.float32)
  labels = np.zeros(best.shape, array.dtype)
  for label in np.unique(array):
    weight = _apply((array == label).astype(np.float32), rows, columns)
    better = weight > best
    best[better] = weight[better]
    labels[better] = label
  return labels
