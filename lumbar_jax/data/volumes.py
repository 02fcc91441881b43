"""NIfTI volumes with one set of axes, whatever is stored.

Slices run along the sagittal normal from left to right, rows from superior to
inferior, columns from anterior to posterior. Writing goes back to the stored
axes, so that a mask lies on exactly the grid that its image came with.
"""

import dataclasses
import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax.errors import InputError
from lumbar_jax.files import atomic_path
from lumbar_jax.timing import stage

AXES = ("R", "I", "P")  # what an index of (slice, row, column) grows towards
GRID_TOLERANCE_MM = 0.01


@dataclasses.dataclass(frozen=True)
class Volume:
  """A volume in our axes, and how to get back to the file's.

  Attributes:
    array: [n h w] slices, rows, columns.
    affine: [4 4], (n, h, w) index -> RAS mm.
    stored_affine: [4 4] of the file.
    stored_shape: shape of the file's array.
    header: the file's header (codes, units).
    path: where it came from.
  """

  array: np.ndarray
  affine: np.ndarray
  stored_affine: np.ndarray
  stored_shape: tuple[int, ...]
  header: nib.Nifti1Header
  path: Path

  @property
  def spacing_mm(self) -> tuple[float, float, float]:
    """Distance of neighbouring (slices, rows, columns) in mm."""
    return tuple(np.linalg.norm(self.affine[:3, :3], axis=0).tolist())

  def same_grid(self, other: "Volume") -> bool:
    """Tells whether voxels coincide, to a hundredth of a millimetre."""
    if self.array.shape != other.array.shape:
      return False
    far = np.array([*self.array.shape, 1]) - [1, 1, 1, 0]
    corners = [[0, 0, 0, 1], far, [0, far[1], 0, 1], [far[0], 0, far[2], 1]]
    distance = (self.affine - other.affine) @ np.transpose(corners)
    return bool(np.abs(distance[:3]).max() < GRID_TOLERANCE_MM)


def _transform(affine: np.ndarray) -> np.ndarray:
  """Returns nibabel's orientation transform from stored axes to ours."""
  return nib.orientations.ornt_transform(
    nib.orientations.io_orientation(affine),
    nib.orientations.axcodes2ornt(AXES),
  )


def _reason(error: Exception, path: Path) -> str:
  """Returns what a library said, without the path that we say ourselves."""
  return str(error).replace(str(path), "it").strip()[:120]


def _load(path: Path) -> nib.Nifti1Image:
  if not path.is_file():
    raise InputError("no such file", "check the path", path=path)
  try:
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair):
      raise nib.filebasedimages.ImageFileError(type(image).__name__)
  except (nib.filebasedimages.ImageFileError, OSError, EOFError) as error:
    raise InputError(
      f"not a readable NIfTI file ({_reason(error, path)})",
      "convert the study to NIfTI (.nii or .nii.gz), or copy it again",
      path=path,
    ) from None
  return image


def _check_shape(shape: tuple[int, ...], path: Path) -> None:
  if len(shape) != 3:
    raise InputError(
      f"a {len(shape)}-D image of shape {shape}",
      "give a 3-D volume; one slice is H x W x 1, a series has to be split "
      "into its volumes",
      path=path,
    )
  if 0 in shape:
    raise InputError(
      f"an empty volume of shape {shape}", "export it again", path=path
    )


def _check_affine(affine: np.ndarray, path: Path) -> None:
  if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
    raise InputError(
      f"its affine {np.round(affine, 3).tolist()} cannot be inverted",
      "repair the sform or qform of the header",
      path=path,
    )


def _check_gzip(path: Path) -> None:
  """Reads a .gz to its checksum, which nibabel stops short of."""
  if path.suffix == ".gz":
    with gzip.open(path) as file:
      while file.read(1 << 22):
        pass


def read_array(image: nib.Nifti1Image, path: Path, dtype) -> np.ndarray:
  """Reads the voxels (a damaged .gz shows only here).

  Raises:
    InputError: a file cut short, or values that are not finite.
  """
  try:
    _check_gzip(path)
    array = np.asarray(image.dataobj, dtype=dtype)
  except (OSError, EOFError, ValueError, zlib.error) as error:
    raise InputError(
      f"its voxels cannot be read ({_reason(error, path)})",
      "the file is damaged or cut short: copy it again",
      path=path,
    ) from None
  if not np.isfinite(array).all():
    count = int((~np.isfinite(array)).sum())
    raise InputError(
      f"{count} of {array.size} voxels are NaN or infinite",
      "export the volume again, or replace those voxels",
      path=path,
    )
  return array


@stage("read")
def read_volume(path: str | Path, *, dtype=np.float32) -> Volume:
  """Reads a NIfTI volume into our axes.

  Raises:
    InputError: not a NIfTI file, not 3-D, empty, damaged, NaN or infinite
      voxels, or an affine that cannot be inverted.
  """
  path = Path(path)
  image = _load(path)
  _check_shape(image.shape, path)
  _check_affine(image.affine, path)
  array = read_array(image, path, dtype)
  transform = _transform(image.affine)
  oriented = nib.orientations.apply_orientation(array, transform)
  affine = image.affine @ nib.orientations.inv_ornt_aff(transform, image.shape)
  return Volume(
    np.ascontiguousarray(oriented),
    affine,
    image.affine,
    image.shape,
    image.header,
    path,
  )


def to_stored(array: np.ndarray, reference: Volume) -> np.ndarray:
  """Brings [n h w ...] back to the axes of the reference's file."""
  back = nib.orientations.ornt_transform(
    nib.orientations.axcodes2ornt(AXES),
    nib.orientations.io_orientation(reference.stored_affine),
  )
  return nib.orientations.apply_orientation(array, back)


@stage("write")
def write_volume(
  path: str | Path, array: np.ndarray, reference: Volume
) -> None:
  """Writes [n h w] (or [n h w k]) on the reference file's own grid.

  Shape, affine and the header's codes and units are the reference's; the data
  type is the array's, unscaled. The file appears whole or not at all.
  """
  header = reference.header.copy()
  header.set_data_dtype(array.dtype)
  header.set_slope_inter(1, 0)
  header["cal_min"] = header["cal_max"] = 0
  stored = to_stored(array, reference)
  image = nib.Nifti1Image(stored, None, header)
  # Both forms as they were: a qform stored beside another sform stays.
  for form in ("sform", "qform"):
    matrix, code = getattr(reference.header, f"get_{form}")(coded=True)
    getattr(image, f"set_{form}")(matrix, int(code))
  if not reference.header["sform_code"] and not reference.header["qform_code"]:
    image = nib.Nifti1Image(stored, None, header)
  with atomic_path(path) as scratch:
    nib.save(image, scratch)
