"""The acquisition: protocol, grid, partial volume, receive field, noise."""

import dataclasses
from typing import Any

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from lumbar_jax.anatomy import PHANTOM
from lumbar_jax.data.phantom.canvas import Fields
from lumbar_jax.data.phantom.chart import Noise
from lumbar_jax.data.phantom.motion import Motion
from lumbar_jax.data.phantom.presets import Channel, Preset
from lumbar_jax.data.phantom.shapes import Anatomy
from lumbar_jax.data.phantom.tissues import ID, Body

_MHZ_PER_TESLA = 42.577
_MODELS = (
  ("SIEMENS", "Avanto", 1.494),
  ("SIEMENS", "Skyra", 3.0),
  ("Philips", "Ingenia", 1.5),
  ("GE", "Signa HDxt", 1.5),
  ("Hitachi", "Oasis", 1.0),
)
_SIDE_SPAN_MM = 44.0  # the slices reach at least this far, for the foramina
_SLICE_FILL = 0.85  # share of the slice spacing that is excited
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
  return Scanner(
    manufacturer=manufacturer,
    model=model,
    field_t=field_t,
    center_mm=np.array(
      [rng.normal(0, 1.0), rng.uniform(-12, 4), rng.uniform(-24, -8)]
    ),
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
    "SliceThickness": round(_SLICE_FILL * scanner.slice_spacing_mm, 3),
    "SpacingBetweenSlices": scanner.slice_spacing_mm,
  }


def _subsampled(fields: Fields, count: tuple[int, int]) -> Fields:
  """Spreads fields [h w] to in-plane sub-samples [rows columns h w].

  The fields are smooth at the scale of a pixel, so their slopes suffice; the
  threads of the cauda are finer and are taken at the pixel's centre.
  """
  shape = fields.s.shape
  offsets = [
    ((np.arange(n) + 0.5) / n - 0.5).astype(np.float32).reshape(-1, 1, 1)
    for n in count
  ]
  down, along = offsets[0][:, None], offsets[1][None]
  spread = {}
  for field in dataclasses.fields(Fields):
    value = getattr(fields, field.name)
    if field.name == "strands":
      spread[field.name] = np.broadcast_to(value, (*count, *shape))
      continue
    slope_down, slope_along = np.gradient(value)
    spread[field.name] = value + down * slope_down + along * slope_along
  return Fields(**spread)


def _majority(labels: np.ndarray) -> np.ndarray:
  """Returns the most frequent label of [samples h w]; ties: the lower one."""
  votes = np.zeros((PHANTOM.num_classes, labels[0].size), np.uint8)
  columns = np.arange(labels[0].size)
  for sample in labels.reshape(len(labels), -1):
    votes[sample, columns] += 1
  return votes.argmax(0).astype(np.uint8).reshape(labels.shape[1:])


def _slice(anatomy, grid, motion, signal, texture, samples, index):
  """Samples one slice: (signal, its texture's amplitude, label), [h w]."""
  total = np.zeros(grid.shape[1:], np.float32)
  grain = np.zeros_like(total)
  labels = []
  through = ((np.arange(samples[0]) + 0.5) / samples[0] - 0.5) * _SLICE_FILL
  for offset in through:
    points = np.stack(np.broadcast_arrays(*grid.plane(index + offset)), -1)
    points = np.moveaxis(motion.t1w_to_t2w(points), -1, 0)
    canvas = anatomy.paint(_subsampled(anatomy.fields(points), samples[1:]))
    values = signal[canvas.tissue, canvas.label]
    total += values.mean((0, 1))
    grain += (values * texture[canvas.tissue]).mean((0, 1))
    labels.append(canvas.label.reshape(-1, *total.shape))
  return (
    total / samples[0],
    grain / samples[0],
    _majority(np.concatenate(labels)),
  )


def _receive_field(rng, points, strength: float, saturation: float):
  """Returns the coil's sensitivity and the saturation band's share, [h w].

  A spine coil lies under the back; a band in front of the spine often takes
  the signal (and the motion artefacts) of the bowel away.
  """
  x, y, z = (p / 100 for p in points)
  slope = rng.normal(0, 0.35 * strength, 4)
  smooth = slope[0] * x + slope[1] * z + slope[2] * z * z + slope[3] * y * z
  coil = np.exp(-(y + 0.2) * strength * rng.uniform(0.6, 1.6) + smooth)
  edge = rng.uniform(45, 60) / 100
  band = 1 - saturation / (1 + np.exp(-(y - edge) / 0.05))
  return (coil * band).astype(np.float32)


def _grain(noise: Noise, points: np.ndarray, channel: int) -> np.ndarray:
  """Returns tissue texture: one part is common to all images, two are not."""
  at = np.moveaxis(points, -1, 0).astype(np.float32)
  shared, own = noise.at(at, 2.0, 6), noise.at(at, 1.1, channel)
  return 0.6 * (shared + own + noise.at(at, 9.0, channel + 1))


def acquire(
  anatomy: Anatomy,
  body: Body,
  grid: Grid,
  sidecar: dict[str, Any],
  motion: Motion,
  preset: Preset,
  rng: np.random.Generator,
  grain_channel: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Makes an image and the labels on its grid.

  Args:
    anatomy: the patient, at rest in the T2w image.
    body: the patient's tissues.
    grid: where to sample.
    sidecar: RepetitionTime and EchoTime in seconds.
    motion: of the patient at this acquisition.
    preset: supersampling, texture, bias, signal-to-noise ratio.
    rng: numpy Generator of bias and noise.
    grain_channel: which noise field makes this image's own texture.

  Returns:
    int16 [n h w] image and uint8 [n h w] PHANTOM labels.
  """
  tr_ms, te_ms = (
    1000 * sidecar[name] for name in ("RepetitionTime", "EchoTime")
  )
  signal = body.signal(tr_ms, te_ms)
  image = np.zeros(grid.shape, np.float32)
  labels = np.zeros(grid.shape, np.uint8)
  coil_seed = int(rng.integers(2**31))
  for index in range(grid.shape[0]):
    value, grain, labels[index] = _slice(
      anatomy, grid, motion, signal, body.texture, preset.supersampling, index
    )
    points = np.stack(np.broadcast_arrays(*grid.plane(index)), -1)
    noise = _grain(anatomy.noise, motion.t1w_to_t2w(points), grain_channel)
    value += preset.texture * noise * grain
    coil = _receive_field(
      np.random.default_rng(coil_seed),
      np.moveaxis(points, -1, 0),
      preset.bias,
      anatomy.patient.saturation,
    )
    image[index] = np.maximum(value, 0) * coil
  return _digitise(image, signal, preset, rng), labels


def _digitise(image, signal, preset: Preset, rng) -> np.ndarray:
  """Adds Rician noise and scales to the scanner's whole numbers."""
  marrow = signal[ID["marrow"]].mean()
  sigma = marrow / rng.uniform(*preset.signal_to_noise)
  real, imaginary = rng.standard_normal((2, *image.shape), np.float32) * sigma
  magnitude = np.hypot(image + real, imaginary)
  scale = rng.uniform(180, 420) / marrow
  return np.clip(np.rint(magnitude * scale), 0, 32767).astype(np.int16)


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
