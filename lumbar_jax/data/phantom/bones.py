"""Vertebrae, discs and sacrum, as depths below smooth surfaces.

A structure's depth is positive inside and about the distance to its wall in
mm; the outermost part of a bone is cortex, dark in every sequence.
"""

import numpy as np

from lumbar_jax.anatomy import DISCS, PHANTOM
from lumbar_jax.data.phantom.canvas import Canvas, Fields, box_radius, capsule
from lumbar_jax.data.phantom.levels import Levels
from lumbar_jax.data.phantom.patient import CHAIN, NUM_VERTEBRAE

_CORTEX_MM = 0.8
_ENDPLATE_MM = 1.1

# Class of each member of CHAIN; S1 .. S5 are one structure.
BONE_LABEL = np.array(
  [PHANTOM.class_of(n) or PHANTOM.names.index("Sacrum") for n in CHAIN],
  np.uint8,
)
DISC_LABEL = np.array([PHANTOM.names.index(n) for n in DISCS], np.uint8)


def _paint_bones(canvas: Canvas, parts) -> None:
  """Paints parts, each (depth, member of CHAIN), with one common cortex.

  All cortex first: where parts of a bone overlap, no wall is left inside.
  """
  for depth, member in parts:
    canvas.paint(depth > 0, "cortex", BONE_LABEL[member])
  for depth, member in parts:
    canvas.paint(depth > _CORTEX_MM, "posterior_marrow", BONE_LABEL[member])


def paint_column(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints the bodies (sacral ones too) and the discs between them."""
  index = levels.index(f.s)
  patient = levels.patient

  def of_member(values):
    return np.asarray(values, np.float32)[member]

  member, height = levels.body(index)
  height = height + of_member(patient.wedge) * f.t
  half = of_member(patient.half_height)
  waist = 1 - 0.08 * (1 - np.minimum((height / half) ** 2, 1))
  depth_mm = levels.at("half_depth", index)
  width_mm = levels.at("half_width", index)
  radius = box_radius(f.lateral / width_mm, f.t / depth_mm)
  side = (waist - radius) * depth_mm
  dome = of_member(patient.endplate_concavity) * np.maximum(1 - radius**2, 0)
  round_edge = 70 * np.maximum(radius - 0.86, 0) ** 2
  end = half - dome - round_edge - np.abs(height)
  bone = np.minimum(side, end)
  _paint_discs(canvas, f, levels, member, height, end, radius, depth_mm)
  canvas.paint(bone > 0, "cortex", BONE_LABEL[member])
  canvas.paint(
    (side > _CORTEX_MM) & (end > _ENDPLATE_MM - 0.3 * (height > 0)), "marrow"
  )
  # The basivertebral vein enters the middle of the back wall.
  vein = (np.abs(height) < 1.6) & (f.aside < 5) & (f.t < -0.4 * depth_mm)
  canvas.paint(vein & (bone > 0), "cauda")


def _paint_discs(canvas, f, levels, member, height, end, radius, depth_mm):
  """Paints what lies between two end plates."""
  patient = levels.patient
  disc = member.astype(np.int16) - (height > 0)
  known = (disc >= 0) & (disc < NUM_VERTEBRAE)
  disc = np.clip(disc, 0, NUM_VERTEBRAE - 1)
  wall = (1 + patient.disc_bulge.astype(np.float32))[disc]
  inside = (end <= 0) & (radius < wall) & known
  canvas.paint(inside, "annulus", DISC_LABEL[disc])
  # Remnants of the sacral discs belong to the sacrum.
  sacral = (end <= 0) & (radius < 0.95) & (member >= NUM_VERTEBRAE)
  sacral &= ~known | (height < 0)
  canvas.paint(sacral, "annulus", "Sacrum")
  half = (patient.disc_half_height + 0.6).astype(np.float32)[disc]
  up = (f.s - patient.disc_s.astype(np.float32)[disc]) / half
  grade = patient.grades.astype(np.uint8)[disc]
  core = (f.lateral / depth_mm / 1.3) ** 2 + ((f.t + 1.5) / depth_mm) ** 2
  core = core / 0.66**2 + (up / 1.15) ** 2
  # A degenerated disc's nucleus has no sharp border.
  blur = np.array([0, 0.04, 0.1, 0.25, 0.35, 0.4], np.float32)[grade]
  nucleus = inside & (core + blur * f.strands < 1)
  canvas.paint(nucleus, "nucleus")
  cleft = nucleus & (np.abs(up) < 0.14) & (core < 0.6) & (grade == 2)
  canvas.paint(cleft, "annulus")


def paint_arches(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints pedicles, processes, laminae and spinous processes."""
  index = levels.index(f.s)
  behind = -levels.at("half_depth", index) - f.t  # of the bodies' back wall
  parts = [
    *_processes(f, levels, index, behind),
    _lamina(f, levels, index, behind),
    _spinous(f, levels, index, behind),
  ]
  _paint_bones(canvas, parts)


def _processes(f: Fields, levels: Levels, index, behind):
  """Yields pedicle, articular and transverse processes: (depth, member).

  The upper articular process reaches up before the facet joint; the lower
  one of the vertebra above comes down behind it.
  """
  aside = f.aside
  for offset, start, end, radius, middle, half in (
    (-9.0, (12.5, 12.0), (19.0, -11.0), 4.8, 14.0, 6.0),
    (4.0, (-3.0, 1.0), (12.0, 0.0), 6.3, 15.0, 5.5),
    (12.0, (11.5, -8.0), (10.5, 7.0), 4.2, 16.5, 5.5),
  ):
    member, up = levels.local(index, offset)
    depth = capsule(behind, up, start, end, np.float32(radius))
    depth = np.minimum(depth, half - np.abs(aside - middle))
    # S1 has its upper process and its pedicle, and is fused below.
    last = NUM_VERTEBRAE + 1 if offset > 0 else NUM_VERTEBRAE
    yield np.where(member < last, depth, -1), member
  member, up = levels.local(index, 2.0)
  depth = 4.2 - np.hypot(behind - 9 - 0.1 * (aside - 20), up)
  depth = np.minimum(depth, np.minimum(aside - 15, 36 - aside))
  yield np.where(member < NUM_VERTEBRAE, depth, -1), member


def _lamina(f: Fields, levels: Levels, index, behind):
  """Returns the shingles that roof the canal: lower edge further back."""
  member, up = levels.local(index, -6.0)
  front = levels.at("canal", index) - 6 * (f.aside / 13) ** 2
  center = front + 3.6 - 0.28 * up
  depth = (1 - ((behind - center) / 3.9) ** 2 - (up / 10.5) ** 2) * 3.5
  depth = np.minimum(depth, 14 - f.aside)
  return np.where(member < NUM_VERTEBRAE, depth, -1), member


def _spinous(f: Fields, levels: Levels, index, behind):
  """Returns the blades in the midline; thoracic ones slope downwards."""
  length = np.float32(levels.patient.spinous_length)
  beyond = behind - levels.at("canal", index) - 1.5
  slope = levels.profile(index, ("T11", "L1", "L5"), (0.7, 0.25, 0.12))
  sheared = levels.index(f.s + slope * np.maximum(beyond, 0))
  member, up = levels.local(sheared, -7.0)
  share = beyond / length
  clipped = np.clip(share, 0, 1)
  half = 8.0 + 4.0 * clipped
  blade = (1 - box_radius(2 * share - 1, up / half)) * half
  depth = np.minimum(blade, 2.6 + 1.8 * clipped - f.aside)
  return np.where(member < NUM_VERTEBRAE, depth, -1), member


def paint_sacrum(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints the wings, the roof of the sacral canal and the median crest."""
  index = levels.index(f.s)
  patient, first = levels.patient, NUM_VERTEBRAE
  top = np.float32(patient.center_s[first] + patient.half_height[first])
  half_depth = levels.at("half_depth", index)
  behind = -half_depth - f.t
  reach = levels.profile(index, ("S1", "S3", "S5"), (50, 36, 12))
  below = top - f.s - 0.35 * np.maximum(f.aside - 20, 0)
  wing = np.minimum(
    np.minimum(reach - f.aside, below),
    np.minimum(behind + 1.4 * half_depth, 9 - behind),
  )
  wing = np.minimum(wing, f.aside - levels.at("half_width", index) * 0.6)
  canal = levels.at("canal", index)
  _, up = levels.local(index, 0.0)
  crest = 5 + (5 + 2.5 * np.cos(up * 0.165)) * np.clip(1.3 - f.aside / 5, 0, 1)
  crest = crest * levels.profile(index, ("S1", "S3", "S5"), (1.0, 0.7, 0.4))
  roof = np.minimum(behind - canal + 0.15 * f.aside, canal + crest - behind)
  roof = np.minimum(np.minimum(roof, reach * 0.5 - f.aside), below - 6)
  last = np.float32(patient.center_s[-1] - patient.half_height[-1])
  depth = np.minimum(np.maximum(wing, roof), f.s - last)
  sacrum = np.full(f.s.shape, first, np.uint8)
  _paint_bones(canvas, [(depth, sacrum)])
