"""The search behind `registration`: pyramid and optimiser, by SimpleITK."""

import dataclasses

import numpy as np

from lumbar_jax.data.grids import Pair, diagonal

_NUM_BINS = 32
_SEED = 1234


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
    diagonal(pair.fixed.spacing_mm),
    pair.placement @ diagonal(pair.moving.spacing_mm),
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
