"""Masks: their numbers, types, grids; prediction never reads them."""

import numpy as np

from corpus.entry import Family, flagged, read, refused
from corpus.world import CLASSES, SHAPE, drawing

MASKS = Family("mask", commands=("doctor", "training"))
add = MASKS.add


def stored(change, **options):
  """Returns an entry whose mask is the good one, changed."""

  def make(w):
    w.save_mask(change(drawing()), **options)

  return make


def dseg(*rows):
  return "index\tname\n" + "".join(f"{n}\t{name}\n" for n, name in rows)


ROWS = tuple(enumerate(CLASSES))

# -------------------------------------------------------------- 255, ignore


def everywhere(w, change):
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
  lambda w: (w.dseg.unlink(), everywhere(w, _png)),
  refused("255"),
  report="MIC-DKFZ/nnUNet#1777, MIC-DKFZ/nnUNet#1678",
)


def _some_255(labels):
  labels[2, 12:20, 4:20] = 255
  return labels


add(
  "255_unexplained",
  "some pixels are 255, which the dseg.tsv does not know",
  stored(_some_255),
  refused("255"),
)


def _ignoring(number, name="ignore"):
  def make(w):
    w.dseg.write_text(dseg(*ROWS, (number, name)))
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
  w.dseg.write_text(dseg(*ROWS, (7, "Artefact")))
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
  w.dseg.write_text(dseg(*ROWS, (255, "ignore")))
  everywhere(w, _png)
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
  stored(lambda m: m + (m > 0) * 2e-7),
  read,
  report=_DIGITS,
)
add(
  "noise_9e-4",
  "labels as float with noise of 9e-4",
  stored(lambda m: m + (m > 0) * 9e-4),
  read,
)
add(
  "noise_2e-3",
  "labels as float that are .002 off",
  stored(lambda m: m + (m == 2) * 2e-3),
  refused(r"2\.00[12]"),
)
add(
  "interpolated",
  "labels resampled linearly: 0.5 at edges",
  stored(lambda m: np.maximum(m, np.roll(m, 1, 2) * 0.5)),
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
    stored(lambda m, t=_dtype: m.astype(t)),
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
  stored(lambda m: m, raw={"scl_slope": 1.0000001, "scl_inter": 0}),
  read,
)


def one(value, dtype):
  def change(labels):
    labels = labels.astype(dtype)
    labels[3, 20, 20] = value
    return labels

  return stored(change)


add(
  "unknown",
  "a label that the dseg.tsv does not know",
  one(7, np.uint8),
  refused(r"\b7\b"),
)
add("negative", "a label of -1", one(-1, np.int16), refused(r"-1\b"))
add(
  "large",
  "a label of 2147483647",
  one(2**31 - 1, np.int32),
  refused(r"2147483647|2\.14\d*e\+09"),
)
add(
  "large_int64",
  "a label of 4e18",
  one(4 * 10**18, np.int64),
  refused(r"4000000000000000000|4e\+18"),
)
add(
  "large_float",
  "a label of 1e300",
  one(1e300, np.float64),
  refused(r"1e\+?300|infinite|1000000"),
)
add(
  "many",
  "200 labels that the dseg.tsv does not know",
  stored(lambda m: m + np.arange(SHAPE[1], dtype=np.uint8)[:, None] * 5),
  refused("label"),
)


def _large_known(w):
  rows = [(number * 1_000_000, name) for number, name in ROWS]
  w.dseg.write_text(dseg(*rows))
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

  everywhere(w, change)
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
  w.dseg.write_text(dseg(*ROWS[:3], (3, "Gallbladder")))
  w.culprit = None


add(
  "structure_unknown",
  "a structure that the scheme does not have",
  _foreign,
  refused("Gallbladder"),
)
