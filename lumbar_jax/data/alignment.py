"""The search behind `registration`: pyramid, optimiser, geometry of a pair."""

import dataclasses

import numpy as np
from scipy import ndimage

from lumbar_jax.data.volumes import Volume

_NUM_BINS = 32
_SEED = 1234
_FIELD_MM = 25.0  # smoothness of the receive field


@dataclasses.dataclass(frozen=True)
class Level:
  """One level of the pyramid.

  Attributes:
    spacing_mm: in plane.
    num_samples: voxels that the metric is estimated on.
    num_iterations: at most.
    relaxation: factor of the step when the direction turns.
    smallest_step: where the search ends.
    by_lines: search along one parameter after another (Powell) instead of
      along the gradient, which stalls where a shift along the spine gains
      little and rotations gain much.
  """

  spacing_mm: float
  num_samples: int = 20_000
  num_iterations: int = 100
  relaxation: float = 0.7
  smallest_step: float = 1e-3
  by_lines: bool = False


# Coarse levels only have to come near; the finest decides.
_RIGID_LEVELS = (
  Level(4.0, 8_000, 60, 0.5, 5e-3),
  Level(2.0, 12_000, 60, 0.5, 5e-3),
  Level(1.0, 20_000, 60, 0.5, 5e-3),
  Level(1.0, num_iterations=4, by_lines=True),
)
_AFFINE_LEVELS = (Level(1.0),)
# Single slices: cheaper, and headers can be wrong by a whole scale.
_FLAT_LEVELS = tuple(Level(s, num_iterations=200) for s in (4.0, 2.0, 1.0))


class SearchError(RuntimeError):
  """The search lost its way, as images of different things make it."""


@dataclasses.dataclass(frozen=True)
class Grid:
  """[n h w] intensities and the distance of neighbouring voxels in mm."""

  array: np.ndarray
  spacing_mm: tuple[float, float, float]

  def at(self, target_mm: float) -> "Grid":
    """Returns the grid smoothed and thinned in plane to about `target_mm`.

    Voxel (n, 0, 0) stays where it is; slices are untouched.
    """
    steps = [
      max(1, round(target_mm / spacing)) for spacing in self.spacing_mm[1:]
    ]
    sigma = [0.0, *(0.9 * step for step in steps)]
    smooth = ndimage.gaussian_filter(
      np.asarray(self.array, np.float32), sigma, mode="nearest", truncate=3
    )
    spacing = np.multiply(self.spacing_mm, (1, *steps))
    return Grid(smooth[:, :: steps[0], :: steps[1]], tuple(spacing.tolist()))

  def levelled(self) -> "Grid":
    """Returns the grid without the receive field's slow change.

    Surface coils make the fat behind the spine ten times as bright as the
    bowel; mutual information would see little else.
    """
    low, high = np.percentile(self.array, (1, 99.8))
    array = np.clip(self.array, low, high) - low
    sigma = [0.0, *(_FIELD_MM / spacing for spacing in self.spacing_mm[1:])]
    slow = ndimage.gaussian_filter(array, sigma, truncate=2)
    array = array / np.maximum(slow + 0.1 * slow.mean(), 1e-12)
    array = np.clip(array, *np.percentile(array, (0.2, 99.8)))
    return Grid(array.astype(np.float32), self.spacing_mm)


def _diagonal(spacing_mm) -> np.ndarray:
  return np.diag([*spacing_mm, 1.0])


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two grids and how the headers place them.

  Attributes:
    fixed: the reference grid; the frame is its (n, h, w) index in mm.
    moving: the other one.
    placement: [4 4], (n, h, w) index of moving in mm -> frame, by the headers.
    fixed_world: [4 4], frame -> RAS mm.
    moving_world: [4 4], (n, h, w) index of moving in mm -> RAS mm.
    flat: True if only the plane is registered.
  """

  fixed: Grid
  moving: Grid
  placement: np.ndarray
  fixed_world: np.ndarray
  moving_world: np.ndarray
  flat: bool

  @classmethod
  def of(cls, fixed: Volume, moving: Volume) -> "Pair":
    """Reads the headers' alignment of two volumes."""
    grids = [Grid(v.array, v.spacing_mm) for v in (fixed, moving)]
    worlds = [
      v.affine @ np.linalg.inv(_diagonal(v.spacing_mm)) for v in (fixed, moving)
    ]
    placement = np.linalg.inv(worlds[0]) @ worlds[1]
    flat = 1 in (len(fixed.array), len(moving.array))
    if flat:
      placement = _corresponding(placement, *grids)
    return cls(*grids, placement, *worlds, flat)

  def at(self, target_mm: float) -> "Pair":
    """Returns the pair at a coarser in-plane spacing."""
    fixed, moving = self.fixed.at(target_mm), self.moving.at(target_mm)
    return dataclasses.replace(self, fixed=fixed, moving=moving)

  def index_map(self, transform: np.ndarray) -> np.ndarray:
    """Returns [4 4], fixed index -> moving index.

    Args:
      transform: [4 4], frame -> frame, on top of the headers' alignment.
    """
    to_frame = self.placement @ _diagonal(self.moving.spacing_mm)
    fixed = _diagonal(self.fixed.spacing_mm)
    return np.linalg.inv(to_frame) @ transform @ fixed

  def world(self, transform: np.ndarray) -> np.ndarray:
    """Returns [4 4], RAS mm of fixed -> RAS mm of moving."""
    to_moving = self.moving_world @ np.linalg.inv(self.placement)
    return to_moving @ transform @ np.linalg.inv(self.fixed_world)

  def levelled(self) -> "Pair":
    """Returns the pair without the receive fields."""
    fixed, moving = self.fixed.levelled(), self.moving.levelled()
    return dataclasses.replace(self, fixed=fixed, moving=moving)

  def body(self) -> np.ndarray:
    """Returns [n h w] bool, True where the fixed volume is not air."""
    smooth = ndimage.uniform_filter(self.fixed.array, (1, 5, 5))
    low, high = np.percentile(smooth, (2, 98))
    body = smooth > low + 0.1 * (high - low)
    return body if body.any() else np.ones(body.shape, bool)


def _corresponding(placement, fixed: Grid, moving: Grid) -> np.ndarray:
  """Flattens the headers' alignment onto the fixed plane.

  In plane, points are projected along the fixed normal. The slices nearest to
  each other by the headers are laid onto one another.
  """
  sizes = [np.array(g.array.shape) for g in (fixed, moving)]
  center = (sizes[1] - 1) / 2 * moving.spacing_mm
  flat = np.eye(4)
  flat[1:3, 1:3] = placement[1:3, 1:3]
  # The moving slice nearest to the middle of the fixed slices, and then the
  # fixed slice nearest to that one.
  middle = (sizes[0][0] - 1) / 2 * fixed.spacing_mm[0]
  heights = placement[0] @ [
    np.arange(sizes[1][0]) * moving.spacing_mm[0],
    *np.outer([center[1], center[2], 1.0], np.ones(sizes[1][0])),
  ]
  number = int(np.abs(heights - middle).argmin())
  center[0] = number * moving.spacing_mm[0]
  target = placement @ [*center, 1.0]
  step = fixed.spacing_mm[0]
  nearest = np.clip(round(target[0] / step), 0, sizes[0][0] - 1) * step
  flat[0, 3] = nearest - center[0]
  flat[1:3, 3] = target[1:3] - flat[1:3, 1:3] @ center[1:]
  return flat


def _image(array: np.ndarray, to_frame: np.ndarray, flat: bool):
  """Returns a SimpleITK image whose space is the frame, as (x, y[, z]).

  Args:
    array: [n h w]; a flat pair's slice is chosen by the caller (n = 1).
    to_frame: [4 4], index -> frame.
    flat: True for a 2-D image.
  """
  import SimpleITK as sitk

  image = sitk.GetImageFromArray(
    np.ascontiguousarray(array[0] if flat else array)
  )
  axes = slice(2, 0, -1) if flat else slice(2, None, -1)
  linear = to_frame[axes, axes]
  spacing = np.linalg.norm(linear, axis=0)
  image.SetSpacing(spacing.tolist())
  image.SetDirection((linear / spacing).ravel().tolist())
  image.SetOrigin(to_frame[axes, 3].tolist())
  return image


def _images(pair: Pair):
  """Returns the fixed and moving SimpleITK images of a pair."""
  to_frame = [
    _diagonal(pair.fixed.spacing_mm),
    pair.placement @ _diagonal(pair.moving.spacing_mm),
  ]
  arrays = [pair.fixed.array, pair.moving.array]
  if pair.flat:  # the slices that were laid onto one another
    offset = pair.placement[0, 3]
    spacing = pair.fixed.spacing_mm[0], pair.moving.spacing_mm[0]
    if len(arrays[0]) == 1:
      chosen = 0, round(-offset / spacing[1])
    else:
      chosen = round(offset / spacing[0]), 0
    arrays = [a[i : i + 1] for a, i in zip(arrays, chosen, strict=True)]
  return [
    _image(a, t, pair.flat) for a, t in zip(arrays, to_frame, strict=True)
  ]


def _matrix(transform, dimension: int) -> np.ndarray:
  """Returns [4 4] on (slice, row, column) mm of a SimpleITK transform."""
  linear = np.reshape(transform.GetMatrix(), (dimension, dimension))
  center = np.array(transform.GetCenter())
  shift = np.array(transform.GetTranslation()) + center - linear @ center
  result = np.eye(4)
  first = 3 - dimension
  result[first:3, first:3] = linear[::-1, ::-1]
  result[first:3, 3] = shift[::-1]
  return result


def _set_optimizer(method, level: Level) -> None:
  if level.by_lines:
    method.SetOptimizerAsPowell(
      numberOfIterations=level.num_iterations,
      maximumLineIterations=20,
      stepLength=0.3 * level.spacing_mm,
      stepTolerance=level.smallest_step,
      valueTolerance=1e-5,
    )
    return
  method.SetOptimizerAsRegularStepGradientDescent(
    learningRate=1.0,
    minStep=level.smallest_step,
    numberOfIterations=level.num_iterations,
    relaxationFactor=level.relaxation,
    gradientMagnitudeTolerance=1e-7,
    estimateLearningRate=method.Once,
    maximumStepSizeInPhysicalUnits=level.spacing_mm,
  )


def _climb(pair: Pair, transform, level: Level):
  """Runs one level of the pyramid; changes and returns the transform."""
  import SimpleITK as sitk

  # Threads sum in varying order, and only the process-wide setting reaches
  # the metric. Studies run side by side instead (`prepare_studies`).
  sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
  fixed, moving = _images(pair.at(level.spacing_mm))
  method = sitk.ImageRegistrationMethod()
  method.SetMetricAsMattesMutualInformation(_NUM_BINS)
  portion = min(1.0, level.num_samples / fixed.GetNumberOfPixels())
  method.SetMetricSamplingStrategy(method.RANDOM)
  method.SetMetricSamplingPercentage(portion, _SEED)
  method.SetInterpolator(sitk.sitkLinear)
  method.SetOptimizerScalesFromPhysicalShift()
  _set_optimizer(method, level)
  method.SetInitialTransform(transform, inPlace=True)
  try:
    method.Execute(fixed, moving)
  except RuntimeError as error:
    reason = str(error).strip().splitlines()[-1].partition("): ")[2]
    raise SearchError(f"the search failed ({reason[:80]})") from None
  return transform


def _center(pair: Pair) -> list[float]:
  """Returns the middle of the fixed grid as (x, y[, z]) of the frame."""
  size = np.array(pair.fixed.array.shape) - 1
  center = (size / 2 * pair.fixed.spacing_mm)[::-1]
  return center[: 2 if pair.flat else 3].tolist()


def optimise(pair: Pair, affine: bool) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns the best rigid and (or None) affine [4 4] frame -> frame.

  Starts from the headers' alignment; affine starts from rigid. The pair is
  levelled.

  Raises:
    SearchError: not even rigid was found.
  """
  import SimpleITK as sitk

  dimension = 2 if pair.flat else 3
  rigid = sitk.Euler2DTransform() if pair.flat else sitk.Euler3DTransform()
  rigid.SetCenter(_center(pair))
  for level in _FLAT_LEVELS if pair.flat else _RIGID_LEVELS:
    _climb(pair, rigid, level)
  if not affine:
    return _matrix(rigid, dimension), None
  general = sitk.AffineTransform(dimension)
  general.SetCenter(rigid.GetCenter())
  general.SetMatrix(rigid.GetMatrix())
  general.SetTranslation(rigid.GetTranslation())
  try:
    for level in _FLAT_LEVELS[1:] if pair.flat else _AFFINE_LEVELS:
      _climb(pair, general, level)
  except SearchError:
    return _matrix(rigid, dimension), None
  return _matrix(rigid, dimension), _matrix(general, dimension)
