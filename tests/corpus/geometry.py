"""Grids: orders of storage, orientation, planes, forms, spacing, shapes."""

import nibabel as nib
import numpy as np

from corpus.entry import Family, flagged, read, read_or, refused, told
from corpus.world import SPACING_MM, affine_of, picture

GEOMETRY = Family("geometry")
add = GEOMETRY.add

for _axes in ("LAS", "PIR", "IPL", "ASR", "SLA", "LPI"):
  add(
    f"axes_{_axes}",
    f"voxels stored in the order {_axes}",
    lambda w, axes=_axes: (w.save(axes=axes), w.save_mask(axes=axes)),
    read,
    report="wasserth/TotalSegmentator#20",
  )


def turned(degrees: float, axis: int = 0, affine=None) -> np.ndarray:
  """Returns an affine (the good one), turned about a scanner's axis."""
  angle = np.deg2rad(degrees)
  turn = np.eye(4)
  i, j = [k for k in range(3) if k != axis]
  turn[i, i] = turn[j, j] = np.cos(angle)
  turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
  return turn @ (affine_of() if affine is None else affine)


def both(w, affine=None, axes="RAS", **options):
  """Stores image and mask with one affine."""
  w.save(affine=affine, axes=axes, **options)
  w.save_mask(affine=affine, axes=axes, **options)
  w.culprit = w.image


def _sheared(share):
  affine = affine_of()
  affine[1, 2] += share
  return affine


add("oblique", "turned by 20 degrees", lambda w: both(w, turned(20)), read)
add(
  "oblique_two_ways",
  "turned by 12 degrees about two axes, stored as ASR",
  lambda w: both(w, turned(12, 2, turned(12)), axes="ASR"),
  read,
)


def _sheared_only_sform(image):
  image.set_qform(None, 0)


add(
  "shear",
  "an affine with a slight shear (2 %), which the sform alone can hold",
  lambda w: both(w, _sheared(0.02), edit=_sheared_only_sform),
  read_or(flagged("right angles")),
)
add(
  "origin_far",
  "an origin 3 m away",
  lambda w: both(w, affine_of() + _far()),
  read_or(flagged("origin")),
)


def _far():
  far = np.zeros((4, 4))
  far[:3, 3] = 3000
  return far


def _plane(w, spacing, shape):
  w.save(picture(2, shape), affine=affine_of(spacing))
  w.save_mask(np.zeros(shape, np.uint8), affine=affine_of(spacing))
  w.compare = False
  w.culprit = w.image


_PLANE = "spinalcordtoolbox#366, wasserth/TotalSegmentator#78"
add(
  "axial",
  "an axial volume by mistake",
  lambda w: _plane(w, (1, 1, 4), (40, 40, 8)),
  flagged("sagittal"),
  report=_PLANE,
)
add(
  "coronal",
  "a coronal volume by mistake",
  lambda w: _plane(w, (1, 4, 1), (40, 8, 40)),
  flagged("sagittal"),
  report=_PLANE,
)
add(
  "isotropic",
  "voxels of 1 mm in all directions",
  lambda w: both(w, affine_of((1.0, 1.0, 1.0))),
  read_or(flagged("sagittal|isotropic|plane")),
)
add(
  "anisotropic",
  "rows and columns of unequal distance (1.3 and .8 mm)",
  lambda w: both(w, affine_of((4.0, 0.8, 1.3))),
  read,
)


def _sized(*shape):
  def make(w):
    w.save(picture(2, shape))
    w.labels = np.ones(shape, np.uint8)
    w.save_mask()
    w.culprit = w.image

  return make


add("single_slice", "one slice", _sized(1, 40, 40), read)
add("two_by_two", "slices of 3 x 3 pixels", _sized(4, 3, 3), read)
add("large", "slices of 300 x 260 pixels", _sized(2, 300, 260), read)
add("strip", "slices of 2 x 90 pixels", _sized(3, 90, 2), read)


def _units(code, factor=1.0):
  spacing = tuple(s * factor for s in SPACING_MM)

  def make(w):
    affine = affine_of(spacing)
    affine[:3, 3] *= factor
    both(w, affine, edit=lambda i: i.header.set_xyzt_units(code))
    w.spacing_mm = SPACING_MM

  return make


add(
  "metres",
  "a header in metres",
  _units("meter", 1e-3),
  read_or(told("metre|meter|unit")),
)
add(
  "microns",
  "a header in micrometres",
  _units("micron", 1e3),
  read_or(told("micro|unit")),
)
add("units_unknown", "no unit of length given", _units("unknown"), read)


def _tiny_voxels(w):
  both(w, affine_of((4e-3, 1e-3, 1e-3)))


def _huge_voxels(w):
  both(w, affine_of((400.0, 100.0, 100.0)))


add(
  "voxels_tiny",
  "voxels of .001 mm: metres said to be millimetres",
  _tiny_voxels,
  told("unit|spacing|voxel"),
)
add(
  "voxels_huge",
  "voxels of 100 mm",
  _huge_voxels,
  told("unit|spacing|voxel"),
)


def _reshaped(change):
  def make(w):
    image = nib.load(w.image)
    array = change(np.asarray(image.dataobj))
    new = nib.Nifti1Image(array, image.affine, dtype=array.dtype)
    nib.save(new, w.image)

  return make


add(
  "4d_one",
  "a series of one volume (x, y, z, 1)",
  _reshaped(lambda a: a[..., None]),
  read_or(refused("4-D")),
)
add(
  "4d",
  "a series of two volumes",
  _reshaped(lambda a: np.stack([a, a], -1)),
  refused("4-D"),
)
add(
  "5d",
  "a vector field (x, y, z, 1, 3)",
  _reshaped(lambda a: np.stack([a] * 3, -1)[..., None, :]),
  refused("5-D"),
)
add("2d", "a 2-D image", _reshaped(lambda a: a[0]), refused("2-D"))
add("empty", "no slice at all", _reshaped(lambda a: a[:0]), refused("empty"))
