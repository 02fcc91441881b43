"""Masks: their grids and their files."""

import gzip

import nibabel as nib
import numpy as np

from corpus.entry import flagged, named, read, read_or, refused, told
from corpus.masks import MASKS, ROWS, dseg, everywhere, one, stored
from corpus.world import DSEG, SHAPE, affine_of, drawing, picture

add = MASKS.add


def _moved(mm):
  affine = affine_of()
  affine[1, 3] += mm
  return affine


add(
  "order",
  "a mask stored in another order than its image",
  stored(lambda m: m, axes="PIR"),
  read,
)
add(
  "flipped",
  "a mask stored from the other side, as its header says",
  stored(lambda m: m, axes="LAS"),
  read,
)
add(
  "shifted",
  "a mask 5 mm beside its image",
  stored(lambda m: m, affine=_moved(5)),
  refused("grid"),
)
add(
  "shifted_slightly",
  "a mask .002 mm beside its image",
  stored(lambda m: m, affine=_moved(0.002)),
  read,
)
add(
  "spacing",
  "a mask with another distance of slices",
  stored(lambda m: m, affine=affine_of((4.4, 1.0, 1.0))),
  refused("grid"),
)
add(
  "shape",
  "a mask with one row less",
  stored(lambda m: m[:, :, :-1]),
  refused("grid|shape"),
)
add(
  "codes_0",
  "a mask whose header tells no orientation",
  stored(lambda m: m, raw={"sform_code": 0, "qform_code": 0}),
  told("orientation|form"),
)
add(
  "identity",
  "a mask saved without its image's header (1 mm, at 0)",
  stored(lambda m: m, affine=np.eye(4)),
  refused("grid"),
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
add("nan", "a mask with NaN", one(np.nan, np.float32), refused("NaN"))
add(
  "intent_label",
  "a mask whose intent says labels",
  stored(lambda m: m, raw={"intent_code": 1002}),
  read,
)
add(
  "nifti2", "a mask in NIfTI-2", stored(lambda m: m, cls=nib.Nifti2Image), read
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
  w.dseg.write_text(dseg(*((n * 10, name) for n, name in ROWS)))
  everywhere(w, lambda labels: labels * 10)
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
