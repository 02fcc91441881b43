"""The voxels of a NIfTI file."""

from pathlib import Path

import numpy as np
from nibabel.arrayproxy import ArrayProxy

from lumbar_jax.errors import InputError
from lumbar_jax.formats.nifti_files import (
  DAMAGED,
  READ_ERRORS,
  held_bytes,
  opened,
  reason,
)
from lumbar_jax.formats.nifti_header import RawHeader
from lumbar_jax.formats.notes import Note


def read_voxels(raw: RawHeader, dtype=None) -> tuple[np.ndarray, list[Note]]:
  """Reads the voxels, scaled as the header says.

  The file is read to its end first, so that no array is made of what it cannot
  hold, and a damaged .gz is seen.

  Args:
    raw: the header.
    dtype: of the array; None: as stored, or float64 where there is a scaling.

  Returns:
    [x y z] along the stored axes, and what is doubtful.

  Raises:
    InputError: a file cut short or damaged, or values that are not finite.
  """
  path, needed = raw.path, raw.bytes_needed
  left = held_bytes(raw.voxels_path, needed) - needed
  spec = (raw.shape, raw.dtype, raw.offset, raw.slope, raw.inter)
  try:
    with opened(raw.voxels_path) as file, np.errstate(all="ignore"):
      array = np.asarray(ArrayProxy(file, spec, mmap=False), dtype=dtype)
  except READ_ERRORS as error:
    raise InputError(
      f"its voxels cannot be read ({reason(error, path)})", DAMAGED, path=path
    ) from None
  except MemoryError:
    raise InputError(
      f"its {needed} bytes do not fit into the memory",
      "use a machine with more, or a coarser image",
      path=path,
    ) from None
  array = array.astype(array.dtype.newbyteorder("="), copy=False)
  _check_finite(array, path)
  if left <= 0:
    return array, []
  problem = f"its file holds {left} bytes more than its header tells of"
  return array, [Note(problem, "they are left aside: is the header right?")]


def _check_finite(array: np.ndarray, path: Path) -> None:
  if array.dtype.kind == "f" and not np.isfinite(array).all():
    count = int((~np.isfinite(array)).sum())
    raise InputError(
      f"{count} of {array.size} voxels are NaN or infinite",
      "export the volume again, or replace those voxels",
      path=path,
    )
