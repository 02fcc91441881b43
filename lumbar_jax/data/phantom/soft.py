"""Everything but the bones: canal, nerves, fat, muscles, vessels, bowel."""

import numpy as np

from lumbar_jax.data.phantom.canvas import Canvas, Fields, box_radius, ellipse
from lumbar_jax.data.phantom.levels import Levels
from lumbar_jax.data.phantom.patient import CHAIN, NUM_VERTEBRAE


def paint_abdomen(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints bowel, mesentery and liver (unlabelled), and the fat behind them."""
  index = levels.index(f.s)
  patient = levels.patient
  # Loops of bowel, each with its content, lie in mesenteric fat.
  canvas.paint(f.fascia > 0, "fat")
  canvas.paint(f.blobs > 0.1, "bowel")
  canvas.paint((f.blobs > 0.9) & (f.streaks > 0.5), "fluid")
  canvas.paint((f.blobs > 0.8) & (f.streaks < -0.5), "gas")
  before = f.t - levels.at("half_depth", index)
  share = levels.profile(
    index, ("T9", "T12", "L3", "L5", "S1", "S3"), (0.5, 0.75, 1, 0.9, 0.6, 0.4)
  )
  front = patient.retroperitoneal * share + 3.0 * f.blobs - before
  edge = levels.center[5] - 0.3 * front + 4 * f.blobs
  liver = (f.s > edge) & (f.lateral > -8) & (front < -12)
  canvas.paint(liver, "liver")
  fat = (front > 0) & (f.aside < 60)
  canvas.paint((front > -1.0) & (f.aside < 60), "muscle")  # peritoneum
  canvas.paint(fat, "fat", "Rper-Fat")


def paint_back(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints the paraspinal muscles with their fat, and what covers them."""
  index = levels.index(f.s)
  patient = levels.patient
  behind = -levels.at("half_depth", index) - f.t
  muscle = behind > 1.5 - 0.3 * np.maximum(f.aside - 25, 0)
  canvas.paint(muscle, "muscle", "Muscle")
  caudal = levels.profile(
    index, ("T11", "L2", "L4", "L5", "S1", "S3"), (0, 0.15, 0.5, 0.9, 1.2, 1.2)
  )
  # Fat replaces muscle from below, and first next to the bones and in the
  # midline.
  canal = levels.at("canal", index)
  deep = np.clip(1 - np.abs(behind - canal - 11) / 6, 0, 1)
  middle = np.clip(1 - f.aside / 7, 0, 1)
  amount = (0.55 + 0.8 * patient.fat_infiltration) * caudal
  amount = amount + 0.5 * deep + 0.7 * middle
  fat = muscle & (f.streaks + amount > 1.35) & (behind > canal)
  canvas.paint(fat, "fat", "IM-Fat")
  spinous = behind - canal
  gap = (f.aside < 2.5) & (spinous > -2) & (spinous < 9 + 3 * f.streaks)
  gap &= f.s > levels.center[NUM_VERTEBRAE]
  canvas.paint(gap, "ligament", "Background")
  _paint_cover(canvas, f)


def _paint_cover(canvas: Canvas, f: Fields) -> None:
  """Paints fascia, subcutaneous fat with its septa, skin, and the air."""
  canvas.paint(f.fascia < 1.0, "ligament", "Background")
  outside = f.fascia < 0
  canvas.paint(outside, "subcutaneous_fat", "SCT")
  septa = outside & (np.abs(f.streaks) < 0.05)
  canvas.paint(septa, "ligament")
  depth = f.fascia + f.subcutaneous
  canvas.paint(depth < 2.0, "skin", "SCT")
  canvas.paint(depth < 0, "air", "Background")


def paint_psoas(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints the psoas beside the bodies, thicker as it descends."""
  index = levels.index(f.s)
  names = ("T12", "L1", "L3", "L5", "S1", "S3")
  radius = levels.patient.psoas * levels.profile(
    index, names, (0.1, 7, 14, 18, 17, 14)
  )
  place = levels.profile(index, names, (-6, -4, 0, 8, 20, 38))
  aside = levels.at("half_width", index) + 0.5 + radius
  inside = ellipse(f.aside - aside, f.t - place, radius, 1.25 * radius)
  canvas.paint(inside, "muscle", "Muscle")


def paint_vessels(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints aorta, vena cava, their iliac branches and the lumbar vessels."""
  index = levels.index(f.s)
  patient = levels.patient
  depth_mm = levels.at("half_depth", index)
  before = f.t - depth_mm
  trunk = patient.bifurcation_s
  iliac_end = levels.center[CHAIN.index("S2")]
  for (lateral, radius, gap), split, phase in (
    (patient.cava, trunk - 9, 1.0),
    (patient.aorta, trunk, 0.0),
  ):
    center = before - np.float32(gap + radius)
    sway = np.float32(lateral) + levels.sway(index, phase)
    tube = ellipse(f.lateral - sway, center, radius, radius * 0.9)
    canvas.paint(tube & (f.s > split), "vessel", "Blood-Vessels")
    fallen = split - f.s
    small = np.float32(0.68 * radius)
    for side in (-1, 1):
      away = f.lateral - sway - side * (0.6 * radius + 0.42 * fallen)
      tube = ellipse(away, center + 0.3 * radius, small, small)
      tube &= (fallen >= 0) & (f.s > iliac_end)
      canvas.paint(tube, "vessel", "Blood-Vessels")
  # Segmental vessels hug the waist of each body.
  member, up = levels.body(index)
  box = box_radius(f.lateral / levels.at("half_width", index), f.t / depth_mm)
  ring = np.abs(box - 1.06)
  small = ellipse(ring * depth_mm, up, 2.4, 2.6) & (f.t > -0.7 * depth_mm)
  canvas.paint(small & (member < NUM_VERTEBRAE), "vessel", "Blood-Vessels")


def paint_canal(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints epidural fat, the sac with cord and cauda, and the nerve roots."""
  index = levels.index(f.s)
  canal, sac = levels.at("canal", index), levels.at("sac", index)
  behind = -levels.at("half_depth", index) - f.t
  _paint_epidural(canvas, f, levels, behind, canal)
  # Epidural fat gathers before the sac at L5 and S1.
  center = 0.5 * canal + 1.5 * (1 - sac)
  size = np.maximum(sac, 0.05)
  x, y = f.lateral / (9.3 * size), (behind - center) / (0.42 * canal * size)
  shell = x**2 + y**2
  inside = (shell < 1) & (sac > 0.02)
  canvas.paint((shell < 1.25) & (sac > 0.02), "ligament")  # dura
  canvas.paint(inside, "csf", "Spinal-Cavity")
  # Roots lie in the back of the sac, and their bundle thins downwards.
  conus = f.s - np.float32(levels.patient.conus_s)
  full = np.clip(1.1 + conus / 130, 0, 1)
  roots = f.strands + 1.5 * y - 0.9 + 0.5 * full > 0
  canvas.paint(inside & roots & (shell < 0.9) & (conus < 12), "cauda")
  taper = np.clip((conus + 4) / 28, 0, 1) ** 0.6
  cord = ellipse(
    f.lateral, behind - center - 0.6, 4.9 * taper + 0.01, 4.1 * taper + 0.01
  )
  canvas.paint(cord & inside, "cord")


def _paint_epidural(canvas, f, levels, behind, canal) -> None:
  """Paints the fat of canal and foramina, and the flaval ligaments."""
  index = levels.index(f.s)
  _, up = levels.local(index, -25.0)
  share = np.clip(1 - np.abs(up) / 15, 0, 1)
  depth = levels.profile(index, ("L5", "S1", "S2"), (8.5, 3.0, 0.0))
  recess = depth * share * share * (3 - 2 * share)
  half_width = 11.5 - 3.5 * np.maximum(behind - canal + 3, 0) / 6
  inside = (behind > -1) & (behind < canal + recess)
  inside &= f.aside < half_width
  in_free = f.s > levels.center[NUM_VERTEBRAE] + 8
  flavum = (behind > 0) & (behind < canal + recess + 3.5) & in_free
  canvas.paint(flavum & (f.aside < half_width + 3), "ligament", "Background")
  canvas.paint(inside, "fat", "Epi-Fat")
  foramen = (f.aside > 8) & (f.aside < 23) & in_free
  foramen &= (behind > -2) & (behind < 13.5)
  canvas.paint(foramen, "fat", "Epi-Fat")


def paint_nerves(canvas: Canvas, f: Fields, levels: Levels) -> None:
  """Paints the nerve roots from the sac through the foramina (lumbar, S1-2).

  A root leaves the sac above its pedicle's lower edge, swells to the
  ganglion below the pedicle and goes on downwards and forwards.
  """
  index = levels.index(f.s)
  behind = -levels.at("half_depth", index) - f.t
  aside = f.aside
  member, up = levels.local(index, -7.0)
  path = np.interp(aside, (7, 15, 32), (9, -1.5, -18)).astype(np.float32)
  back = np.interp(aside, (7, 15, 32), (8, 5.5, -4)).astype(np.float32)
  radius = np.interp(aside, (7, 11, 15, 19, 32), (2.6, 3.6, 5.0, 4.2, 2.8))
  radius = radius.astype(np.float32)
  away = ((up - path) * 0.72) ** 2 + (behind - back) ** 2
  root = (away < radius**2) & (aside > 7.5) & (aside < 32)
  root &= member < NUM_VERTEBRAE + 2
  sheath = (away < (radius + 2.5) ** 2) & (aside > 9)
  sheath &= (member >= NUM_VERTEBRAE) & (aside < 24)
  canvas.paint(sheath & (member < NUM_VERTEBRAE + 2), "fat", "Epi-Fat")
  canvas.paint(root, "nerve", "Nerve-Root")
