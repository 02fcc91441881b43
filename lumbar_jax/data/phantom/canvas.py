"""What shapes are painted on: a tissue and a label for every point."""

import dataclasses

import numpy as np

from lumbar_jax.anatomy import PHANTOM
from lumbar_jax.data.phantom.tissues import ID

LABEL = {name: number for number, name in enumerate(PHANTOM.names)}


@dataclasses.dataclass(frozen=True)
class Fields:
  """Smooth functions of place, sampled at points (float32, one shape).

  Attributes:
    lateral: mm to the right of the column's axis.
    t: mm in front of it.
    s: arc length upwards along it, 0 at the centre of L3.
    fascia: depth below the back's fascia in mm (negative: fat and skin).
    subcutaneous: thickness of the fat behind the fascia, mm.
    streaks: noise, elongated along the column.
    blobs: noise of coarse grain.
    strands: noise, thin threads along the column.
  """

  lateral: np.ndarray
  t: np.ndarray
  s: np.ndarray
  fascia: np.ndarray
  subcutaneous: np.ndarray
  streaks: np.ndarray
  blobs: np.ndarray
  strands: np.ndarray

  def at(self, where: np.ndarray) -> "Fields":
    """Returns the fields of the chosen points only."""
    return Fields(
      *(getattr(self, f.name)[where] for f in dataclasses.fields(self))
    )

  @property
  def aside(self) -> np.ndarray:
    """Distance from the mid-sagittal surface, mm."""
    return np.abs(self.lateral)


class Canvas:
  """Painter's algorithm: what is painted later lies on top."""

  def __init__(self, tissue: np.ndarray, label: np.ndarray):
    """Takes what is there already (uint8, one shape)."""
    self.tissue, self.label = tissue, label

  @classmethod
  def empty(cls, shape: tuple[int, ...]) -> "Canvas":
    """Returns air."""
    return cls(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))

  def paint(self, where, tissue: str | None, label=None) -> None:
    """Paints points.

    Args:
      where: bool array.
      tissue: name, or None to leave the tissue.
      label: PHANTOM name, array of its classes, or None to leave the label.
    """
    if tissue is not None:
      np.copyto(self.tissue, np.uint8(ID[tissue]), where=where)
    if isinstance(label, str):
      label = np.uint8(LABEL[label])
    if label is not None:
      np.copyto(self.label, label, where=where)


def ellipse(x, y, radius_x, radius_y) -> np.ndarray:
  """Returns where (x, y) lies in an ellipse about 0."""
  return (x / radius_x) ** 2 + (y / radius_y) ** 2 < 1


def box_radius(x, y) -> np.ndarray:
  """Returns (x^4 + y^4)^(1/4): 1 on the wall of a box with round edges."""
  x, y = x * x, y * y  # numpy's own fourth power is ten times slower
  return np.sqrt(np.sqrt(x * x + y * y))


def capsule(x, y, start, end, radius) -> np.ndarray:
  """Returns the depth (mm) below the surface of a capsule in the plane."""
  (x0, y0), (x1, y1) = start, end
  along = np.float32((x1 - x0) ** 2 + (y1 - y0) ** 2)
  dx, dy = x - np.float32(x0), y - np.float32(y0)
  share = np.clip((dx * (x1 - x0) + dy * (y1 - y0)) / along, 0, 1)
  distance = np.hypot(
    dx - share * np.float32(x1 - x0), dy - share * np.float32(y1 - y0)
  )
  return radius - distance
