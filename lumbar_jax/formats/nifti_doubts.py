"""What of a NIfTI header's orientation is doubtful."""

import math

import numpy as np

from lumbar_jax.formats.nifti_header import RawHeader
from lumbar_jax.formats.notes import Note

LAST_CODE = 5  # of sform_code and qform_code
_RIGHT_ANGLE = 0.01  # cosine of what counts as one


def code_note(raw: RawHeader, form: str) -> Note | None:
  """Returns a note on a code that the standard does not know."""
  code = int(raw.fields[f"{form}_code"])
  if 0 <= code <= LAST_CODE:
    return None
  used = f"it is taken as {'set' if code > 0 else 'not set'}"
  return Note(f"{form}_code is {code}, which NIfTI does not define", used)


def qfac_note(raw: RawHeader) -> Note | None:
  """Returns a note on a qfac (pixdim[0]) that is not 1 or -1.

  It says which way the third axis of the qform runs. 0 is 1 by the standard.
  """
  qfac = float(raw.fields["pixdim"][0])
  if qfac in (-1, 0, 1):
    return None
  return Note(
    f"pixdim[0] is {qfac:g}, and must be 1 or -1 (which way the third axis "
    "runs)",
    f"it is taken as {-1 if qfac < 0 else 1}: check that left and right, up "
    "and down are not swapped",
  )


def codes_of(raw: RawHeader) -> str:
  """Returns what both codes are, in words."""
  sform, qform = (
    int(raw.fields[f"{form}_code"]) for form in ("sform", "qform")
  )
  if sform == qform:
    return f"sform_code and qform_code are {sform}"
  return f"sform_code is {sform} and qform_code {qform}"


def angle_notes(affine: np.ndarray) -> list[Note]:
  """Returns a note on axes that are not at right angles."""
  directions = affine[:3, :3] / spacing_of(affine)
  cosines = (directions.T @ directions)[[0, 0, 1], [1, 2, 2]]
  worst = float(np.abs(cosines).max())
  if worst <= _RIGHT_ANGLE:
    return []
  angle = math.degrees(math.acos(min(worst, 1)))
  problem = f"its axes are not at right angles (but at {angle:.1f} degrees)"
  return [Note(problem, "it is used as if they were: resample it")]


def spacing_of(affine: np.ndarray) -> np.ndarray:
  """Returns [3], the distance of neighbours along each stored axis."""
  return np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
