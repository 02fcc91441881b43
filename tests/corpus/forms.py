"""Headers' forms, quaternions and pixdim."""

import numpy as np

from corpus.entry import flagged, read, read_or, refused, told
from corpus.geometry import GEOMETRY, both, turned

add = GEOMETRY.add


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
