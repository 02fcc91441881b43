"""One simulated session: both images, the truth, and what is known of them."""

import dataclasses
from typing import Any

import numpy as np

from lumbar_jax.data.phantom.acquisition import acquire
from lumbar_jax.data.phantom.motion import Motion, draw_motion
from lumbar_jax.data.phantom.patient import Patient
from lumbar_jax.data.phantom.presets import Preset, get_preset
from lumbar_jax.data.phantom.scanner import (
  Grid,
  Scanner,
  draw_grid,
  draw_scanner,
  draw_sidecar,
)
from lumbar_jax.data.phantom.shapes import Anatomy
from lumbar_jax.data.phantom.tissues import draw_body

# One random stream a purpose: a longer exposure of one changes no other.
_ANATOMY, _TISSUES, _SCANNER, _MOTION, _T2W, _T1W = range(6)


@dataclasses.dataclass(frozen=True)
class Protocol:
  """Everything about the acquisitions that is drawn before sampling."""

  scanner: Scanner
  grids: dict[str, Grid]
  sidecars: dict[str, dict[str, Any]]
  motion: Motion


@dataclasses.dataclass(frozen=True)
class Simulation:
  """A simulated session, in the project's axes (slice, row, column).

  Attributes:
    t2w: int16 [n h w].
    t1w: int16 [n h w] on its own grid; the anatomy is displaced in it.
    labels: uint8 [n h w] classes of anatomy.PHANTOM, on the T2w grid.
    t1w_labels: the same for the T1w grid, of the displaced anatomy.
    t2w_affine: [4 4] index -> RAS mm; t1w_affine likewise.
    sidecars: {"T2w": ..., "T1w": ...}, as BIDS JSON; T1w has PhantomMotion.
    landmarks: {name: [3] world mm in the T2w image}.
    motion: of the T1w image against the T2w image.
    patient: the anatomy's numbers (grades, slips, sizes).
    scanner: machine, storage order.
  """

  t2w: np.ndarray
  t1w: np.ndarray
  labels: np.ndarray
  t1w_labels: np.ndarray
  t2w_affine: np.ndarray
  t1w_affine: np.ndarray
  sidecars: dict[str, dict[str, Any]]
  landmarks: dict[str, np.ndarray]
  motion: Motion
  patient: Patient
  scanner: Scanner


def draw_protocol(
  preset: Preset, patient_index: int, seed: int, motion: Motion | None = None
) -> Protocol:
  """Draws scanner, grids, sequence parameters and motion (no sampling)."""
  rng = np.random.default_rng([seed, patient_index, _SCANNER])
  scanner = draw_scanner(rng, preset)
  field_of_view_mm = rng.uniform(*preset.field_of_view_mm)
  channels = {"T2w": preset.t2w, "T1w": preset.t1w}
  grids = {
    name: draw_grid(rng, scanner, channel, field_of_view_mm)
    for name, channel in channels.items()
  }
  sidecars = {
    name: draw_sidecar(rng, scanner, channel)
    for name, channel in channels.items()
  }
  if motion is None:
    motion = draw_motion(
      np.random.default_rng([seed, patient_index, _MOTION]),
      preset.max_rotation_deg,
      preset.max_translation_mm,
      scanner.center_mm,
    )
  sidecars["T1w"]["PhantomMotion"] = motion.as_dict()
  return Protocol(scanner, grids, sidecars, motion)


def simulate(
  preset: str | Preset,
  patient_index: int,
  seed: int = 0,
  motion: Motion | None = None,
  **overrides,
) -> Simulation:
  """Simulates one patient's session.

  Args:
    preset: name in PRESETS, or a Preset.
    patient_index: from 0; with `seed` it decides everything.
    seed: of the data set.
    motion: of the T1w image, instead of a drawn one (`Motion()`: none).
    **overrides: fields of Preset to replace.

  Raises:
    InputError: an unknown preset.
  """
  preset = dataclasses.replace(get_preset(preset), **overrides)

  def stream(purpose):
    return np.random.default_rng([seed, patient_index, purpose])

  protocol = draw_protocol(preset, patient_index, seed, motion)
  anatomy = Anatomy(stream(_ANATOMY), preset.anatomy)
  body = draw_body(
    stream(_TISSUES),
    anatomy.patient.grades,
    protocol.scanner.field_t,
    preset.variation,
  )
  images, labels = {}, {}
  for name, moved, purpose, grain in (
    ("T2w", Motion(), _T2W, 8),
    ("T1w", protocol.motion, _T1W, 10),
  ):
    images[name], labels[name] = acquire(
      anatomy,
      body,
      protocol.grids[name],
      protocol.sidecars[name],
      moved,
      preset,
      stream(purpose),
      grain,
    )
  return Simulation(
    t2w=images["T2w"],
    t1w=images["T1w"],
    labels=labels["T2w"],
    t1w_labels=labels["T1w"],
    t2w_affine=protocol.grids["T2w"].affine,
    t1w_affine=protocol.grids["T1w"].affine,
    sidecars=protocol.sidecars,
    landmarks=anatomy.chart.landmarks(),
    motion=protocol.motion,
    patient=anatomy.patient,
    scanner=protocol.scanner,
  )
