"""NIfTI volumes with one set of axes, whatever is stored.

Slices run along the sagittal normal from left to right, rows from superior to
inferior, columns from anterior to posterior. Writing goes back to the stored
axes, so that a mask lies on exactly the grid that its image came with.
"""

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax.errors import InputError
from lumbar_jax.files import atomic_path
from lumbar_jax.formats.nifti_geometry import (
  GRID_TOLERANCE_MM,
  read_geometry,
)
from lumbar_jax.formats.nifti_header import read_raw_header
from lumbar_jax.formats.nifti_voxels import read_voxels
from lumbar_jax.formats.notes import Note
from lumbar_jax.timing import stage

AXES = ("R", "I", "P")  # what an index of (slice, row, column) grows towards
# Of the header that is written: what belongs to the voxels and the file.
_OWN_FIELDS = (
  *("sizeof_hdr", "magic", "eol_check", "vox_offset", "datatype", "bitpix"),
  *("scl_slope", "scl_inter", "intent_code", "intent_name"),
  *("intent_p1", "intent_p2", "intent_p3", "dim"),
)
# What nibabel and numpy raise on headers that make no sense.
_HEADER_ERRORS = (
  ValueError,
  TypeError,
  ArithmeticError,
  OSError,
  nib.spatialimages.HeaderDataError,
  nib.spatialimages.ImageDataError,
)


@dataclasses.dataclass(frozen=True)
class Volume:
  """A volume in our axes, and how to get back to the file's.

  Attributes:
    array: [n h w] slices, rows, columns.
    affine: [4 4], (n, h, w) index -> RAS mm.
    stored_affine: [4 4] of the file's axes, index -> RAS mm.
    stored_shape: shape of the file's array, its three axes.
    header: the file's header (codes, units, forms), for files on its grid.
    path: where it came from.
    notes: what is doubtful about the file.
  """

  array: np.ndarray
  affine: np.ndarray
  stored_affine: np.ndarray
  stored_shape: tuple[int, ...]
  header: nib.Nifti1Header
  path: Path
  notes: tuple[Note, ...] = ()

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


@stage("read")
def read_volume(
  path: str | Path, *, dtype=np.float32, assume_orientation: str = ""
) -> Volume:
  """Reads a NIfTI volume into our axes.

  Args:
    path: the file; either one of a pair.
    dtype: of the array; None: as it is stored (for masks, whose numbers must
      not be rounded).
    assume_orientation: directions of the stored axes, such as "RAS", where the
      header does not give them.

  Raises:
    InputError: not a NIfTI file, not 3-D, empty, damaged, voxels that are no
      finite real numbers, no orientation, or an affine that cannot be inverted.
  """
  path = Path(path)
  try:
    with np.errstate(all="ignore"):  # headers may hold any bits
      raw = read_raw_header(path)
      geometry = read_geometry(raw, assume_orientation)
    array, notes = read_voxels(raw, dtype)
  except InputError:
    raise
  except _HEADER_ERRORS as error:
    raise InputError(
      f"its header makes no sense ({str(error)[:80]})",
      "convert the study to NIfTI again",
      path=path,
    ) from None
  transform = _transform(geometry.affine)
  oriented = nib.orientations.apply_orientation(array, transform)
  back = nib.orientations.inv_ornt_aff(transform, raw.shape)
  return Volume(
    np.ascontiguousarray(oriented),
    geometry.affine @ back,
    geometry.affine,
    raw.shape,
    geometry.fields,
    path,
    (*raw.notes, *geometry.notes, *notes),
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

  Version, sform, qform, their codes and the units are the reference's; the data
  type is the array's, unscaled. Intent and extensions, which describe the
  reference's voxels, are left out. The file appears whole or not at all.
  """
  fields, second = reference.header, reference.header.sizeof_hdr == 540
  kind = nib.Nifti2Image if second else nib.Nifti1Image
  header = kind.header_class()
  for name in fields.template_dtype.names:
    if name not in _OWN_FIELDS:
      header[name] = fields[name]
  header.set_data_dtype(array.dtype)
  header["cal_min"] = header["cal_max"] = 0
  # No affine: the header's forms stay as they are, whatever their codes.
  image = kind(to_stored(array, reference), None, header)
  with atomic_path(path) as scratch:
    nib.save(image, scratch)
