"""The machine and its protocol: grids, sequence parameters, storage order."""

import dataclasses
from typing import Any

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from lumbar_jax.data.phantom.presets import Channel, Preset

_MHZ_PER_TESLA = 42.577
_MODELS = (
  ("SIEMENS", "Avanto", 1.494),
  ("SIEMENS", "Skyra", 3.0),
  ("Philips", "Ingenia", 1.5),
  ("GE", "Signa HDxt", 1.5),
  ("Hitachi", "Oasis", 1.0),
)
_SIDE_SPAN_MM = 44.0  # the slices reach at least this far, for the foramina
SLICE_FILL = 0.85  # share of the slice spacing that is excited
# Columns: index of slice, row, column grows to the right, downwards, backwards.
_DIRECTIONS = np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]])


@dataclasses.dataclass(frozen=True)
class Grid:
  """A block of slices: shape [n h w], spacing and affine (index -> RAS mm)."""

  shape: tuple[int, int, int]
  spacing_mm: tuple[float, float, float]
  affine: np.ndarray

  def plane(self, slice_index: float) -> list[np.ndarray]:
    """Returns x, y, z of a slice's pixel centres, each [h w]."""
    rows, columns = np.ogrid[: self.shape[1], : self.shape[2]]
    matrix = self.affine
    return [
      matrix[i, 0] * slice_index
      + matrix[i, 1] * rows
      + matrix[i, 2] * columns
      + matrix[i, 3]
      for i in range(3)
    ]


@dataclasses.dataclass(frozen=True)
class Scanner:
  """What both images of a session share."""

  manufacturer: str
  model: str
  field_t: float
  center_mm: np.ndarray
  tilt_deg: np.ndarray  # rotation vector of the block of slices
  num_slices: int
  slice_spacing_mm: float
  storage: tuple[str, str, str]  # axis codes of the stored arrays


def draw_scanner(rng: np.random.Generator, preset: Preset) -> Scanner:
  """Draws the machine and the slice block's place, tilt and storage order."""
  manufacturer, model, field_t = _MODELS[
    rng.choice(len(_MODELS), p=[0.35, 0.2, 0.2, 0.15, 0.1])
  ]
  low, high = preset.num_slices
  num_slices = int(rng.integers(low, high + 1))
  narrow, wide = preset.slice_spacing_mm
  narrow = min(wide, max(narrow, _SIDE_SPAN_MM / num_slices))
  unusual = rng.random() < 0.25
  tilt = rng.normal(0, 1.2, 3) * (1.0 if unusual else 0.0)
  center_mm = np.array(
    [rng.normal(0, 1.0), rng.uniform(-12, 4), rng.uniform(-24, -8)]
  )
  if any(preset.lift_mm):  # else nothing is drawn: older presets stay theirs
    center_mm[2] += rng.uniform(*preset.lift_mm)
  return Scanner(
    manufacturer=manufacturer,
    model=model,
    field_t=field_t,
    center_mm=center_mm,
    tilt_deg=np.clip(tilt, -3, 3),
    num_slices=num_slices,
    slice_spacing_mm=round(float(rng.uniform(narrow, wide)), 3),
    storage=("R", "A", "S") if unusual else ("P", "I", "R"),
  )


def draw_grid(
  rng: np.random.Generator,
  scanner: Scanner,
  channel: Channel,
  field_of_view_mm: float,
) -> Grid:
  """Draws the in-plane matrix; the pixel spacing follows, within its range."""
  matrix = int(rng.choice(channel.matrix_px))
  low, high = channel.pixel_spacing_mm
  # Rounded inwards, so that the range holds.
  spacing = float(np.clip(round(field_of_view_mm / matrix, 4), low, high))
  fewer = 8 * round(matrix * 0.875 / 8)
  narrow = rng.random() < 0.25 and fewer >= min(channel.matrix_px)
  shape = (scanner.num_slices, matrix, fewer if narrow else matrix)
  spacings = (scanner.slice_spacing_mm, spacing, spacing)
  turn = Rotation.from_rotvec(scanner.tilt_deg, degrees=True).as_matrix()
  affine = np.eye(4)
  affine[:3, :3] = turn @ _DIRECTIONS @ np.diag(spacings)
  middle = (np.array(shape) - 1) / 2
  affine[:3, 3] = scanner.center_mm - affine[:3, :3] @ middle
  return Grid(shape, spacings, affine)


def draw_sidecar(
  rng: np.random.Generator, scanner: Scanner, channel: Channel
) -> dict[str, Any]:
  """Draws the sequence's parameters (BIDS names and units)."""
  tr_ms = rng.uniform(*channel.repetition_time_ms)
  te_ms = rng.uniform(*channel.echo_time_ms)
  low, high = channel.echo_train_length
  return {
    "Modality": "MR",
    "BodyPartExamined": "LSPINE",
    "Manufacturer": scanner.manufacturer,
    "ManufacturersModelName": scanner.model,
    "MagneticFieldStrength": scanner.field_t,
    "ImagingFrequency": round(scanner.field_t * _MHZ_PER_TESLA, 3),
    "RepetitionTime": round(tr_ms / 1000, 6),
    "EchoTime": round(te_ms / 1000, 6),
    "FlipAngle": round(float(rng.uniform(*channel.flip_angle_deg)), 1),
    "EchoTrainLength": int(rng.integers(low, high + 1)),
    "SliceThickness": round(SLICE_FILL * scanner.slice_spacing_mm, 3),
    "SpacingBetweenSlices": scanner.slice_spacing_mm,
  }


def to_storage(
  array: np.ndarray, affine: np.ndarray, codes: tuple[str, str, str]
) -> tuple[np.ndarray, np.ndarray]:
  """Reorders and flips [n h w] axes to the stored ones, with their affine."""
  transform = nib.orientations.ornt_transform(
    nib.orientations.io_orientation(affine),
    nib.orientations.axcodes2ornt(codes),
  )
  stored = nib.orientations.apply_orientation(array, transform)
  flip = nib.orientations.inv_ornt_aff(transform, array.shape)
  return np.ascontiguousarray(stored), affine @ flip
