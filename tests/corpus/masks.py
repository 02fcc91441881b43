"""Masks: their numbers, types, grids; prediction never reads them."""

import gzip

import nibabel as nib
import numpy as np

from corpus.entry import Family, flagged, named, read, read_or, refused, told
from corpus.world import CLASSES, DSEG, SHAPE, affine_of, drawing, picture

MASKS = Family("mask", commands=("doctor", "training"))
add = MASKS.add


def _stored(change, **options):
  """Returns an entry whose mask is the good one, changed."""

  def make(w):
    w.save_mask(change(drawing()), **options)

  return make


def _dseg(*rows):
  return "index\tname\n" + "".join(f"{n}\t{name}\n" for n, name in rows)


_ROWS = tuple(enumerate(CLASSES))

# -------------------------------------------------------------- 255, ignore


def _all(w, change):
  for patient in ("p1", "p3"):
    mask, w.mask = w.mask, w.mask_path(patient)
    w.save_mask(change(drawing()))
    w.mask = mask
  w.save_mask(change(drawing()))
  w.culprit = None  # any of them


def _png(labels):
  return (labels == 1).astype(np.uint8) * 255


add(
  "0_255",
  "masks of 0 and 255, as PNG files hold them, without a dseg.tsv",
  lambda w: (w.dseg.unlink(), _all(w, _png)),
  refused("255"),
  report="MIC-DKFZ/nnUNet#1777, MIC-DKFZ/nnUNet#1678",
)


def _some_255(labels):
  labels[2, 12:20, 4:20] = 255
  return labels


add(
  "255_unexplained",
  "some pixels are 255, which the dseg.tsv does not know",
  _stored(_some_255),
  refused("255"),
)


def _ignoring(number, name="ignore"):
  def make(w):
    w.dseg.write_text(_dseg(*_ROWS, (number, name)))
    labels = drawing()
    labels[2, 12:20, 4:20] = number
    w.save_mask(labels)
    w.labels = np.where(labels == number, 255, labels)

  return make


add(
  "ignore_255",
  "some pixels are 255, and a row of dseg.tsv says ignore",
  _ignoring(255),
  read,
)
add(
  "ignore_9",
  "some pixels are 9, and a row of dseg.tsv says ignore",
  _ignoring(9),
  read,
)
add(
  "ignore_capital",
  "a row of dseg.tsv says Ignore",
  _ignoring(9, "Ignore"),
  read,
)


def _ignored_by_remap(w):
  w.dseg.write_text(_dseg(*_ROWS, (7, "Artefact")))
  labels = drawing()
  labels[2, 12:20, 4:20] = 7
  w.save_mask(labels)
  w.labels = np.where(labels == 7, 255, labels)
  w.fields["data.remap"] = {"Artefact": "ignore"}


add(
  "ignore_by_remap",
  "config.data.remap makes a structure ignored",
  _ignored_by_remap,
  read,
)


def _mostly_ignored(w):
  w.dseg.write_text(_dseg(*_ROWS, (255, "ignore")))
  _all(w, _png)
  w.compare = False


add(
  "ignored_mostly",
  "most of the drawn pixels are ignored",
  _mostly_ignored,
  flagged("ignore"),
)

# ------------------------------------------------------------------ numbers

_DIGITS = "spinalcordtoolbox#3229, TorchIO-project/torchio#220"
add(
  "noise_2e-7",
  "labels as float with noise of 2e-7",
  _stored(lambda m: m + (m > 0) * 2e-7),
  read,
  report=_DIGITS,
)
add(
  "noise_9e-4",
  "labels as float with noise of 9e-4",
  _stored(lambda m: m + (m > 0) * 9e-4),
  read,
)
add(
  "noise_2e-3",
  "labels as float that are .002 off",
  _stored(lambda m: m + (m == 2) * 2e-3),
  refused(r"2\.00[12]"),
)
add(
  "interpolated",
  "labels resampled linearly: 0.5 at edges",
  _stored(lambda m: np.maximum(m, np.roll(m, 1, 2) * 0.5)),
  refused(r"\.5"),
  report="MIC-DKFZ/nnUNet#1183",
)
for _name, _dtype in (
  ("float32", np.float32),
  ("float64", np.float64),
  ("int16", np.int16),
  ("uint16", np.uint16),
  ("int32", np.int32),
  ("int64", np.int64),
):
  add(
    _name,
    f"labels of type {_name}",
    _stored(lambda m, t=_dtype: m.astype(t)),
    read,
  )


def _half_slope(w):
  w.save_mask(drawing() * 2, raw={"scl_slope": 0.5, "scl_inter": 0})


add(
  "slope", "labels stored twice as large with a slope of .5", _half_slope, read
)
add(
  "slope_rounded",
  "a slope of 1.0000001",
  _stored(lambda m: m, raw={"scl_slope": 1.0000001, "scl_inter": 0}),
  read,
)


def _one(value, dtype):
  def change(labels):
    labels = labels.astype(dtype)
    labels[3, 20, 20] = value
    return labels

  return _stored(change)


add(
  "unknown",
  "a label that the dseg.tsv does not know",
  _one(7, np.uint8),
  refused(r"\b7\b"),
)
add("negative", "a label of -1", _one(-1, np.int16), refused(r"-1\b"))
add(
  "large",
  "a label of 2147483647",
  _one(2**31 - 1, np.int32),
  refused(r"2147483647|2\.14\d*e\+09"),
)
add(
  "large_int64",
  "a label of 4e18",
  _one(4 * 10**18, np.int64),
  refused(r"4000000000000000000|4e\+18"),
)
add(
  "large_float",
  "a label of 1e300",
  _one(1e300, np.float64),
  refused(r"1e\+?300|infinite|1000000"),
)
add(
  "many",
  "200 labels that the dseg.tsv does not know",
  _stored(lambda m: m + np.arange(SHAPE[1], dtype=np.uint8)[:, None] * 5),
  refused("label"),
)


def _large_known(w):
  rows = [(number * 1_000_000, name) for number, name in _ROWS]
  w.dseg.write_text(_dseg(*rows))
  for patient in ("p1", "p3"):
    mask, w.mask = w.mask, w.mask_path(patient)
    w.save_mask(drawing().astype(np.int32) * 1_000_000)
    w.mask = mask
  w.save_mask(drawing().astype(np.int32) * 1_000_000)


add(
  "large_known",
  "labels 1000000, 2000000 ... that the dseg.tsv lists",
  _large_known,
  read,
)


def _empty(w):
  w.labels = np.zeros(SHAPE, np.uint8)
  w.save_mask()


add("empty", "an empty mask", _empty, flagged("empty"))


def _without_class(w):
  def change(labels):
    labels[labels == 3] = 0
    return labels

  _all(w, change)
  w.labels = change(drawing())


add(
  "class_missing",
  "a class of the scheme that no mask has",
  _without_class,
  flagged("Canal"),
)


def _twelve_classes(w):
  w.dseg.unlink()
  w.fields["data.scheme"] = "midas12"
  w.compare = False


add(
  "numbers_unexplained",
  "masks of 1, 2, 3 under a scheme of twelve classes, without a dseg.tsv",
  _twelve_classes,
  flagged(r"dseg\.tsv"),
)


def _foreign(w):
  w.dseg.write_text(_dseg(*_ROWS[:3], (3, "Gallbladder")))
  w.culprit = None


add(
  "structure_unknown",
  "a structure that the scheme does not have",
  _foreign,
  refused("Gallbladder"),
)

# -------------------------------------------------------------------- grids


def _moved(mm):
  affine = affine_of()
  affine[1, 3] += mm
  return affine


add(
  "order",
  "a mask stored in another order than its image",
  _stored(lambda m: m, axes="PIR"),
  read,
)
add(
  "flipped",
  "a mask stored from the other side, as its header says",
  _stored(lambda m: m, axes="LAS"),
  read,
)
add(
  "shifted",
  "a mask 5 mm beside its image",
  _stored(lambda m: m, affine=_moved(5)),
  refused("grid"),
)
add(
  "shifted_slightly",
  "a mask .002 mm beside its image",
  _stored(lambda m: m, affine=_moved(0.002)),
  read,
)
add(
  "spacing",
  "a mask with another distance of slices",
  _stored(lambda m: m, affine=affine_of((4.4, 1.0, 1.0))),
  refused("grid"),
)
add(
  "shape",
  "a mask with one row less",
  _stored(lambda m: m[:, :, :-1]),
  refused("grid|shape"),
)
add(
  "codes_0",
  "a mask whose header tells no orientation",
  _stored(lambda m: m, raw={"sform_code": 0, "qform_code": 0}),
  told("orientation|form"),
)
add(
  "identity",
  "a mask saved without its image's header (1 mm, at 0)",
  _stored(lambda m: m, affine=np.eye(4)),
  refused("grid"),
  report="spinalcordtoolbox#4592",
)

# -------------------------------------------------------------------- files


def _replaced(array):
  def make(w):
    nib.save(nib.Nifti1Image(array(), affine_of()), w.mask)
    w.culprit = w.mask

  return make


def _colours():
  rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
  rgb["R"] = drawing() * 80
  return rgb


def _one_hot():
  return np.eye(4, dtype=np.uint8)[drawing()]


add(
  "rgb",
  "a colour label map (RGB)",
  _replaced(_colours),
  refused("RGB"),
  report="nipy/nibabel#979",
)
add(
  "complex",
  "a complex mask",
  _replaced(lambda: drawing().astype(np.complex64)),
  refused("complex"),
)
add(
  "one_hot", "a map for each class (4-D)", _replaced(_one_hot), refused("4-D")
)
add("nan", "a mask with NaN", _one(np.nan, np.float32), refused("NaN"))
add(
  "intent_label",
  "a mask whose intent says labels",
  _stored(lambda m: m, raw={"intent_code": 1002}),
  read,
)
add(
  "nifti2", "a mask in NIfTI-2", _stored(lambda m: m, cls=nib.Nifti2Image), read
)


def _cut(w):
  w.mask.write_bytes(w.mask.read_bytes()[:-9])
  w.culprit = w.mask


def _text(w):
  w.mask.write_bytes(gzip.compress(b"labels"))
  w.culprit = w.mask


def _image_as_mask(w):
  w.save_mask(picture(2))


def _no_mask(w):
  rows = w.rows()
  rows[2][2] = "n/a"
  w.write_table(rows)
  w.mask.unlink()


add("cut", "a mask cut short", _cut, refused("voxels|damaged"))
add("text", "a text as mask", _text, refused("NIfTI"))
add(
  "image", "the image given as its own mask", _image_as_mask, refused("label")
)
add(
  "gone",
  "a mask that is not there",
  lambda w: (w.mask.unlink(), setattr(w, "culprit", w.mask)),
  refused("no file|no such file"),
)
add("none", "a study without a mask", _no_mask, named("mask"))


def _second_reader(w):
  twin = w.mask.with_name("sub-p2_desc-b_dseg.nii.gz")
  twin.write_bytes(w.mask.read_bytes())


def _stray(w):
  place = w.mask_path("p9")
  place.parent.mkdir(parents=True)
  place.write_bytes(w.mask.read_bytes())


add(
  "two",
  "two masks for one image",
  _second_reader,
  refused("masks fit"),
  kind="tree",
)
add(
  "stray",
  "a mask whose patient has no image",
  _stray,
  flagged("sub-p9"),
  kind="tree",
)


def _holes(w):
  w.dseg.write_text(_dseg(*((n * 10, name) for n, name in _ROWS)))
  _all(w, lambda labels: labels * 10)
  w.labels = drawing()


add(
  "numbers_apart", "numbers 0, 10, 20, 30, as the dseg.tsv says", _holes, read
)
add(
  "levels",
  "levels (L1 ... L5) that a scheme's class covers",
  lambda w: w.dseg.write_text(DSEG.replace("Vertebra", "L5")),
  read_or(refused("L5")),
)
