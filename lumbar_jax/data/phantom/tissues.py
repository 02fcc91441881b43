"""Relaxation times, and the signal that a spin echo makes of them.

T1 and T2 at 1.5 T: marrow, muscle, subcutaneous fat and liver from de
Bazelaire et al., Radiology 2004;230:652-659; blood, spinal cord, nerve and
cartilage (for ligament and annulus) from Stanisz et al., Magn Reson Med
2005;54:507-512; CSF T1 from Rooney et al., Magn Reson Med 2007;57:308-318.
Nucleus T2 falls with the Pfirrmann grade in the manner of Marinelli et al.,
Spine 2009;34:520-524. Fat has a longer effective T2 than a single echo would
show, because a turbo echo train suppresses J-coupling (Henkelman et al., J
Magn Reson Imaging 1994;4:533-540), and so has marrow, half of which is fat: Pai
et al., Magn Reson Imaging 2008;26:1215-1220 measured 41 to 160 ms in them, more
with a longer train.
Proton densities are relative to CSF.
Flowing blood leaves a void, for which its proton density is cut. T1 grows
with the cube root of the field (Bottomley et al., Med Phys 1984;11:425-448).
"""

import dataclasses

import numpy as np

from lumbar_jax.anatomy import DISCS, PHANTOM


@dataclasses.dataclass(frozen=True)
class Tissue:
  """Relative proton density, times at 1.5 T, grain relative to the mean."""

  proton_density: float
  t1_ms: float
  t2_ms: float
  texture: float = 1.0


TISSUES = {
  "air": Tissue(0.0, 1000, 50, 0),
  "marrow": Tissue(0.8, 549, 88, 1.2),
  "posterior_marrow": Tissue(0.75, 480, 88, 1.6),
  "cortex": Tissue(0.12, 700, 20, 0.5),
  "annulus": Tissue(0.55, 1024, 45, 0.8),
  "nucleus": Tissue(0.85, 1150, 110, 0.8),
  "csf": Tissue(1.0, 4070, 1500, 0.4),
  "cord": Tissue(0.75, 745, 74, 0.4),
  "cauda": Tissue(0.75, 1300, 130, 1.0),
  "nerve": Tissue(0.75, 815, 77, 0.8),
  "fat": Tissue(0.9, 320, 125, 0.8),
  "subcutaneous_fat": Tissue(0.95, 320, 130, 0.6),
  "muscle": Tissue(0.78, 900, 42, 1.5),
  "vessel": Tissue(0.28, 1441, 150, 2.5),
  "ligament": Tissue(0.4, 900, 28, 1.5),
  "skin": Tissue(0.6, 800, 45, 0.5),
  "bowel": Tissue(0.75, 850, 70, 2.0),
  "gas": Tissue(0.05, 1000, 50, 0.5),
  "fluid": Tissue(0.95, 2400, 300, 1.0),
  "liver": Tissue(0.75, 586, 46, 0.7),
}
ID = {name: number for number, name in enumerate(TISSUES)}
_FREE_FLUID = ("csf", "fluid")  # their T1 hardly depends on the field
# Pfirrmann grade 1..5 -> factor on T2 and on T1 of the nucleus.
GRADE_T2 = (1.45, 1.15, 0.8, 0.55, 0.42)
GRADE_T1 = (1.25, 1.1, 1.0, 0.9, 0.85)


def spin_echo(proton_density, t1_ms, t2_ms, tr_ms, te_ms):
  """Returns PD (1 - exp(-TR/T1)) exp(-TE/T2), the spin-echo signal.

  >>> round(float(spin_echo(1.0, 500.0, 100.0, 500.0, 100.0)), 4)
  0.2325
  """
  recovered = 1 - np.exp(-np.asarray(tr_ms, float) / t1_ms)
  return proton_density * recovered * np.exp(-np.asarray(te_ms, float) / t2_ms)


@dataclasses.dataclass(frozen=True)
class Body:
  """One patient's tissues: [tissue, label] tables of PD, T1, T2.

  The second index is the PHANTOM class, so that every disc has its own
  hydration and every vertebra its own marrow.
  """

  proton_density: np.ndarray
  t1_ms: np.ndarray
  t2_ms: np.ndarray
  texture: np.ndarray  # [tissue]

  def signal(self, tr_ms: float, te_ms: float) -> np.ndarray:
    """Returns the [tissue, label] table of signals of a sequence."""
    return spin_echo(
      self.proton_density, self.t1_ms, self.t2_ms, tr_ms, te_ms
    ).astype(np.float32)


def draw_body(
  rng: np.random.Generator, grades: np.ndarray, field_t: float, spread: float
) -> Body:
  """Draws a patient's tissues.

  Args:
    rng: numpy Generator.
    grades: Pfirrmann grade by disc, T9-T10 first.
    field_t: the magnet's field.
    spread: relative standard deviation between patients; half of it again
      between the structures of one patient.
  """
  shape = (len(TISSUES), PHANTOM.num_classes)
  values = []
  for attribute in ("proton_density", "t1_ms", "t2_ms"):
    mean = [getattr(t, attribute) for t in TISSUES.values()]
    patient = np.exp(rng.normal(0, spread, (shape[0], 1)))
    structure = np.exp(rng.normal(0, spread / 2, shape))
    values.append(np.reshape(mean, (-1, 1)) * patient * structure)
  density, t1_ms, t2_ms = values
  solid = [i for name, i in ID.items() if name not in _FREE_FLUID]
  t1_ms[solid] *= (field_t / 1.5) ** (1 / 3)
  for disc, grade in zip(DISCS, grades, strict=True):
    place = ID["nucleus"], PHANTOM.names.index(disc)
    t1_ms[place] *= GRADE_T1[grade - 1]
    t2_ms[place] *= GRADE_T2[grade - 1]
  texture = np.array([t.texture for t in TISSUES.values()], np.float32)
  return Body(density, t1_ms, t2_ms, texture)
