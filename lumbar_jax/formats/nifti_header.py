"""What a NIfTI header says that the meaning of its voxels depends on.

Fields are read as the standard defines them (nifti1.h and nifti2.h of the NIH).
What cannot be true is refused; what is doubtful is used as the standard has it
and told in a `Note`.
"""

import dataclasses
import math
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax.errors import InputError
from lumbar_jax.formats.nifti_files import (
  not_nifti,
  read_head,
  volume_files,
)
from lumbar_jax.formats.notes import Note

_AGAIN = "export or convert it again"
_DTYPES = {
  **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1"},
  **{512: "u2", 768: "u4", 1024: "i8", 1280: "u8"},
}
_OTHER_TYPES = {
  **{1: "single bits", 32: "complex numbers", 1792: "complex numbers"},
  **{2048: "complex numbers", 1536: "numbers of 128 bits"},
  **{128: "colours (RGB)", 2304: "colours (RGBA)"},
}
_LABEL_INTENTS = (1002, 1003)  # NIFTI_INTENT_LABEL, NEURONAME


@dataclasses.dataclass(frozen=True)
class RawHeader:
  """A header as it stands in its file, with what its fields mean.

  Attributes:
    fields: the header's fields; those that no reader could use are mended.
    path: the file that was asked for.
    voxels_path: the file that holds the voxels.
    shape: number of voxels along each stored axis (three of them).
    dtype: of the stored voxels.
    offset: bytes before the voxels.
    slope: a voxel is slope * stored + inter.
    inter: see slope.
    notes: what is doubtful.
  """

  fields: nib.Nifti1Header
  path: Path
  voxels_path: Path
  shape: tuple[int, int, int]
  dtype: np.dtype
  offset: int
  slope: float
  inter: float
  notes: tuple[Note, ...] = ()

  @property
  def bytes_needed(self) -> int:
    """Bytes that the file with the voxels has to hold."""
    return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_raw_header(path: str | Path) -> RawHeader:
  """Reads a header (NIfTI 1 or 2, single or pair, either byte order).

  Reads no voxels and allocates nothing for them.

  Raises:
    InputError: not a NIfTI file, not three axes, no voxels, voxels that are no
      real numbers, or fields that contradict each other.
  """
  path = Path(path)
  files = volume_files(path)
  head = read_head(files[0])
  fields, pair = _fields(head, path)
  if pair and len(files) == 1:
    raise InputError(
      "the header of a pair without its other file",
      "put the .hdr and the .img file side by side",
      path=path,
    )
  shape = _shape(fields, path)
  dtype, notes = _dtype(fields, path)
  slope, inter, about_scaling = _scaling(fields, path)
  return RawHeader(
    fields,
    path,
    files[-1] if pair else files[0],
    shape,
    dtype,
    _offset(fields, pair, path),
    slope,
    inter,
    (*notes, *about_scaling),
  )


def _fields(head: bytes, path: Path) -> tuple[nib.Nifti1Header, bool]:
  """Returns (fields, whether the voxels lie in a file of their own)."""
  for order, mark in (("little", "<"), ("big", ">")):
    size = int.from_bytes(head[:4], order)
    if size not in (348, 540) or len(head) < size:
      continue
    magic = head[344:348] if size == 348 else head[4:8]
    version = {348: b"1\0", 540: b"2\0"}[size]
    if magic not in (b"n+" + version, b"ni" + version):
      why = "an Analyze file, which does not say where its axes run"
      raise not_nifti(why if size == 348 else "no magic string", path)
    pair = magic[:2] == b"ni"
    first = nib.Nifti1Pair if pair else nib.Nifti1Image
    second = nib.Nifti2Pair if pair else nib.Nifti2Image
    kind = (first if size == 348 else second).header_class
    return kind(head[:size], endianness=mark, check=False), pair
  why = f"only {len(head)} bytes" if len(head) < 348 else "no NIfTI header"
  raise not_nifti(why, path, head)


def _shape(fields: nib.Nifti1Header, path: Path) -> tuple[int, int, int]:
  """Returns the three sizes; further axes of one index are left out."""
  num_axes, *sizes = fields["dim"].tolist()
  if not 1 <= num_axes <= 7 or min(sizes[:num_axes]) < 0:
    raise InputError(
      f"its header makes no sense (dim is {[num_axes, *sizes]})",
      _AGAIN,
      path=path,
    )
  shape = tuple(sizes[:num_axes])
  if len(shape) < 3 or any(size != 1 for size in shape[3:]):
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
  return shape[:3]


def _dtype(fields: nib.Nifti1Header, path: Path) -> tuple[np.dtype, list[Note]]:
  code, bits = int(fields["datatype"]), int(fields["bitpix"])
  if code not in _DTYPES:
    kind = _OTHER_TYPES.get(code, f"of the unknown type {code}")
    raise InputError(
      f"its voxels are {kind}, no grey values",
      "export the image itself as 16-bit integers or 32-bit floats (a "
      "screenshot or a coloured picture cannot be used)",
      path=path,
    )
  dtype = np.dtype(fields.endianness + _DTYPES[code])
  if bits == 8 * dtype.itemsize:
    return dtype, []
  problem = (
    f"its header says {bits} bits a voxel and a data type of "
    f"{8 * dtype.itemsize}"
  )
  return dtype, [Note(problem, f"the data type is used; {_AGAIN}")]


def _offset(fields: nib.Nifti1Header, pair: bool, path: Path) -> int:
  offset = float(fields["vox_offset"])
  least = 0 if pair else fields.single_vox_offset
  if not (math.isfinite(offset) and offset >= least and offset % 1 == 0):
    raise InputError(
      f"its header makes no sense (vox_offset is {offset:g}; at least {least})",
      _AGAIN,
      path=path,
    )
  return int(offset)


def _scaling(
  fields: nib.Nifti1Header, path: Path
) -> tuple[float, float, list[Note]]:
  """Returns (slope, inter, notes); a slope of 0 means none, by the standard."""
  slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
  if slope == 0:
    return 1.0, 0.0, []
  if not math.isfinite(slope):
    problem = f"scl_slope is {slope:g}"
    return 1.0, 0.0, [Note(problem, "its values are used as they are stored")]
  if not math.isfinite(inter):
    raise InputError(
      f"its header makes no sense (scl_slope is {slope:g} and scl_inter "
      f"{inter:g})",
      _AGAIN,
      path=path,
    )
  return slope, inter, []


def check_intent(fields: nib.Nifti1Header, *, mask: bool) -> list[Note]:
  """Returns a note where a header says that it holds something else.

  Args:
    fields: of the header.
    mask: whether labels are expected; else an image.
  """
  code = int(fields["intent_code"])
  labels = code in _LABEL_INTENTS
  if code == 0 or (labels and mask):
    return []
  known = nib.nifti1.intent_codes
  name = known.label[code] if code in known.value_set("code") else "unknown"
  what = "a mask" if mask else "an image"
  if labels:
    problem = f"its header says that it is a label map (intent {code}, {name})"
  else:
    problem = f"its header says that it is not {what} (intent {code}, {name})"
  return [Note(problem, f"it is used as {what}: check that it is one")]
