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


def _codes(sform, qform):
  return {"sform_code": sform, "qform_code": qform}


_BOTH_ZERO = "ANTsX/ANTs#826, bids-standard/legacy-validator#292"
add(
  "codes_0",
  "sform and qform code both 0: the header tells no orientation",
  lambda w: w.save(axes="PIR", raw=_codes(0, 0)),
  refused("assume_orientation"),
  report=_BOTH_ZERO,
)


def _assumed(w):
  both(w, axes="PIR", raw=_codes(0, 0))
  w.fields["data.assume_orientation"] = "PIR"
  w.options["assume_orientation"] = "PIR"


add(
  "codes_0_assumed",
  "both codes 0, with --assume_orientation=PIR",
  _assumed,
  flagged("orientation"),
  report=_BOTH_ZERO,
)


def _assumed_wrong(w):
  w.fields["data.assume_orientation"] = "RAX"
  w.options["assume_orientation"] = "RAX"
  w.culprit, w.whole = None, True


add(
  "assume_nonsense",
  "--assume_orientation=RAX, which is no orientation",
  _assumed_wrong,
  refused("RAX"),
)
add(
  "qform_only",
  "a qform alone",
  lambda w: both(w, turned(20), edit=lambda i: i.set_sform(None, 0)),
  read,
)
add(
  "sform_only",
  "an sform alone",
  lambda w: both(w, turned(20), edit=lambda i: i.set_qform(None, 0)),
  read,
)
add(
  "codes_2_4",
  "codes 2 and 4 (aligned, MNI)",
  lambda w: both(w, raw=_codes(4, 2)),
  read,
)


def _shift_qform(mm):
  def edit(image):
    affine = image.affine.copy()
    affine[1, 3] += mm
    image.set_qform(affine, 1)

  return edit


add(
  "forms_apart",
  "sform and qform 5 mm apart",
  lambda w: w.save(edit=_shift_qform(5)),
  flagged("form"),
  report="neuropoly/totalspineseg#51",
)
add(
  "forms_close",
  "sform and qform .002 mm apart",
  lambda w: w.save(edit=_shift_qform(0.002)),
  read,
)


def _quaternion(b, c, d, sform=1):
  named = {"quatern_b": b, "quatern_c": c, "quatern_d": d}
  return named | {("pixdim", 0): 1, "sform_code": sform}


_LONG = "spinalcordtoolbox#3703, nipy/nibabel#626, nipreps/fmriprep#845"


def _rounded_alone(w):
  # Half a turn about z: x runs to the left and y to the back.
  both(w, axes="LPS", raw=_quaternion(0, 0, 1.000001, sform=0))


add(
  "quaternion_rounded",
  "a quaternion 4e-6 too long, beside a good sform that says otherwise",
  lambda w: w.save(raw=_quaternion(0.6, 0.8, 0.002)),
  flagged("qform"),
  report=_LONG,
)
add(
  "quaternion_rounded_alone",
  "a quaternion 2e-6 too long (half a turn), and no sform",
  _rounded_alone,
  read,
  report=_LONG,
)
add(
  "quaternion_nonsense",
  "a quaternion of length 1.7 beside a good sform",
  lambda w: w.save(raw=_quaternion(1, 1, 1)),
  flagged("qform"),
)
add(
  "quaternion_nonsense_alone",
  "a quaternion of length 1.7, and no sform",
  lambda w: w.save(raw=_quaternion(1, 1, 1, sform=0)),
  refused("qform|quaternion"),
)
add(
  "quaternion_nan",
  "a quaternion of NaN, and no sform",
  lambda w: w.save(raw=_quaternion(np.nan, 0, 0, sform=0)),
  refused("qform|quaternion|affine"),
)


def _sform_row(value):
  return {"srow_x": value}


add(
  "sform_nan",
  "an sform with NaN",
  lambda w: w.save(raw=_sform_row(np.nan)),
  refused("affine|sform"),
)
add(
  "sform_singular",
  "an sform with a row of zeros",
  lambda w: w.save(raw=_sform_row(0)),
  refused("affine|sform"),
)


def _pixdim(place, value, sform=1, qform=1):
  codes = {"sform_code": sform, "qform_code": qform}
  return {("pixdim", place): value} | codes


add(
  "pixdim_negative",
  "a negative pixdim beside a good sform",
  lambda w: w.save(raw=_pixdim(2, -1)),
  read_or(flagged("pixdim|qform")),
  report="nipy/nibabel#626",
)
add(
  "pixdim_zero_alone",
  "a pixdim of 0, and no sform",
  lambda w: w.save(raw=_pixdim(2, 0, sform=0)),
  told("affine|pixdim|qform|spacing"),
)
add(
  "pixdim_nan_alone",
  "a pixdim of NaN, and no sform",
  lambda w: w.save(raw=_pixdim(2, np.nan, sform=0)),
  refused("affine|pixdim|qform"),
)
add(
  "pixdim_other",
  "pixdim 1 mm where the sform says 4 mm, and no qform",
  lambda w: w.save(raw=_pixdim(1, 1, qform=0)),
  read_or(flagged("pixdim|spacing|voxel")),
)


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
