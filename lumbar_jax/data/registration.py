"""Registration of one channel onto the reference channel's grid.

Paper 000, section 4.1.2: T1w is brought onto T2w by an affine transform. Here
Mattes' mutual information is climbed by SimpleITK over a pyramid that halves
the slices in plane and leaves them thick; the result is kept only if it is
better than the headers' alignment and moves the body less than a bound.

Everything runs in the *frame*: (slice, row, column) mm on the fixed grid,
which differs from the scanner's world by the fixed volume's rigid placement.
Results are the same, bit for bit, on every run: the sampling is seeded and
one thread sums.
"""

import dataclasses
from typing import Any

import numpy as np
from scipy import ndimage

from lumbar_jax.data import alignment
from lumbar_jax.data.grids import Pair
from lumbar_jax.data.volumes import Volume
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.timing import stage

METHODS = ("affine", "rigid", "none")
ACCEPTED = "accepted"
_NUM_BINS = 32
_AFFINE_GAIN = 0.005  # nats: less does not earn its freedom over rigid
_METRIC_MM = 1.0  # in-plane spacing at which the metric is evaluated
_MIN_KEPT = 0.5  # of the headers' overlap; a transform that keeps less is lost


@dataclasses.dataclass(frozen=True)
class Registration:
  """A moving volume on the fixed grid, and how it got there.

  Attributes:
    array: [n h w] float32 on the fixed grid, linear interpolation.
    field: [n h w] bool, True inside the moving volume's field of view.
    matrix: [4 4], fixed world -> moving world (RAS mm): where a point of the
      fixed volume is found in the moving one.
    metric_before: mutual information (nats, more is better) of the headers'
      alignment.
    metric_after: that of the registration, on the same samples; if it was
      refused, still its own, and not the headers'.
    displacement_mm: (mean, largest) over the fixed body, against the headers'
      alignment; if refused, what was refused.
    verdict: "accepted", or "refused: REASON" (the headers' alignment is kept).
  """

  array: np.ndarray
  field: np.ndarray
  matrix: np.ndarray
  metric_before: float
  metric_after: float
  displacement_mm: tuple[float, float]
  verdict: str

  def record(self) -> dict[str, Any]:
    """Returns what JSON can hold, with the part of the grid covered."""
    return {
      "coverage": float(self.field.mean()),
      "displacement_mm": list(self.displacement_mm),
      "matrix": self.matrix.tolist(),
      "metric_after": self.metric_after,
      "metric_before": self.metric_before,
      "verdict": self.verdict,
    }


def resample(
  array: np.ndarray, index_map: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Resamples linearly.

  Args:
    array: [n h w] moving intensities.
    index_map: [4 4], index on the fixed grid -> index on the moving one.
    shape: of the fixed grid.

  Returns:
    [shape] float32 and [shape] bool, True where a voxel's centre lies within
    the moving voxels' extent (half a voxel around the outer centres, where
    the nearest value is repeated).
  """
  array = np.asarray(array, np.float32)
  resampled = ndimage.affine_transform(
    array, index_map, output_shape=shape, order=1, mode="nearest"
  )
  return resampled, field_of_view(array.shape, index_map, shape)


def field_of_view(
  moving_shape: tuple[int, ...], index_map: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
  """Returns [shape] bool, True where a voxel lies in the moving volume.

  Args:
    moving_shape: of the moving volume.
    index_map: [4 4], index on the fixed grid -> index on the moving one.
    shape: of the fixed grid.
  """
  field = np.ones(shape, bool)
  grid = np.ogrid[tuple(slice(size) for size in shape)]
  for row, size in zip(index_map[:3], moving_shape, strict=True):
    index = sum(a * g for a, g in zip(row[:3], grid, strict=True)) + row[3]
    # The hair's breadth keeps a coinciding border in, whatever the rounding.
    field &= (index > -0.5 - 1e-3) & (index < size - 0.5 + 1e-3)
  return field


def check_overlap(fixed: Volume, moving: Volume) -> None:
  """Checks that volumes overlap by their headers.

  Raises:
    InputError: they do not.
  """
  index_map = np.linalg.inv(moving.affine) @ fixed.affine
  shapes = moving.array.shape, fixed.array.shape
  _check_overlap(field_of_view(shapes[0], index_map, shapes[1]), fixed, moving)


def _check_overlap(field: np.ndarray, fixed: Volume, moving: Volume) -> None:
  if not field.any():
    raise InputError(
      f"it does not overlap with {fixed.path}",
      "check that both belong to the same session and that their headers are "
      "right, or leave the channel out with --config.data.channels=...",
      path=moving.path,
    )


def mutual_information(
  first: np.ndarray, second: np.ndarray, num_bins: int = _NUM_BINS
) -> float:
  """Returns the mutual information of two samples in nats.

  Args:
    first: [samples] intensities; the bins span its 0.5 to 99.5 percentiles.
    second: [samples].
    num_bins: bins an axis.
  """
  codes = []
  for values in (first, second):
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) * (num_bins / max(float(high - low), 1e-12))
    codes.append(np.clip(scaled, 0, num_bins - 1).astype(np.int64))
  counts = np.bincount(codes[0] * num_bins + codes[1], minlength=num_bins**2)
  joint = counts.reshape(num_bins, num_bins) / counts.sum()
  product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
  filled = joint > 0
  return float((joint[filled] * np.log(joint[filled] / product[filled])).sum())


def _compare(pair: Pair, transform: np.ndarray):
  """Returns the metric of the headers and of a transform, same samples.

  Third comes the part of the headers' overlap that both share.
  """
  fixed, moving = pair.fixed, pair.moving
  images, fields = zip(
    *(
      resample(moving.array, pair.index_map(t), fixed.array.shape)
      for t in (np.eye(4), transform)
    ),
    strict=True,
  )
  shared = fields[0] & fields[1]
  if not shared.any():
    return 0.0, 0.0, 0.0
  sample = fixed.array[shared]
  before, after = (mutual_information(sample, i[shared]) for i in images)
  return before, after, float(shared.sum() / fields[0].sum())


def _displacement_mm(pair: Pair, transform) -> tuple[float, float]:
  """Returns the (mean, largest) shift of body voxels."""
  points = np.argwhere(pair.body()) * pair.fixed.spacing_mm
  shift = points @ (transform[:3, :3] - np.eye(3)).T + transform[:3, 3]
  length = np.linalg.norm(shift, axis=1)
  return float(length.mean()), float(length.max())


def _judge(pair: Pair, transform, displacement, bound_mm: float):
  """Returns metric before and after, displacement and verdict."""
  before, after, kept = _compare(pair, transform)
  verdict = ACCEPTED
  if displacement[1] > bound_mm:
    verdict = (
      f"refused: it moves the body by up to {displacement[1]:.1f} mm, more "
      f"than config.data.registration_bound_mm = {bound_mm:g}"
    )
  elif kept < _MIN_KEPT:
    verdict = f"refused: it keeps {kept:.0%} of the headers' overlap"
  elif after < before:
    verdict = (
      f"refused: mutual information fell from {before:.4f} to {after:.4f}"
    )
  return before, after, displacement, verdict


def _best(pair: Pair, method: str, bound_mm: float):
  """Returns (transform, *its judgement): rigid, unless affine gains.

  One that confirms the headers (it would move the body by less than a voxel
  and gains nothing) is the identity.
  """
  levelled = pair.levelled()
  try:
    rigid, affine = alignment.optimise(levelled, method == "affine")
  except alignment.SearchError as error:
    before, *_ = _compare(levelled, np.eye(4))
    return np.eye(4), before, before, (0.0, 0.0), f"refused: {error}"
  best, *others = (
    (t, *_judge(levelled, t, _displacement_mm(pair, t), bound_mm))
    for t in (rigid, affine)
    if t is not None
  )
  for other in others:
    # Gains, since the samples (where all fields overlap) are each one's own.
    gain = (other[2] - other[1]) - (best[2] - best[1])
    if gain > _AFFINE_GAIN or best[-1] != ACCEPTED == other[-1]:
      best = other
  if best[2] <= best[1] and best[3][0] < pair.fixed.spacing_mm[2]:
    before = best[1]
    return np.eye(4), before, before, (0.0, 0.0), ACCEPTED
  return best


def _align(pair: Pair, method: str, bound_mm: float):
  """Returns (transform, *its judgement); the identity where it is refused."""
  fine = pair.at(_METRIC_MM)
  if method == "none":
    before, *_ = _compare(fine.levelled(), np.eye(4))
    return np.eye(4), before, before, (0.0, 0.0), ACCEPTED
  transform, *judged = _best(fine, method, bound_mm)
  if judged[-1] != ACCEPTED:
    transform = np.eye(4)
  return transform, *judged


def _check_method(method: str) -> None:
  if method not in METHODS:
    raise InputError(
      f"config.data.registration is {method!r}",
      did_you_mean(method, METHODS) + f"allowed: {', '.join(METHODS)}",
    )


@stage("register")
def register(
  fixed: Volume,
  moving: Volume,
  method: str = "affine",
  bound_mm: float = 15.0,
) -> Registration:
  """Brings a moving volume onto the fixed volume's grid.

  Where either volume is a single slice, only the plane is registered, and the
  slices nearest to each other by the headers are taken as corresponding.

  Args:
    fixed: the reference channel.
    moving: the channel to bring onto it.
    method: "affine", "rigid", or "none" (resample by the headers alone).
    bound_mm: refuse a registration that moves any part of the body more.

  Raises:
    InputError: an unknown method, or volumes that do not overlap.
  """
  _check_method(method)
  pair = Pair.of(fixed, moving)
  transform, *judged = _align(pair, method, bound_mm)
  array, field = resample(
    moving.array, pair.index_map(transform), fixed.array.shape
  )
  _check_overlap(field, fixed, moving)
  return Registration(array, field, pair.world(transform), *judged)
