"""A second channel (T1w): missing, damaged, or elsewhere."""

import numpy as np

from corpus.entry import Family, flagged, read, read_or, refused, told
from corpus.world import PATIENTS, affine_of, picture, write_image

CHANNELS = Family("second channel")
add = CHANNELS.add


def _path(w, patient="p2"):
  return w.data / f"{patient}_T1w.nii.gz"


def _two(change=lambda w: None):
  """Returns an entry whose run takes T2w and T1w; `change` spoils a T1w."""

  def make(w):
    rows = w.rows()
    for row, cell in zip(rows, ("T1w", *PATIENTS), strict=True):
      row.append(cell if cell == "T1w" else f"{cell}_T1w.nii.gz")
    w.write_table(rows)
    for number, patient in enumerate(PATIENTS, start=5):
      write_image(_path(w, patient), picture(number), affine_of())
    w.fields["data.channels"] = ("T2w", "T1w")
    w.make_run()
    w.culprit = _path(w)
    change(w)

  return make


def _stored(array=None, affine=None, **options):
  """Returns a change that stores the T1w anew."""

  def change(w):
    kept = picture(6) if array is None else array
    grid = affine_of() if affine is None else affine
    write_image(_path(w), kept, grid, **options)

  return change


def _moved(mm):
  affine = affine_of()
  affine[2, 3] += mm
  return affine


def _gone(w):
  _path(w).unlink()


def _not_named(w):
  text = w.table.read_text().replace("\tp2_T1w.nii.gz", "\t")
  w.table.write_text(text)
  w.culprit = None


def _cut(w):
  _path(w).write_bytes(_path(w).read_bytes()[:-20])


_CODES_0 = {"sform_code": 0, "qform_code": 0}
add("good", "nothing wrong", _two(), read)
add("not_named", "a study without T1w", _two(_not_named), refused("T1w"))
add("gone", "a T1w that is not there", _two(_gone), refused("no file|no such"))
add("cut", "a T1w cut short", _two(_cut), refused("voxels|damaged"))
add(
  "4d",
  "a T1w of two volumes",
  _two(_stored(np.stack([picture(6)] * 2, -1))),
  refused("4-D"),
)
add(
  "nan",
  "a T1w with NaN",
  _two(_stored(np.where(picture(6) > 500, np.nan, picture(6)))),
  refused("NaN"),
)
add(
  "constant",
  "a T1w of one value",
  _two(_stored(np.full((8, 40, 40), 3, np.int16))),
  refused("constant|voxels are"),
)
add(
  "codes_0",
  "a T1w whose header tells no orientation",
  _two(_stored(raw=_CODES_0)),
  refused("assume_orientation"),
)
add(
  "finer",
  "a T1w of half the distance of rows and columns",
  _two(_stored(picture(6, (8, 80, 80)), affine_of((4.0, 0.5, 0.5)))),
  read_or(flagged("covers|T1w")),
)
add(
  "beside",
  "a T1w 300 mm beside the T2w",
  _two(_stored(affine=_moved(300))),
  told("T1w|field of view"),
  doctor=read_or(told("T1w|field of view")),
)
add(
  "partly",
  "a T1w that covers half of the T2w",
  _two(_stored(affine=_moved(20))),
  flagged("covers"),
  doctor=read_or(flagged("covers")),
)
add(
  "same",
  "a T1w that is the T2w's file",
  _two(lambda w: _path(w).write_bytes(w.image.read_bytes())),
  read_or(told("same|alike|T1w")),
)
