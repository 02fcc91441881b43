"""Sizes along the column, and which level a point belongs to."""

import numpy as np
from scipy import ndimage

from lumbar_jax.data.phantom.patient import CHAIN, NUM_VERTEBRAE, Patient

_STEP_MM = 0.1
_LOW_MM, _HIGH_MM = -260.0, 280.0
PITCH_MM = 38.0  # posterior elements are drawn for this distance of levels


class Levels:
  """Tables over arc length `s`.

  The posterior elements of all levels are one drawing, repeated: `local`
  tells the nearest level and the height above its centre, in units in which
  neighbouring levels are 38 mm apart.
  """

  def __init__(self, patient: Patient):
    """Tabulates a patient's sizes."""
    self.patient = patient
    self.s = np.arange(_LOW_MM, _HIGH_MM, _STEP_MM)
    self.center = patient.center_s.astype(np.float32)
    self.pitch = np.abs(np.gradient(patient.center_s)).astype(np.float32)
    walls = patient.center_s + patient.half_height
    floors = patient.center_s - patient.half_height
    borders = (walls[1:] + floors[:-1]) / 2  # the middle of each gap
    self.nearest_body = np.searchsorted(-borders, -self.s).astype(np.uint8)
    middles = (patient.center_s[1:] + patient.center_s[:-1]) / 2
    self.nearest_center = np.searchsorted(-middles, -self.s).astype(np.uint8)
    height = self.s - self.center[self.nearest_body]
    self.body_height = height.astype(np.float32)
    self._locals, self._profiles = {}, {}
    self.half_depth = self._along(patient.half_depth, 5)
    self.half_width = self._along(patient.half_width, 5)
    self.canal = self._canal()
    self.sac = self._sac()
    self.pitch_s = self._along(self.pitch, 5)

  def _along(self, values, smooth_mm: float) -> np.ndarray:
    """Interpolates values given at the bodies' centres."""
    order = np.argsort(self.center)
    table = np.interp(
      self.s, self.center[order], np.asarray(values, float)[order]
    )
    table = ndimage.gaussian_filter1d(table, smooth_mm / _STEP_MM)
    return table.astype(np.float32)

  def _canal(self) -> np.ndarray:
    """Returns the canal's depth; it narrows within the sacrum."""
    share = [1.0] * NUM_VERTEBRAE + [0.9, 0.6, 0.4, 0.25, 0.1]
    return self._along(self.patient.canal_depth * np.array(share), 5)

  def _sac(self) -> np.ndarray:
    """Returns the dural sac's relative size: it tapers from L5 to its end."""
    end, start = self.patient.sac_end_s, self.center[CHAIN.index("L4")]
    share = np.clip((self.s - end) / (start - end), 0, 1) ** 0.5
    return share.astype(np.float32)

  def index(self, s: np.ndarray) -> np.ndarray:
    """Returns the tables' index of arc lengths; the rest takes it."""
    cells = (s - np.float32(_LOW_MM)) * np.float32(1 / _STEP_MM)
    return np.clip(cells, 0, len(self.s) - 1).astype(np.int32)

  def at(self, table: str, index: np.ndarray) -> np.ndarray:
    """Looks up half_depth, half_width, canal or sac."""
    return getattr(self, table)[index]

  def body(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (member of CHAIN, height above its body's centre in mm)."""
    return self.nearest_body[index], self.body_height[index]

  def local(self, index: np.ndarray, offset: float):
    """Returns (member, height above `offset` over its centre), normalised.

    Args:
      index: of arc lengths.
      offset: place within a level, in units of 1/38 of its pitch.
    """
    if offset not in self._locals:
      shifted = self.s - offset * self.pitch_s / PITCH_MM
      member = self.nearest_center[self.index(shifted)]
      height = (self.s - self.center[member]) * (PITCH_MM / self.pitch)[member]
      self._locals[offset] = member, (height - offset).astype(np.float32)
    member, height = self._locals[offset]
    return member[index], height[index]

  def profile(self, index: np.ndarray, names, values) -> np.ndarray:
    """Interpolates values given at named members of CHAIN (from above)."""
    key = (*names, *np.asarray(values, float).tolist())
    if key not in self._profiles:
      places = [self.center[CHAIN.index(n)] for n in names][::-1]
      table = np.interp(self.s, places, list(values)[::-1])
      self._profiles[key] = table.astype(np.float32)
    return self._profiles[key][index]

  def sway(self, index: np.ndarray, phase: float) -> np.ndarray:
    """Returns a vessel's winding to the side, mm."""
    table = 2.5 * np.sin(self.s / 28 + phase)
    return table.astype(np.float32)[index]
