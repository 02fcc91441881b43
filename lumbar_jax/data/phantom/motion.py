"""The rigid motion of a patient between the two acquisitions."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation


@dataclasses.dataclass(frozen=True)
class Motion:
  """Where the anatomy of the T2w image lies in the T1w image.

  A world point p (RAS mm) of the T2w image is at
  R (p - center) + center + translation in the T1w image.

  Attributes:
    rotation_deg: rotation vector (axis times angle) about x, y, z.
    translation_mm: x is through-plane.
    center_mm: the point the rotation is about.
  """

  rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
  translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
  center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

  @property
  def matrix(self) -> np.ndarray:
    """[3 3] rotation."""
    return Rotation.from_rotvec(self.rotation_deg, degrees=True).as_matrix()

  def t2w_to_t1w(self, points: np.ndarray) -> np.ndarray:
    """Returns [... 3] world points of the same anatomy in the T1w image."""
    center = np.asarray(self.center_mm)
    moved = (np.asarray(points) - center) @ self.matrix.T
    return moved + center + np.asarray(self.translation_mm)

  def t1w_to_t2w(self, points: np.ndarray) -> np.ndarray:
    """Returns [... 3] world points of the same anatomy in the T2w image."""
    center = np.asarray(self.center_mm)
    shifted = np.asarray(points) - center - np.asarray(self.translation_mm)
    return shifted @ self.matrix + center

  def as_dict(self) -> dict[str, list[float]]:
    """Returns what the T1w sidecar holds under "PhantomMotion"."""
    return {k: list(v) for k, v in dataclasses.asdict(self).items()}

  @classmethod
  def from_dict(cls, value) -> "Motion":
    """Reads a sidecar's "PhantomMotion"."""
    return cls(**{name: tuple(numbers) for name, numbers in value.items()})


def draw_motion(
  rng: np.random.Generator,
  max_rotation_deg: float,
  max_translation_mm: float,
  center_mm,
) -> Motion:
  """Draws a motion within the bounds, mostly in the sagittal plane.

  Patients nod and slide more than they roll, so the axis is mostly x; the
  translation keeps a through-plane part.
  """
  axis = rng.normal(size=3) * (1.0, 0.4, 0.4)
  shift = rng.normal(size=3) * (0.6, 1.0, 1.0)
  angle = max_rotation_deg * rng.uniform(0.3, 1.0)
  length = max_translation_mm * rng.uniform(0.3, 1.0)
  rotation = angle * axis / np.linalg.norm(axis)
  translation = length * shift / np.linalg.norm(shift)
  return Motion(
    *(
      tuple(np.round(v, 6).tolist())
      for v in (rotation, translation, np.asarray(center_mm, float))
    )
  )
