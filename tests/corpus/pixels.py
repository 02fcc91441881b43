"""What a voxel is: data types, scaling, intents, values."""

import nibabel as nib
import numpy as np

from corpus.entry import Family, flagged, read, read_or, refused, told
from corpus.world import SHAPE, affine_of, drawing, image_of, picture

PIXELS = Family("pixels")
add = PIXELS.add


def _typed(dtype, change=lambda a: a):
  return lambda w: w.save(change(picture(2)).astype(dtype))


for _name, _dtype in (
  ("int32", np.int32),
  ("uint16", np.uint16),
  ("float32", np.float32),
  ("float64", np.float64),
):
  add(_name, f"voxels of type {_name}", _typed(_dtype), read)
add(
  "int64",
  "voxels of type int64",
  _typed(np.int64),
  read,
)
add("uint8", "voxels of type uint8", _typed(np.uint8, lambda a: a // 4), read)
add("int8", "voxels of type int8", _typed(np.int8, lambda a: a // 8 - 60), read)
add(
  "negative",
  "negative values, as of CT",
  _typed(np.int16, lambda a: a - 1024),
  read,
)


def _big_endian(w):
  image = image_of(picture(2), affine_of())
  header = image.header.as_byteswapped(">")
  new = nib.Nifti1Image(picture(2), affine_of(), header)
  assert new.header.endianness == ">"
  nib.save(new, w.image)


add("big_endian", "a big-endian file", _big_endian, read)
add("nifti2", "NIfTI-2", lambda w: w.save(cls=nib.Nifti2Image), read)
add(
  "nifti2_mask",
  "NIfTI-2, image and mask",
  lambda w: (w.save(cls=nib.Nifti2Image), w.save_mask(cls=nib.Nifti2Image)),
  read,
)


def _scaled(slope, intercept):
  return lambda w: w.save(raw={"scl_slope": slope, "scl_inter": intercept})


add("slope", "a slope of 2.5 and an intercept of -40", _scaled(2.5, -40), read)
add("slope_zero", "a slope of 0, which means none", _scaled(0, 0), read)
add(
  "slope_nan",
  "a slope of NaN, which means none",
  _scaled(np.nan, np.nan),
  read_or(flagged("slope")),
)


def _negative_slope(w):
  w.save(raw={"scl_slope": -1, "scl_inter": 0})
  w.array = -w.array


add("slope_negative", "a slope of -1", _negative_slope, read)
add(
  "intercept_nan",
  "an intercept of NaN",
  _scaled(2, np.nan),
  refused("header|scl_|intercept|slope"),
)


def _extension(image):
  content = nib.nifti1.Nifti1Extension(6, b"anonymised by nobody")
  image.header.extensions.append(content)


add(
  "extension",
  "an extension block (a comment)",
  lambda w: w.save(edit=_extension),
  read,
)
add(
  "extension_long",
  "an extension block of 100 kB",
  lambda w: w.save(
    edit=lambda i: i.header.extensions.append(
      nib.nifti1.Nifti1Extension(6, b"x" * 100_000)
    )
  ),
  read,
)
add(
  "extension_damaged",
  "an extension block that says it is 2 GB long",
  lambda w: (
    w.save(edit=_extension),
    w.header_bytes(352, np.int32(2**31 - 16).tobytes()),
  ),
  read_or(told("header|extension|voxels|NIfTI")),
)


def _intent(code):
  return lambda w: w.save(raw={"intent_code": code})


add(
  "intent_label",
  "an image whose intent says that it holds labels",
  _intent(1002),
  told("intent|label"),
)
add(
  "intent_statistic",
  "an image whose intent says that it holds a t statistic",
  _intent(3),
  told("intent"),
)
add(
  "intent_vector",
  "an image whose intent says that it holds vectors",
  _intent(1007),
  told("intent"),
)


def _structured(w):
  rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
  rgb["R"] = picture(2) // 4
  nib.save(nib.Nifti1Image(rgb, affine_of()), w.image)


def _with_alpha(w):
  names = [(name, "u1") for name in "RGBA"]
  rgba = np.zeros(SHAPE, names)
  rgba["G"] = picture(2) // 4
  nib.save(nib.Nifti1Image(rgba, affine_of()), w.image)


add(
  "rgb",
  "colours (RGB), as of a screenshot",
  _structured,
  refused("RGB"),
  report="nipy/nibabel#979, Slicer/Slicer#332",
)
add("rgba", "colours with opacity (RGBA)", _with_alpha, refused("RGB"))
add("complex", "complex voxels", _typed(np.complex64), refused("complex"))
add(
  "complex128",
  "complex voxels of double precision",
  _typed(np.complex128),
  refused("complex"),
)


def _spoilt(value, count=1):
  def make(w):
    array = picture(2).astype(np.float32)
    array.flat[100 : 100 + count] = value
    w.save(array)

  return make


add("nan_one", "one voxel is NaN", _spoilt(np.nan), refused("NaN"))
add("nan_all", "all voxels are NaN", _spoilt(np.nan, 10**6), refused("NaN"))
add("infinite", "one voxel is infinite", _spoilt(np.inf), refused("infinite"))
add(
  "beyond_float32",
  "a voxel of 1e300",
  lambda w: w.save(np.where(picture(2) > 600, 1e300, picture(2))),
  refused("infinite|1e\\+?300|large"),
)
add(
  "constant",
  "all voxels have one value",
  lambda w: w.save(np.full(SHAPE, 7, np.int16)),
  refused("constant|all 12800 voxels"),
)
add(
  "zeros",
  "all voxels are 0",
  lambda w: w.save(np.zeros(SHAPE, np.int16)),
  refused("constant|all 12800 voxels"),
)
add(
  "tiny_values",
  "values around 1e-30",
  lambda w: w.save(picture(2).astype(np.float64) * 1e-33),
  read_or(told("constant|voxels|contrast|values")),
)


def _hot(w):
  array = picture(2).astype(np.int32)
  array[3, 20, 20] = 3_000_000
  w.save(array)
  w.compare = False  # one voxel takes all the contrast


add(
  "hot_voxel",
  "one voxel 5000 times as bright as all others",
  _hot,
  read_or(flagged("bright|contrast|voxel")),
)


def _datatype(code, bits):
  return lambda w: w.save(raw={"datatype": code, "bitpix": bits})


add(
  "datatype_unknown",
  "an unknown data type (code 9999)",
  _datatype(9999, 16),
  refused("header|type|NIfTI"),
)
add(
  "datatype_zero",
  "no data type (code 0)",
  _datatype(0, 16),
  refused("header|type|NIfTI|voxels"),
)
add(
  "datatype_bit",
  "single bits (code 1), as of old masks",
  _datatype(1, 1),
  refused("header|type|NIfTI|voxels"),
)
add(
  "bitpix",
  "a number of bits that contradicts the data type",
  _datatype(4, 8),
  read_or(told("bitpix|header|NIfTI")),
)
add(
  "as_mask",
  "the mask's file given as the image",
  lambda w: w.save(drawing(), raw={"intent_code": 1002}),
  told("intent|label"),
)
