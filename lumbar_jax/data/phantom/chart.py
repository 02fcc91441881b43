"""Coordinates that follow the spine, and the smooth noise that bends them.

Every shape is written in (lateral, t, s): to the right, forwards from the
column's axis and upwards along it. A vertebra is then a box with curved
walls, whatever the lordosis; curvature, scoliosis, listhesis and the small
irregularities of a body are in this chart alone.
"""

import numpy as np
from scipy import ndimage, spatial

from lumbar_jax.anatomy import DISCS
from lumbar_jax.data.phantom.patient import CHAIN, Patient

_STEP_MM = 0.25  # along the axis
_CELL_MM = 4.0  # of the table of nearest axis points
_REACH_MM = 190.0  # the table's half side; beyond, its edge is repeated


class Noise:
  """Smooth periodic noise of mean 0 and variance 1, drawn once a patient."""

  def __init__(self, rng: np.random.Generator, side: int = 48):
    """Draws the volume and one offset a channel."""
    volume = rng.standard_normal((side, side, side), np.float32)
    volume = ndimage.gaussian_filter(volume, 1.2, mode="wrap")
    self.volume = (volume - volume.mean()) / volume.std()
    self.offsets = rng.uniform(0, side, (16, 3)).astype(np.float32)

  def at(self, points, scale_mm, channel: int) -> np.ndarray:
    """Returns noise at points.

    Args:
      points: three arrays of one shape, mm.
      scale_mm: grain along each of the three (a number for all).
      channel: which of 16 independent fields.
    """
    scales = np.broadcast_to(scale_mm, 3)
    cells = [
      p * np.float32(1 / scale) + offset
      for p, scale, offset in zip(
        points, scales, self.offsets[channel], strict=True
      )
    ]
    return ndimage.map_coordinates(
      self.volume, cells, order=1, mode="grid-wrap", prefilter=False
    )


class Chart:
  """Maps world points (RAS mm) to spine coordinates and back.

  Attributes:
    s: [m] arc lengths of the axis' points, ascending.
    axis: [m 2] their (y, z).
  """

  def __init__(self, patient: Patient, noise: Noise, amount: float = 1.0):
    """Integrates the axis and tabulates the nearest axis point."""
    self.patient, self.noise = patient, noise
    self.wobble_mm = 0.9 * amount
    self.s = np.arange(-260, 280, _STEP_MM)
    order = np.argsort(patient.center_s)
    tilt = np.interp(
      self.s, patient.center_s[order], np.deg2rad(patient.tilt_deg[order])
    )
    tilt = ndimage.gaussian_filter1d(tilt, 8 / _STEP_MM, mode="nearest")
    self.up = np.stack([np.sin(tilt), np.cos(tilt)], -1)
    self.forward = np.stack([np.cos(tilt), -np.sin(tilt)], -1)
    axis = np.cumsum(self.up, 0) * _STEP_MM
    self.axis = axis - axis[np.searchsorted(self.s, 0)]
    self._tabulate()

  def _tabulate(self) -> None:
    """Fills the tables of (t, s) over the sagittal plane."""
    ticks = np.arange(-_REACH_MM, _REACH_MM + _CELL_MM, _CELL_MM)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1)
    nearest = spatial.cKDTree(self.axis).query(grid)[1]
    away = grid - self.axis[nearest]
    t = (away * self.forward[nearest]).sum(-1)
    s = self.s[nearest] + (away * self.up[nearest]).sum(-1)
    self.table_t, self.table_s = t.astype(np.float32), s.astype(np.float32)

  def _lookup(self, table: np.ndarray, y, z) -> np.ndarray:
    cells = [(v + np.float32(_REACH_MM)) / np.float32(_CELL_MM) for v in (y, z)]
    return ndimage.map_coordinates(
      table, cells, order=1, mode="nearest", prefilter=False
    )

  def _bend(self, s: np.ndarray) -> np.ndarray:
    """Returns the scoliosis: the axis' lateral position."""
    amplitude, wavelength, phase = self.patient.scoliosis
    return amplitude * np.sin(2 * np.pi * s / wavelength + phase)

  def _slip(self, s: np.ndarray) -> np.ndarray:
    """Returns the listhesis: a forward shift of all above a disc."""
    shift = np.zeros_like(s)
    for size_mm, disc_s in zip(
      self.patient.slip, self.patient.disc_s, strict=True
    ):
      if size_mm:
        # A step of the disc's thickness; 1 - clip keeps it cheap.
        shift += size_mm * np.clip((s - disc_s) / 8 + 0.5, 0, 1)
    return shift

  def _irregular(self, points) -> list[np.ndarray]:
    return [self.wobble_mm * self.noise.at(points, 7.0, c) for c in range(3)]

  def coordinates(self, points) -> tuple[np.ndarray, ...]:
    """Returns (lateral, t, s) of world points given as (x, y, z), mm."""
    x, y, z = points
    shake = self._irregular(points)
    s = self._lookup(self.table_s, y, z)
    lateral = x - self._bend(s) + shake[0]
    s = s + shake[2]
    t = self._lookup(self.table_t, y, z) + shake[1] - self._slip(s)
    return lateral, t, s

  def world(self, lateral, t, s) -> np.ndarray:
    """Returns [n 3] world points of spine coordinates [n] (the inverse).

    The irregularities are undone by fixed-point iteration: they are shorter
    than their wavelength by far, so ten steps leave less than 0.01 mm.
    """
    shake = [np.zeros(s.shape)] * 3
    for _ in range(10):
      smooth_s = s - shake[2]
      place = np.stack(
        [np.interp(smooth_s, self.s, self.axis[:, i]) for i in (0, 1)], -1
      )
      forward = np.stack(
        [np.interp(smooth_s, self.s, self.forward[:, i]) for i in (0, 1)], -1
      )
      place = place + (t + self._slip(s) - shake[1])[..., None] * forward
      x = lateral - shake[0] + self._bend(smooth_s)
      points = np.concatenate([x[..., None], place], -1)
      shake = self._irregular(np.moveaxis(points, -1, 0).astype(np.float32))
    return points

  def landmarks(self) -> dict[str, np.ndarray]:
    """Returns [3] world points: body centres and the discs' corners.

    They lie in the mid-sagittal surface: "L3" is a body's centre,
    "L3-L4.anterior" and "L3-L4.posterior" a disc's front and back edge.
    """
    patient, places = self.patient, {}
    for name in ("T12", "L1", "L2", "L3", "L4", "L5", "S1"):
      places[name] = 0.0, patient.center_s[CHAIN.index(name)]
    for name in DISCS[3:]:
      i = DISCS.index(name)
      depth = (patient.half_depth[i] + patient.half_depth[i + 1]) / 2
      places[f"{name}.anterior"] = depth, patient.disc_s[i]
      places[f"{name}.posterior"] = -depth, patient.disc_s[i]
    t, s = np.transpose(list(places.values()))
    return dict(zip(places, self.world(np.zeros_like(t), t, s), strict=True))
