"""A patient's anatomy in 3-D: tissue and label at any world point."""

import numpy as np
from scipy import ndimage

from lumbar_jax.data.phantom import bones, soft
from lumbar_jax.data.phantom.canvas import Canvas, Fields
from lumbar_jax.data.phantom.chart import Chart, Noise
from lumbar_jax.data.phantom.levels import Levels
from lumbar_jax.data.phantom.patient import (
  CHAIN,
  NUM_VERTEBRAE,
  Patient,
  draw_patient,
)

_STREAK_GRAIN_MM = (4.0, 2.2, 8.0)  # lateral, t, s
_STRAND_GRAIN_MM = (0.7, 0.55, 12.0)
_BLOB_GRAIN_MM = 6.0
# Reach of bones, nerves and vessels before the axis and behind the fascia.
_FRONT_MM = 46.0
_BEHIND_MM = 3.0


class Anatomy:
  """Analytic shapes of one patient; see `fields` and `paint`."""

  def __init__(self, rng: np.random.Generator, amount: float = 1.0):
    """Draws a patient and tabulates the slowly varying parts."""
    self.patient: Patient = draw_patient(rng, amount)
    self.noise = Noise(rng)
    self.chart = Chart(self.patient, self.noise, amount)
    self.levels = Levels(self.patient)
    self._z, self._fascia_y, self._fat = self._back()

  def _back(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns z, and over it the fascia's y and the thickness of the fat.

    The fascia covers the spinous processes.
    """
    chart, levels, patient = self.chart, self.levels, self.patient
    tips = [patient.spinous_length + 5] * NUM_VERTEBRAE + [15, 12, 9, 7, 6]
    index = levels.index(chart.s)
    reach = levels.profile(index, CHAIN, tips)
    reach = reach + levels.at("half_depth", index)
    reach = reach + levels.at("canal", index)
    tip = chart.axis - reach[:, None] * chart.forward
    z = np.arange(-190.0, 190.0, 2.0)
    # Tips fold over each other where the lordosis is sharp: take the
    # hindmost at each height.
    order = np.argsort(tip[:, 1])
    y = np.interp(z, tip[order, 1], tip[order, 0])
    y = ndimage.minimum_filter1d(y, 9, mode="nearest")
    y = ndimage.gaussian_filter1d(y, 6, mode="nearest") - 2.0
    fat = levels.profile(index, ("T10", "L3", "S2"), patient.subcutaneous)
    return z, y, np.interp(z, chart.axis[:, 1], fat)

  def fields(self, points) -> Fields:
    """Samples the smooth fields at world points.

    Args:
      points: (x, y, z) arrays of one shape, RAS mm of the T2w image.
    """
    points = [np.asarray(p, np.float32) for p in points]
    x, y, z = points
    along = [c.astype(np.float32) for c in self.chart.coordinates(points)]
    lateral, t, s = along
    furrow = 3.5 * np.minimum(np.abs(x) / 28, 1) ** 2
    fascia = y - np.interp(z, self._z, self._fascia_y) + furrow
    blobs = self.noise.at(points, _BLOB_GRAIN_MM, 3)
    return Fields(
      lateral=lateral,
      t=t,
      s=s,
      fascia=(fascia + blobs).astype(np.float32),
      subcutaneous=np.interp(z, self._z, self._fat).astype(np.float32) - blobs,
      streaks=self.noise.at(along, _STREAK_GRAIN_MM, 4),
      blobs=blobs,
      strands=self.noise.at(along, _STRAND_GRAIN_MM, 5),
    )

  def paint(self, fields: Fields) -> Canvas:
    """Returns tissue and label; what is deeper is painted later."""
    canvas = Canvas.empty(fields.s.shape)
    soft.paint_abdomen(canvas, fields, self.levels)
    soft.paint_back(canvas, fields, self.levels)
    # The many small shapes are evaluated only where they can be.
    near = (fields.t < _FRONT_MM) & (fields.fascia > -_BEHIND_MM)
    part = Canvas(canvas.tissue[near], canvas.label[near])
    self._paint_spine(part, fields.at(near))
    canvas.tissue[near], canvas.label[near] = part.tissue, part.label
    return canvas

  def _paint_spine(self, canvas: Canvas, fields: Fields) -> None:
    for paint in (
      soft.paint_psoas,
      soft.paint_vessels,
      bones.paint_sacrum,
      soft.paint_canal,
      soft.paint_nerves,
      bones.paint_column,
      bones.paint_arches,
    ):
      paint(canvas, fields, self.levels)
