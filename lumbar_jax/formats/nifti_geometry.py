"""Where a NIfTI header says that its voxels lie.

The sform is used where its code is set, else the qform, as the standard says.
Where neither is, the axes' directions are not known: they have to be given.
"""

import dataclasses
import math
from collections.abc import Sequence

import nibabel as nib
import numpy as np

from lumbar_jax.errors import InputError
from lumbar_jax.formats.nifti_doubts import (
  LAST_CODE,
  angle_notes,
  code_note,
  codes_of,
  qfac_note,
  spacing_of,
)
from lumbar_jax.formats.nifti_header import RawHeader
from lumbar_jax.formats.notes import Note
from lumbar_jax.formats.orientation import assumed_affine, check_orientation

GRID_TOLERANCE_MM = 0.01
PLAUSIBLE_MM = (0.05, 30.0)  # distances of voxels, in an image of a spine
_UNIT_MM = {1: 1000.0, 3: 1e-3}  # metre, micron; 2: mm, 0: not said
_UNIT_NAMES = {1: "metre", 3: "micron"}
_ROUNDING = 1e-3  # how much too long a quaternion may be
_LEAST_VOLUME = 1e-6  # of a voxel, its edges taken as 1
_SAME_SPACING = 0.01
_REPAIR = "repair the sform or qform of the header"


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Where voxels lie.

  Attributes:
    affine: [4 4], stored index -> RAS mm.
    fields: the header for files on this grid: as the image's, but without
      what no program could read.
    notes: what is doubtful.
  """

  affine: np.ndarray
  fields: nib.Nifti1Header
  notes: tuple[Note, ...] = ()


def read_geometry(raw: RawHeader, assume_orientation: str = "") -> Geometry:
  """Returns where a header's voxels lie.

  Args:
    raw: the header.
    assume_orientation: letters of the axes' directions, such as RAS, where the
      header does not give them.

  Raises:
    InputError: no orientation, or one that cannot be.
  """
  letters = check_orientation(assume_orientation)
  notes = [code_note(raw, form) for form in ("sform", "qform")]
  fields, problem = _mended_qform(raw)
  qform = None if problem else _qform(fields)
  coded = [int(raw.fields[f"{form}_code"]) > 0 for form in ("sform", "qform")]
  if coded[0]:
    affine = _sform(raw.fields)
  elif not coded[1]:
    affine = _assumed(raw, letters)
    notes.append(
      Note(
        f"its header gives no orientation ({codes_of(raw)}): its axes are "
        f"taken as {letters}",
        "assume_orientation says so: check that a picture is the right way up",
      )
    )
  elif qform is None:
    raise _refusal(f"its qform makes no sense ({problem})", raw)
  else:
    affine = qform
    notes.append(qfac_note(raw))
  _check_affine(affine, raw)
  sizes = fields["pixdim"][1:4]
  unusable = ~(np.isfinite(sizes) & (sizes > 0))
  fields["pixdim"][1:4] = np.where(unusable, spacing_of(affine), sizes)
  scale, about_units = _units(affine, raw)
  notes += about_units
  affine = _scaled(affine, scale)
  if coded[0]:
    other = None if qform is None else _scaled(qform, scale)
    notes += _other_forms(affine, other, problem, coded[1], raw, scale)
  notes += angle_notes(affine)
  return Geometry(affine, fields, tuple(note for note in notes if note))


def _refusal(problem: str, raw: RawHeader) -> InputError:
  return InputError(problem, _REPAIR, path=raw.path)


def _sform(fields: nib.Nifti1Header) -> np.ndarray:
  rows = [fields[f"srow_{axis}"].astype(float) for axis in "xyz"]
  return np.array([*rows, [0, 0, 0, 1]])


def _mended_qform(raw: RawHeader) -> tuple[nib.Nifti1Header, str]:
  """Returns the fields with a qform that can be read, and what was wrong.

  A quaternion too long by a rounding error is scaled. One that makes no sense
  is taken away where the sform is used instead.
  """
  fields = raw.fields.copy()
  for form in ("sform_code", "qform_code"):
    if not 0 <= fields[form] <= LAST_CODE:  # programs would not take it
      fields[form] = int(fields[form] > 0)
  if fields["pixdim"][0] not in (-1, 1):  # nor this
    fields["pixdim"][0] = -1 if fields["pixdim"][0] < 0 else 1
  if fields["qform_code"] <= 0:
    return fields, ""
  names = ("quatern_b", "quatern_c", "quatern_d")
  vector = np.array([float(fields[name]) for name in names])
  length = float(np.linalg.norm(vector))
  sizes = fields["pixdim"][1:4].astype(float)
  offsets = [float(fields[f"qoffset_{axis}"]) for axis in "xyz"]
  problem = ""
  if not length <= 1 + _ROUNDING:  # (NaN too)
    problem = f"its quaternion has the length {length:.4g}, and not 1"
  elif not (np.isfinite(sizes).all() and np.all(sizes != 0)):
    problem = f"pixdim is {_mm(sizes)}"
  elif not np.isfinite(offsets).all():
    problem = f"its origin is {offsets}"
  if problem:
    fields["qform_code"] = 0
    for name in names:
      fields[name] = 0
  elif length > 1:
    for name, value in zip(names, vector / length, strict=True):
      fields[name] = value
  return fields, problem


def _qform(fields: nib.Nifti1Header) -> np.ndarray | None:
  """Returns the qform's affine; None where its code is not set."""
  if fields["qform_code"] <= 0:
    return None
  vector = [float(fields[f"quatern_{axis}"]) for axis in "bcd"]
  rest = 1 - float(np.dot(vector, vector))
  if abs(rest) < fields.quaternion_threshold:
    rest = 0.0  # as nibabel has it
  rotation = nib.quaternions.quat2mat([math.sqrt(max(rest, 0)), *vector])
  sizes = np.abs(fields["pixdim"][1:4].astype(float))
  sizes[2] *= -1 if fields["pixdim"][0] < 0 else 1
  affine = np.eye(4)
  affine[:3, :3] = rotation * sizes
  affine[:3, 3] = [float(fields[f"qoffset_{axis}"]) for axis in "xyz"]
  return affine


def _assumed(raw: RawHeader, letters: str) -> np.ndarray:
  """Returns the affine of given directions."""
  if not letters:
    raise InputError(
      f"its header gives no orientation ({codes_of(raw)}), so where its axes "
      "run to would be a guess",
      "convert its DICOM files again; or, if you know where its three axes run "
      "to, give --assume_orientation=XYZ to predict, else "
      "--config.data.assume_orientation=XYZ (such as RAS or LPI)",
      path=raw.path,
    )
  sizes = np.abs(raw.fields["pixdim"][1:4].astype(float))
  if not (np.isfinite(sizes).all() and np.all(sizes > 0)):
    raise _refusal(f"pixdim is {_mm(sizes)}", raw)
  return assumed_affine(letters, raw.shape, sizes)


def _check_affine(affine: np.ndarray, raw: RawHeader) -> None:
  usable = np.isfinite(affine).all() and np.abs(affine).max() < 1e12
  if usable:
    spacing = spacing_of(affine)
    usable = np.all(spacing > 1e-12)
  if usable:
    volume = np.linalg.det(affine[:3, :3] / spacing)
    usable = abs(volume) > _LEAST_VOLUME
  if not usable:
    raise _refusal(
      f"its affine {np.round(affine, 3).tolist()} cannot be inverted", raw
    )


def _units(affine: np.ndarray, raw: RawHeader) -> tuple[float, list[Note]]:
  """Returns the factor to mm, and what is doubtful about sizes."""
  unit = int(raw.fields["xyzt_units"]) & 7
  spacing, scale, notes = spacing_of(affine), 1.0, []
  name = _UNIT_NAMES.get(unit)
  if unit in _UNIT_MM:
    scale = _UNIT_MM[unit]
    problem = f"its header gives lengths in {name}"
    if _plausible(spacing, raw) and not _plausible(spacing * scale, raw):
      problem += f", but voxels of {_mm(spacing)} {name} cannot be"
      notes.append(Note(problem, "taken as mm: correct xyzt_units"))
      scale = 1.0
    else:
      size = _mm(spacing * scale)
      notes.append(Note(problem, f"taken as such: voxels are {size} mm"))
  elif unit > 3:
    problem = f"its header gives lengths in an unknown unit ({unit})"
    notes.append(Note(problem, "taken as mm: correct xyzt_units"))
  if not _plausible(spacing * scale, raw):
    notes.append(
      Note(
        f"voxels are {_mm(spacing * scale)} mm, and hardly of a spine "
        f"({PLAUSIBLE_MM[0]:g} to {PLAUSIBLE_MM[1]:g} mm are)",
        "check the sform, qform and pixdim of the header",
      )
    )
  return scale, notes


def _plausible(spacing: np.ndarray, raw: RawHeader) -> bool:
  """Tells whether sizes can be of a spine; one index's size is not seen."""
  seen = spacing[np.array(raw.shape) > 1]
  low, high = PLAUSIBLE_MM
  return bool(np.all((seen > low * (1 - 1e-6)) & (seen < high * (1 + 1e-6))))


def _other_forms(
  affine: np.ndarray,
  qform: np.ndarray | None,
  problem: str,
  coded: bool,
  raw: RawHeader,
  scale: float,
) -> list[Note]:
  """Compares the sform, which is used, with what else the header says."""
  remedy = "the sform is used; other programs may take the qform: repair it"
  if coded and problem:
    return [Note(f"its qform makes no sense ({problem})", remedy)]
  if qform is None:
    return _pixdim(affine, raw, scale)
  last = np.array(raw.shape) - 1
  corners = np.array([[*(c * last), 1] for c in np.ndindex(2, 2, 2)]).T
  apart = np.linalg.norm(((affine - qform) @ corners)[:3], axis=0).max()
  if apart <= GRID_TOLERANCE_MM:
    return []
  codes = [
    "".join(letter or "?" for letter in nib.aff2axcodes(form))
    for form in (affine, qform)
  ]
  axes = "" if codes[0] == codes[1] else f" ({' and '.join(codes)} axes)"
  problem = (
    f"sform and qform{axes} put a corner {apart:.3g} mm apart "
    f"(allowed: {GRID_TOLERANCE_MM:g} mm)"
  )
  return [Note(problem, remedy)]


def _pixdim(affine: np.ndarray, raw: RawHeader, scale: float) -> list[Note]:
  """Compares pixdim with the sform, where there is no qform to compare."""
  spacing = spacing_of(affine)
  sizes = np.abs(raw.fields["pixdim"][1:4].astype(float)) * scale
  apart = np.abs(sizes - spacing) > _SAME_SPACING * spacing
  apart |= ~np.isfinite(sizes)
  if not np.any(apart & (np.array(raw.shape) > 1)):
    return []
  problem = f"pixdim is {_mm(sizes)} mm, and by the sform {_mm(spacing)} mm"
  return [Note(problem, "the sform is used: correct pixdim")]


def _scaled(affine: np.ndarray, scale: float) -> np.ndarray:
  if scale == 1:
    return affine
  return np.diag([scale, scale, scale, 1]) @ affine


def _mm(sizes: Sequence[float]) -> str:
  return " x ".join(f"{size:.3g}" for size in sizes)
