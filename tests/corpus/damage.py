"""Files that are cut short, flipped, misnamed or something else altogether."""

import gzip
import io
import zipfile
import zlib

import nibabel as nib
import numpy as np

from corpus.entry import Family, read, read_or, refused, told
from corpus.world import affine_of, picture

DAMAGE = Family("damaged file")
add = DAMAGE.add
WORDS = "NIfTI|voxels|gzip|header|damaged|empty"


def unpacked(w) -> bytes:
  return gzip.decompress(w.image.read_bytes())


def _written(change):
  """Returns an entry that changes the packed file's bytes."""
  return lambda w: w.image.write_bytes(change(w.image.read_bytes()))


def _repacked(change):
  """Returns an entry that changes the bytes and packs them again."""
  return lambda w: w.image.write_bytes(gzip.compress(change(unpacked(w)), 1))


def _plain(change=lambda raw: raw, name="p2_T2w.nii"):
  """Returns an entry that stores the changed bytes unpacked."""

  def make(w):
    raw = change(unpacked(w))
    w.rename_image(name)
    w.image.write_bytes(raw)

  return make


def _flip(place, mask=0xFF):
  def change(raw):
    raw = bytearray(raw)
    raw[place] ^= mask
    return bytes(raw)

  return change


add("unpacked", "a .nii that is not packed", _plain(), read)
add(
  "cut_gz",
  "a .nii.gz cut short in its middle",
  _written(lambda b: b[: len(b) // 2]),
  refused(WORDS),
)
add(
  "cut_gz_last",
  "a .nii.gz that lacks its last byte",
  _written(lambda b: b[:-1]),
  refused(WORDS),
)
add(
  "cut_nii",
  "a .nii cut short in its middle",
  _plain(lambda b: b[: len(b) // 2]),
  refused(WORDS),
)
add(
  "cut_nii_last",
  "a .nii that lacks its last byte",
  _plain(lambda b: b[:-1]),
  refused(WORDS),
)
add(
  "header_only",
  "a header without voxels",
  _repacked(lambda b: b[:352]),
  refused(WORDS),
)
add(
  "half_header", "half a header", _repacked(lambda b: b[:170]), refused(WORDS)
)
add("no_bytes", "a file of 0 bytes", _written(lambda b: b""), refused(WORDS))
add("no_bytes_gz", "0 bytes, packed", _repacked(lambda b: b""), refused(WORDS))
add(
  "flipped_gz",
  "one byte of a .nii.gz flipped in its middle",
  _written(lambda b: _flip(len(b) // 2)(b)),
  refused(WORDS),
)
add(
  "flipped_checksum",
  "one byte of the checksum of a .nii.gz flipped",
  _written(_flip(-6)),
  refused(WORDS),
)
add(
  "flipped_gz_head",
  "the first byte of a .nii.gz flipped",
  _written(_flip(0)),
  refused(WORDS),
)
add("magic", "another magic number", _repacked(_flip(345)), refused(WORDS))
add(
  "header_size",
  "a header that gives another size of itself",
  _repacked(_flip(1)),
  read_or(told(WORDS)),
)
add(
  "zero_filled",
  "a file of nothing but zeros, as after a crash",
  _written(lambda b: bytes(len(b))),
  refused(WORDS),
)
add(
  "zero_tail",
  "zeros behind a packed file, as disks pad them",
  _written(lambda b: b + bytes(512)),
  read_or(told(WORDS)),
)
add(
  "garbage_tail",
  "other bytes behind a packed file",
  _written(lambda b: b + b"garbage" * 9),
  read_or(told(WORDS)),
)
add(
  "more_voxels",
  "more bytes than the voxels need",
  _repacked(lambda b: b + b"x" * 999),
  read_or(told(WORDS)),
)
add(
  "gz_members",
  "a .nii.gz of two packed parts",
  lambda w: w.image.write_bytes(
    gzip.compress(unpacked(w)[:5000]) + gzip.compress(unpacked(w)[5000:])
  ),
  read,
)
add(
  "gz_twice",
  "packed twice",
  _written(lambda b: gzip.compress(b)),
  refused(WORDS),
)
add(
  "gz_not_packed",
  "a .nii.gz that is not packed",
  lambda w: w.image.write_bytes(unpacked(w)),
  read_or(told(WORDS)),
)
add(
  "nii_packed",
  "a .nii that is packed",
  lambda w: (
    lambda packed: (w.rename_image("p2_T2w.nii"), w.image.write_bytes(packed))
  )(w.image.read_bytes()),
  read_or(told(WORDS)),
)
add(
  "zlib",
  "packed without gzip's head (zlib)",
  lambda w: w.image.write_bytes(zlib.compress(unpacked(w))),
  refused(WORDS),
)
add("text", "a text", _written(lambda b: b"not an image\n"), refused(WORDS))
add(
  "html",
  "the page of a download that failed",
  _written(lambda b: b"<!DOCTYPE html><html><title>404</title></html>"),
  refused(WORDS),
)
add(
  "random",
  "random bytes",
  _written(lambda b: np.random.default_rng(0).bytes(3000)),
  refused(WORDS),
)
_LFS = (
  b"version https://git-lfs.github.com/spec/v1\n"
  b"oid sha256:" + b"0" * 64 + b"\nsize 123456\n"
)
add(
  "lfs", "a pointer of Git LFS", _written(lambda b: _LFS), refused("fetch|LFS")
)
add(
  "annex",
  "a pointer of git-annex",
  _written(lambda b: b"/annex/objects/SHA256E-s123--0.nii.gz\n"),
  refused("fetch|annex"),
  report="datalad-handbook/book#562",
)


def _zipped(w):
  content = io.BytesIO()
  with zipfile.ZipFile(content, "w") as file:
    file.writestr("p2_T2w.nii", unpacked(w))
  w.image.write_bytes(content.getvalue())


def _mgh(w):
  image = nib.MGHImage(picture(2).astype(np.int32), affine_of())
  w.image.write_bytes(gzip.compress(image.to_bytes()))


def _dicom(w):
  w.image.write_bytes(bytes(128) + b"DICM" + bytes(2000))


def _nrrd(w):
  w.image.write_bytes(b"NRRD0004\ntype: short\ndimension: 3\n\n" + bytes(99))


add("zip", "a zip named .nii.gz", _zipped, refused(WORDS))
add("mgh", "FreeSurfer's format named .nii.gz", _mgh, refused(WORDS))
add("dicom", "DICOM named .nii.gz", _dicom, refused(WORDS))
add("nrrd", "NRRD named .nii.gz", _nrrd, refused(WORDS))
