"""A patient's anatomy as numbers: sizes by level, curvature, degeneration.

Mean sizes are those of adult lumbar spines (body heights and depths after
Panjabi et al., Spine 1992;17:299-306; disc heights and lordosis as on
standing radiographs), rounded; patients vary around them.
"""

import dataclasses

import numpy as np

from lumbar_jax.anatomy import DISCS, LEVELS, UPPER_LEVELS

VERTEBRAE = (*UPPER_LEVELS, *LEVELS)  # T9 .. T12, L1 .. L5
SACRAL = ("S1", "S2", "S3", "S4", "S5")
CHAIN = (*VERTEBRAE, *SACRAL)  # from above
NUM_VERTEBRAE = len(VERTEBRAE)

# One value a member of CHAIN, in mm and degrees.
_HEIGHT = (22, 23, 24.5, 26, 27, 27.5, 28, 28, 27.5, 29, 24, 20, 17, 15)
_DEPTH = (27, 28, 29.5, 31, 32, 33, 34, 35, 35, 32, 23, 17, 13, 10)
_WIDTH = (32, 34, 37, 40, 42, 44, 46, 48, 50, 50, 42, 36, 30, 24)
_GAP = (4.5, 5, 5.5, 7, 8.5, 10, 11, 11.5, 10.5, 3.2, 2.2, 1.6, 1.4)
# Of the column from the vertical; positive where it runs backwards as it
# descends.
_TILT = (-9, -12, -15, -16, -14, -8, 0, 8, 20, 40, 46, 38, 20, 5)

# Pfirrmann grade 1..5 -> share of the disc's height that is left.
GRADE_HEIGHT = (1.0, 1.0, 0.9, 0.72, 0.45)


@dataclasses.dataclass(frozen=True)
class Patient:
  """One patient's anatomy (lengths in mm, arrays by member of CHAIN).

  Arc length `s` runs upwards along the column with 0 at the centre of L3,
  `t` forwards from the column, `lateral` to the right.
  """

  sex: str
  age: int
  center_s: np.ndarray
  half_height: np.ndarray
  half_depth: np.ndarray
  half_width: np.ndarray
  tilt_deg: np.ndarray
  wedge: np.ndarray
  endplate_concavity: np.ndarray
  disc_s: np.ndarray  # by disc, T9-T10 first
  disc_half_height: np.ndarray
  disc_bulge: np.ndarray
  grades: np.ndarray  # Pfirrmann, by disc
  slip: np.ndarray  # forward shift of all above the disc, by disc
  scoliosis: np.ndarray  # amplitude, wavelength, phase
  canal_depth: float
  conus_s: float
  sac_end_s: float
  subcutaneous: np.ndarray  # thickness at T10, L3 and S2
  fat_infiltration: float
  retroperitoneal: float  # thickness of the fat before L3
  aorta: np.ndarray  # lateral, radius, distance to the bodies
  cava: np.ndarray
  bifurcation_s: float
  spinous_length: float
  psoas: float
  saturation: float  # share of the anterior signal that a band takes away


def _degeneration(rng: np.random.Generator, age: int, amount: float):
  """Draws Pfirrmann grades: worse with age and in the lowest two discs."""
  num_discs = len(DISCS)
  expected = 1.3 + (age - 20) / 28 + 0.8 * (np.arange(num_discs) >= 7)
  grades = rng.normal(expected, 0.8 * amount)
  return np.clip(np.rint(grades), 1, 5).astype(int)


def _listhesis(rng: np.random.Generator, grades: np.ndarray) -> np.ndarray:
  """Draws a forward slip of L4 or L5 (or none, mostly), by disc."""
  slip = np.zeros(len(grades))
  disc = int(rng.choice([7, 8], p=[0.6, 0.4]))
  size_mm = rng.uniform(4.0, 9.0)
  if rng.random() < (0.3 if grades[disc] >= 4 else 0.08):
    slip[disc] = size_mm
  return slip


def _stack(heights: np.ndarray, gaps: np.ndarray) -> np.ndarray:
  """Returns the centres' arc lengths, 0 at L3, from heights and gaps."""
  steps = (heights[:-1] + heights[1:]) / 2 + gaps
  centers = -np.concatenate([[0], np.cumsum(steps)])
  return centers - centers[CHAIN.index("L3")]


def draw_patient(rng: np.random.Generator, amount: float = 1.0) -> Patient:
  """Draws a patient.

  Args:
    rng: numpy Generator; decides everything.
    amount: scale of the deviations from the mean (0: the mean anatomy).
  """
  sex, age = str(rng.choice(["F", "M"])), int(rng.integers(22, 80))
  size = (0.95 if sex == "F" else 1.02) * np.exp(rng.normal(0, 0.035 * amount))
  num = len(CHAIN)

  def vary(mean, relative):
    mean = np.asarray(mean, float)
    return size * mean * np.exp(rng.normal(0, relative * amount, mean.shape))

  grades = _degeneration(rng, age, amount)
  heights, gaps = vary(_HEIGHT, 0.025), vary(_GAP, 0.08)
  gaps[:NUM_VERTEBRAE] *= np.take(GRADE_HEIGHT, grades - 1)
  center_s = _stack(heights, gaps)
  lordosis = np.clip(np.exp(rng.normal(0, 0.22 * amount)), 0.65, 1.25)
  tilt = lordosis * np.array(_TILT) + rng.normal(0, 1.5 * amount, num)
  sacral_s = center_s[CHAIN.index("S2")] + rng.uniform(-8, 10)
  weight = np.exp(rng.normal(0, 0.3 * amount))
  disc_s = center_s[:-1] - (heights[:-1] + gaps) / 2
  return Patient(
    sex=sex,
    age=age,
    center_s=center_s,
    half_height=heights / 2,
    half_depth=vary(_DEPTH, 0.03) / 2,
    half_width=vary(_WIDTH, 0.03) / 2,
    tilt_deg=tilt,
    wedge=rng.normal(0, 0.02 * amount, num),
    endplate_concavity=rng.uniform(0.8, 2.4, num),
    disc_s=disc_s[:NUM_VERTEBRAE],
    disc_half_height=gaps[:NUM_VERTEBRAE] / 2,
    disc_bulge=np.maximum(0, 0.02 * (grades - 1) + rng.normal(0, 0.02, 9)),
    grades=grades,
    slip=_listhesis(rng, grades),
    scoliosis=np.array(
      [amount * rng.uniform(0, 4), rng.uniform(180, 320), rng.uniform(0, 6.3)]
    ),
    canal_depth=size * rng.uniform(15.0, 18.5),
    conus_s=rng.uniform(center_s[5] - 8, center_s[4] + 10),
    sac_end_s=sacral_s,
    subcutaneous=weight * np.array([9.0, 17.0, 24.0]) * rng.uniform(0.8, 1.2),
    fat_infiltration=float(np.clip(rng.normal(age / 80, 0.2), 0.1, 1.1)),
    retroperitoneal=min(weight, 1.3) * rng.uniform(18, 26),
    aorta=np.array(
      [-rng.uniform(8, 15), size * rng.uniform(7, 10), rng.uniform(2, 5)]
    ),
    cava=np.array(
      [rng.uniform(12, 18), size * rng.uniform(7, 10), rng.uniform(1, 4)]
    ),
    bifurcation_s=center_s[CHAIN.index("L4")] + rng.uniform(-10, 12),
    spinous_length=size * rng.uniform(25, 32),
    psoas=size * rng.uniform(0.85, 1.15),
    saturation=float(rng.choice([0.0, 0.5, 0.8], p=[0.3, 0.3, 0.4])),
  )
