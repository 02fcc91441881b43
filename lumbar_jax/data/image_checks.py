"""What can be wrong with an image, as findings."""

import math
from collections.abc import Sequence

import numpy as np

from lumbar_jax.data.normalisation import has_contrast
from lumbar_jax.data.resampling import training_shape
from lumbar_jax.data.sources.found import ERROR, WARNING, Finding
from lumbar_jax.data.volumes import Volume
from lumbar_jax.formats.nifti_header import check_intent
from lumbar_jax.formats.notes import Note

_ISOTROPIC = 1.2  # up to this ratio of spacings a volume can be resliced
_LONGER = 1.05  # more than rounding errors make of equal spacings
_THIN = 3  # times fewer slices than rows and columns: a stack
_OBLIQUE_DEG = 30.0
_FEW_VALUES = 3
_MOST_LABELS = 64  # so many whole numbers make a mask, fractions do not
_LARGEST_LABEL = 255
_VOXELS_A_LABEL = 16  # fewer a value: too small a volume to tell
_SAMPLE = 4096
_LEAST_PX = 8, 16  # of a slice to train on: fewer are refused, are told
_MOST_FINER = 8, 32  # times finer than stored: more is told, is refused
_WAYS = ("left-right", "up-down", "front-back")
_PLANES = ("sagittal", "axial", "coronal")


def check_image(volume: Volume, study: str) -> list[Finding]:
  """Lists what is wrong with an image, and what is doubtful.

  Args:
    volume: the image.
    study: name of the study.
  """
  findings = check_notes(volume, study, mask=False)
  values = _few_values(volume.array)
  if len(values) == 1:
    problem = f"all {volume.array.size} voxels are {values[0]:g}"
    remedy = "export it again, or leave the study out"
    findings.append(Finding(ERROR, problem, remedy, volume.path, study))
  elif not has_contrast(volume.array):
    problem = f"a constant image: its values lie between {volume.array.min():g}"
    problem += f" and {volume.array.max():g}"
    remedy = "export the volume again, or leave the study out"
    findings.append(Finding(ERROR, problem, remedy, volume.path, study))
  elif _like_labels(values, volume.array.size):
    shown = " and ".join(f"{value:g}" for value in values)
    if len(values) > _FEW_VALUES:
      shown = f"whole numbers from {values[0]:g} to {values[-1]:g}"
    problem = f"its voxels have {len(values)} different values only: {shown}"
    remedy = "it looks like a mask, not an image: check which file it is"
    findings.append(Finding(WARNING, problem, remedy, volume.path, study))
  return findings + _check_plane(volume, study)


def check_training_grid(
  volume: Volume, data_config, study: str
) -> list[Finding]:
  """Lists what is wrong with the resolution that is asked for.

  Args:
    volume: the study's reference image.
    data_config: `config.data`.
    study: name of the study.
  """
  native, target_mm = volume.array.shape[1:], data_config.spacing_mm
  name = "image_size" if data_config.image_size else "spacing_mm"
  shape = training_shape(
    native, volume.spacing_mm[1:], target_mm, data_config.image_size
  )
  pixels, stored = min(shape), min(native)
  finer = max(size / own for size, own in zip(shape, native, strict=True))
  refused, told = (pixels < min(least, stored) for least in _LEAST_PX)
  refused, told = (
    refused or finer > _MOST_FINER[1],
    told or finer > _MOST_FINER[0],
  )
  if not (refused or told):
    return []
  problem = (
    f"config.data.{name} {data_config[name]:g} makes slices of {shape[0]} x "
    f"{shape[1]} pixels from {native[0]} x {native[1]} of "
    f"{_mm(volume.spacing_mm[1:])} mm"
  )
  remedy = (
    f"give --config.data.{name}= a value nearer to the images' own, or 0 to "
    "keep theirs"
  )
  severity = ERROR if refused else WARNING
  return [Finding(severity, problem, remedy, volume.path, study)]


def check_notes(volume: Volume, study: str, *, mask: bool) -> list[Finding]:
  """Returns what reading a file found doubtful, as findings.

  Args:
    volume: an image or a mask.
    study: name of the study.
    mask: whether it is a mask.
  """
  notes = [*volume.notes, *check_intent(volume.header, mask=mask)]
  return [
    Finding(WARNING, n.problem, n.remedy, volume.path, study) for n in notes
  ]


def _like_labels(values: Sequence[float], voxels: int) -> bool:
  """Whether a volume's different values look like the numbers of classes."""
  if len(values) <= _FEW_VALUES:
    return bool(values)
  small = values[0] >= 0 and values[-1] <= _LARGEST_LABEL
  whole = all(value.is_integer() for value in values)
  return small and whole and voxels >= _VOXELS_A_LABEL * len(values)


def _few_values(array: np.ndarray) -> list[float]:
  """Returns the different values, ascending; [] if there are many."""
  flat = array.ravel()
  sample = flat[:: max(1, flat.size // _SAMPLE)]
  if len(np.unique(sample)) > _MOST_LABELS:
    return []
  values = []
  while flat.size and len(values) <= _MOST_LABELS:
    values.append(float(flat[0]))
    flat = flat[flat != flat[0]]
  return sorted(values) if len(values) <= _MOST_LABELS else []


def _check_plane(volume: Volume, study: str) -> list[Finding]:
  """Tells slices that are not sagittal, or far from it."""
  plane, note = slice_plane(volume.array.shape, volume.spacing_mm), None
  if plane != _PLANES[0]:
    note = Note(
      f"not sagittal by its header but {plane}: voxels are "
      f"{_mm(volume.spacing_mm)} mm ({', '.join(_WAYS)})",
      "networks see slices across left-right: give a sagittal volume, or check "
      "the orientation in the header",
    )
  elif (angle := obliqueness_deg(volume.affine)) > _OBLIQUE_DEG:
    note = Note(
      f"its slices are turned by {angle:.0f} degrees from sagittal",
      "networks learn from sagittal slices (up to "
      f"{_OBLIQUE_DEG:g} degrees is nothing to tell): check the orientation in "
      "the header",
    )
  if note is None:
    return []
  return [Finding(WARNING, note.problem, note.remedy, volume.path, study)]


def slice_plane(shape: Sequence[int], spacing_mm: Sequence[float]) -> str:
  """Returns "sagittal", "axial" or "coronal", the plane of the slices.

  Slices lie across the axis along which voxels are longest, or which has one
  index alone. Nearly isotropic volumes count as sagittal: they can be cut
  along any plane. That is but for a few slices of many pixels.

  Args:
    shape: (slices, rows, columns), as a `Volume` has them.
    spacing_mm: distance of neighbours along them: left-right, up-down and
      front-back.
  """
  single = [axis for axis, size in enumerate(shape) if size == 1]
  if single:
    return _PLANES[single[0]]
  longest = int(np.argmax(spacing_mm))
  second = sorted(spacing_mm)[1]
  across = spacing_mm[0]
  # Slices that overlap are nearer to each other than their pixels are.
  stands_out = spacing_mm[longest] > _ISOTROPIC * second
  far = spacing_mm[longest] > 2 * across
  long = spacing_mm[longest] > _ISOTROPIC * across
  # A thin stack of slices that are only a little thicker than their pixels.
  thin = _THIN * shape[longest] < min(
    s for i, s in enumerate(shape) if i != longest
  )
  slab = thin and spacing_mm[longest] > _LONGER * across
  crosswise = slab or (long and (stands_out or far))
  return _PLANES[longest] if crosswise else _PLANES[0]


def obliqueness_deg(affine: np.ndarray) -> float:
  """Returns the angle between the slices' normal and left-right.

  Args:
    affine: [4 4], (slice, row, column) index -> RAS mm.
  """
  normal = np.cross(affine[:3, 1], affine[:3, 2])
  cosine = abs(normal[0]) / np.linalg.norm(normal)
  return math.degrees(math.acos(min(float(cosine), 1.0)))


def _mm(sizes: Sequence[float]) -> str:
  return " x ".join(f"{size:.3g}" for size in sizes)
