"""Two volumes to register: their grids in mm, and how the headers place them.

The search (`alignment`) and the judgement of what it found (`registration`)
both work on a `Pair`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from lumbar_jax.data.volumes import Volume

_FIELD_MM = 25.0  # smoothness of the receive field


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


def diagonal(spacing_mm: Sequence[float]) -> np.ndarray:
  """Returns [4 4], voxel index -> mm along the axes of the grid."""
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
      v.affine @ np.linalg.inv(diagonal(v.spacing_mm)) for v in (fixed, moving)
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
    to_frame = self.placement @ diagonal(self.moving.spacing_mm)
    fixed = diagonal(self.fixed.spacing_mm)
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
