"""How far apart two segmentations' surfaces lie, in mm, class by class.

A surface is the voxels of a class with a neighbour across one of their six
faces that is not of the class; beyond the volume nothing is of any class, so
that what a structure has in the first and last slice is all on its surface (as
in MedPy and SimpleITK). Of **a single slice** that would be every voxel: there
the contour takes the place of the surface, the pixels with a neighbour across
one of their four edges that is not of the class, and distances are in the
plane.

From each surface voxel the distance to the nearest one of the other surface is
taken, centre to centre, in both directions, and of these distances

- HD95 is the larger of the two directions' 95th percentiles,
- ASSD, the average symmetric surface distance, is the mean of both together,
- NSD, the normalised surface Dice, is the share of both within a tolerance.

Each voxel counts once, as in MedPy and MONAI, whatever the area of its faces.

**Ignored voxels** (truth 255) belong to no surface, neither of the truth nor of
the prediction, and their border makes none: nothing is known of them, so a
voxel beside one is on the surface only if another neighbour puts it there.

**Absent classes**: a class without a surface on either side is NaN throughout.
One that is only in the truth or only in the prediction (it is *missed*) has
NSD 0, and its distances are NaN, there being no distance to nothing; a mean of
distances therefore always goes with the number of studies it leaves out.

Why not a library: those that know voxel spacing (surface-distance, MedPy,
MONAI) know no ignored voxels, which cannot be taken out afterwards. Besides,
surface-distance fails on numpy 2 where a mask is empty, MedPy has no NSD and
measures the surfaces anew for each metric, and MONAI needs PyTorch. Without
ignored voxels the distances are MedPy's; the tests compare with SimpleITK's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from lumbar_jax import metrics
from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.arrays import StudyLabels

TOLERANCE_MM = 2.0
# A distance that is the tolerance but for rounding is within.
_ROUNDING_MM = 1e-6


class SurfaceScores(NamedTuple):
  """One study's scores, each [k]; the background's are NaN."""

  hd95_mm: Float[np.ndarray, "k"]
  assd_mm: Float[np.ndarray, "k"]
  nsd: Float[np.ndarray, "k"]

  @property
  def missed(self) -> np.ndarray:
    """Returns [k] bool: the class is in truth or prediction only."""
    return ~np.isnan(self.nsd) & np.isnan(self.hd95_mm)


def surface_scores(
  truth: StudyLabels,
  predicted: StudyLabels,
  spacing_mm: tuple[float, float, float],
  num_classes: int,
  tolerance_mm: float = TOLERANCE_MM,
) -> SurfaceScores:
  """Measures the distances between a study's surfaces.

  Each class is cut out of the volume before anything is measured.

  Args:
    truth: [n H W] uint8 classes, 255 = ignore.
    predicted: [n H W] uint8 classes.
    spacing_mm: (slice, row, column), centre to centre; of a single slice the
      first counts for nothing.
    num_classes: k. Class 0, the background, is left out: its surface is that of
      all other classes.
    tolerance_mm: of the normalised surface Dice.

  Raises:
    ValueError: the shapes differ.

  Source: Nikolov et al. 2021, J. Med. Internet Res. 23, e26151 (NSD, HD95);
  Heimann et al. 2009, IEEE Trans. Med. Imaging 28, 1251-1265 (ASSD).
  """
  if truth.shape != predicted.shape:
    raise ValueError(f"truth {truth.shape}, predictions {predicted.shape}")
  unknown = truth == IGNORE
  # A layer of background all around: every voxel has its six neighbours.
  known = [np.where(unknown, 0, labels) for labels in (truth, predicted)]
  maps = [np.pad(labels, 1) for labels in known]
  unknown = np.pad(unknown, 1)
  axes = (1, 2) if len(truth) == 1 else (0, 1, 2)
  boxes = zip(
    *(ndimage.find_objects(m, num_classes - 1) for m in maps), strict=True
  )
  scores = np.full((3, num_classes), np.nan)
  for number, pair in enumerate(boxes, start=1):
    part = _around(pair)
    if part is not None:
      surfaces = [
        _surface(labels[part] == number, unknown[part], axes) for labels in maps
      ]
      scores[:, number] = _compare(*surfaces, spacing_mm, tolerance_mm)
  return SurfaceScores(*scores)


def _around(boxes) -> tuple[slice, ...] | None:
  """Returns the box around both, one voxel wider; None if there is none."""
  found = [box for box in boxes if box is not None]
  if not found:
    return None
  return tuple(
    slice(min(s.start for s in axis) - 1, max(s.stop for s in axis) + 1)
    for axis in zip(*found, strict=True)
  )


def _surface(
  mask: np.ndarray, unknown: np.ndarray, axes: tuple[int, ...]
) -> np.ndarray:
  """Returns where a mask's surface is, as bool in the array less its border.

  Args:
    mask: a class, without unknown voxels and none at the array's border.
    unknown: voxels that make no surface.
    axes: along which neighbours are looked at.
  """
  inside = mask | unknown
  middle = (slice(1, -1),) * 3
  surrounded = np.ones_like(mask[middle])
  for axis in axes:
    for step in (slice(None, -2), slice(2, None)):
      shifted = (*middle[:axis], step, *middle[axis + 1 :])
      surrounded &= inside[shifted]
  return mask[middle] & ~surrounded


def _compare(
  truth: np.ndarray, predicted: np.ndarray, spacing_mm, tolerance_mm: float
) -> tuple[float, float, float]:
  """Returns HD95 and ASSD in mm and NSD of two surfaces [n h w] bool."""
  if not truth.any() or not predicted.any():
    absent = not truth.any() and not predicted.any()
    return np.nan, np.nan, np.nan if absent else 0.0
  there = _distances(truth, predicted, spacing_mm)
  back = _distances(predicted, truth, spacing_mm)
  hd95_mm = max(np.percentile(there, 95), np.percentile(back, 95))
  both = np.concatenate([there, back])
  within = both <= tolerance_mm + _ROUNDING_MM
  return hd95_mm, both.mean(), within.mean()


def _distances(start: np.ndarray, goal: np.ndarray, spacing_mm) -> np.ndarray:
  """Returns the distance in mm from each voxel of a surface to another.

  A distance transform takes as long whatever the surfaces; search trees need
  half the time for near ones and several times as long for distant ones.
  """
  nearest = ndimage.distance_transform_edt(
    ~goal, sampling=spacing_mm, return_distances=False, return_indices=True
  )
  squares = 0
  for place, found, spacing in zip(
    np.nonzero(start), nearest, spacing_mm, strict=True
  ):
    squares = squares + ((place - found[start]) * spacing) ** 2
  return np.sqrt(squares)


def summary(
  scores: Sequence[SurfaceScores], scheme: Scheme
) -> list[dict[str, Any]]:
  """Averages studies, a row a target class.

  Args:
    scores: of each study, at least one.
    scheme: the classes.

  Returns:
    Rows of class, hd95_mm, assd_mm, nsd (means over the studies that have
    one), the same as medians (hd95_mm_median ...), num_studies with a distance,
    and num_missed, those without because the class is in truth or prediction
    only.
  """
  stacked = SurfaceScores(*map(np.stack, zip(*scores, strict=True)))
  means = {
    name: metrics.nan_mean(values, 0)
    for name, values in stacked._asdict().items()
  }
  means |= {
    f"{name}_median": _nan_median(values)
    for name, values in stacked._asdict().items()
  }
  measured = (~np.isnan(stacked.hd95_mm)).sum(0)
  missed = stacked.missed.sum(0)
  return [
    {"class": name}
    | {metric: float(values[number]) for metric, values in means.items()}
    | {"num_studies": int(measured[number]), "num_missed": int(missed[number])}
    for number, name in enumerate(scheme.names)
    if number > 0
  ]


def _nan_median(values: Float[np.ndarray, "s k"]) -> Float[np.ndarray, "k"]:
  """Returns the medians of columns without their NaNs, NaN of nothing."""
  known = [column[~np.isnan(column)] for column in values.T]
  return np.array([np.median(c) if len(c) else np.nan for c in known])
