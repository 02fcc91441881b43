"""Pairs of files, and headers that claim what is not there."""

import gzip
import os

import nibabel as nib
import numpy as np

from corpus.damage import DAMAGE, WORDS, unpacked
from corpus.entry import read, read_or, refused
from corpus.world import affine_of, image_of, picture

add = DAMAGE.add


def _analyze(w):
  image = nib.AnalyzeImage(picture(2), affine_of())
  w.rename_image("p2_T2w.hdr")
  nib.save(image, w.image)


def _pair(w, named="p2_T2w.hdr"):
  image = image_of(picture(2), affine_of(), nib.Nifti1Pair)
  w.rename_image(named)
  nib.save(image, w.image)


def _pair_without(suffix):
  def make(w):
    _pair(w)
    w.image.with_suffix(suffix).unlink()

  return make


add(
  "analyze",
  "ANALYZE 7.5, which tells no orientation",
  _analyze,
  refused(WORDS),
)
add(
  "pair",
  "a pair of .hdr and .img, the .hdr named",
  _pair,
  read_or(refused("pair|NIfTI")),
)
add(
  "pair_img",
  "a pair of .hdr and .img, the .img named",
  lambda w: _pair(w, "p2_T2w.img"),
  read_or(refused("pair|NIfTI|hdr")),
)
add(
  "pair_without_img",
  "a .hdr without its .img",
  _pair_without(".img"),
  refused("img|pair|NIfTI"),
)


def _claims(shape):
  """Returns an entry whose header says more voxels than there are."""

  def make(w):
    w.save(raw={("dim", i + 1): n for i, n in enumerate(shape)})

  return make


add(
  "claims_more",
  "a header that claims 41 rows where there are 40",
  _claims((8, 40, 41)),
  refused(WORDS),
)
add(
  "claims_huge",
  "a header that claims 32767 x 32767 x 32767 voxels",
  _claims((32767,) * 3),
  refused(WORDS),
)
add(
  "claims_negative",
  "a header that claims -40 rows",
  _claims((8, 40, -40)),
  refused(WORDS),
)
add(
  "claims_dims",
  "a header that claims 9 dimensions",
  lambda w: w.save(raw={("dim", 0): 9}),
  refused(WORDS),
)


def _offset(value):
  return lambda w: w.save(raw={"vox_offset": value})


add(
  "offset_beyond",
  "voxels that begin behind the file's end",
  _offset(1e7),
  refused(WORDS),
)
add(
  "offset_inside",
  "voxels that begin within the header",
  _offset(16),
  refused(WORDS),
)
add(
  "offset_negative",
  "voxels that begin before the file",
  _offset(-352),
  refused(WORDS),
)
add("offset_nan", "voxels that begin at NaN", _offset(np.nan), refused(WORDS))


def _gap(w):
  raw = bytearray(unpacked(w))
  raw[108:112] = np.float32(416).tobytes()
  w.image.write_bytes(gzip.compress(bytes(raw[:352] + bytes(64) + raw[352:])))


add("gap", "64 bytes between header and voxels", _gap, read)
add(
  "missing",
  "a file that is not there",
  lambda w: os.unlink(w.image),
  refused("no file|no such file"),
)
