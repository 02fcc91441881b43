"""Names in a folder of images: none may vanish."""

import os
import shutil

from corpus.entry import (
  Family,
  flagged,
  named,
  read,
  read_or,
  refused,
  told,
)
from corpus.names import dangling, whole
from corpus.world import affine_of, drawing, write_image

FOLDER = Family("folder", kind="folder", commands=("predict",))
add = FOLDER.add


def _called(stem, ending="_T2w.nii.gz"):
  """Returns an entry whose target has another name."""

  def make(w):
    w.rename_image(stem + ending)
    w.target = stem

  return make


add(
  "upper_case", "an image ending in .NII.GZ", _called("p2", "_T2w.NII.GZ"), read
)
add(
  "lower_suffix",
  "an image ending in _t2w.nii.gz",
  _called("p2", "_t2w.nii.gz"),
  read,
)
add(
  "no_suffix",
  "an image without _T2w in its name",
  _called("p2", ".nii.gz"),
  read,
)
_WINDOWS = read_or(flagged("Windows"))
add("spaces", "a name with spaces", _called("p 2 (copy)"), read)
add("percent", "a name with %s and {0}", _called("p2%s{0}"), read)
add("glob", "a name with [1] and *", _called("p[1]*2"), _WINDOWS)
add(
  "script",
  "a name with <script>",
  _called("<script>alert(1)<script>"),
  _WINDOWS,
)
add("quote", "a name with quotes and &", _called("p2'\"&"), _WINDOWS)


def _renamed_safely(stem, safe):
  """Returns an entry whose results cannot be called like its image."""

  def make(w):
    _called(stem)(w)
    w.target = safe

  return make


add(
  "newline",
  "a name with a newline",
  _renamed_safely("p\n2", "px0a2"),
  flagged("results are called px0a2"),
)
add(
  "tab",
  "a name with a tab",
  _renamed_safely("p\t2", "px092"),
  flagged("results are called px092"),
)
add("dash", "a name that begins with a dash", _called("-p2"), read)
add("formula", "a name that begins with =", _called("=1+1"), read)
add("dot", "a name that begins with a dot", _called(".p2"), named(r"\.p2"))
add(
  "resource_fork",
  "a resource fork of macOS (._p2_T2w.nii.gz)",
  lambda w: w.image.with_name("._p2_T2w.nii.gz").write_bytes(bytes(99)),
  read_or(named(r"\._p2")),
)
add(
  "long",
  "a name of 250 characters",
  lambda w: (_called("p" * 239)(w), setattr(w, "culprit", None)),
  read_or(told("long")),
)
add("unicode", "a name in Chinese", _called("\u811a\u690e2"), read)
add(
  "decomposed",
  "a name with a decomposed accent (macOS)",
  _called("Mu\u0308ller"),
  read,
)


def _latin1(w):
  place = os.fsencode(w.data) + b"/m_M\xfcller_T2w.nii.gz"
  os.rename(w.image, place)
  w.target = "m_Mxfcller"
  w.culprit = None


add(
  "latin1_name",
  "a name with a byte that is not UTF-8",
  _latin1,
  flagged("results are called m_Mxfcller"),
  report="rsnitsch/py3createtorrent#33",
)


def _mask_beside(*names):
  def make(w):
    for name in names:
      write_image(w.data / f"{name}.nii.gz", drawing(), affine_of())

  return make


_MASKS = "spinalcordtoolbox#4592"
for _name in (
  "p2_T2w_seg-manual",
  "mask_case1",
  "p2_T2w_labels-disc",
  "p2_label",
  "p2_dseg",
  "p2_T2w_seg",
  "Mask-p2",
):
  add(
    f"beside_{_name}",
    f"a mask called {_name} among the images",
    _mask_beside(_name),
    named(_name),
    report=_MASKS,
  )
add(
  "double",
  "an image as .nii and as .nii.gz",
  lambda w: w.data.joinpath("p2_T2w.nii").write_bytes(b"x"),
  told(r"p2_T2w\.nii"),
)
add(
  "folder_like_image",
  "a folder called p4_T2w.nii.gz",
  lambda w: (w.data / "p4_T2w.nii.gz").mkdir(),
  named("p4_T2w"),
)
add(
  "subfolder",
  "an image in a folder below",
  lambda w: (
    (w.data / "more").mkdir(),
    shutil.copy(w.image, w.data / "more/p4_T2w.nii.gz"),
  ),
  named("p4|more"),
)
for _ending in (".mha", ".nrrd", ".nii.bz2", ".nii.zip", ".dcm", ".mgz"):
  add(
    f"other{_ending}",
    f"an image ending in {_ending} among the others",
    lambda w, e=_ending: (w.data / f"p4_T2w{e}").write_bytes(bytes(99)),
    named("p4_T2w"),
  )
add(
  "other_channel",
  "a T1w image, for a run that takes T2w",
  lambda w: shutil.copy(w.image, w.data / "p4_T1w.nii.gz"),
  named("p4_T1w"),
)
add(
  "dangling",
  "a link whose content is not fetched",
  dangling,
  refused("fetch"),
  report="datalad-handbook/book#562",
)
add(
  "self_link",
  "a link to itself",
  lambda w: (w.image.unlink(), w.image.symlink_to(w.image)),
  refused("p2_T2w"),
)
add(
  "pipe",
  "a pipe called p4_T2w.nii.gz",
  lambda w: os.mkfifo(w.data / "p4_T2w.nii.gz"),
  named("p4_T2w"),
)
add(
  "device",
  "a link to /dev/zero called p4_T2w.nii.gz",
  lambda w: (w.data / "p4_T2w.nii.gz").symlink_to("/dev/zero"),
  named("p4_T2w"),
)


def _twin(w):
  shutil.copy(w.image, w.data / "P2_T2w.nii.gz")
  w.culprit = None


add(
  "case_twin",
  "two images equal up to case: p2_T2w and P2_T2w",
  _twin,
  told("P2"),
)


def _emptied(w):
  for path in w.data.iterdir():
    path.unlink()
  whole(w)


add("empty", "an empty folder", _emptied, refused("empty|no"))
add(
  "gone",
  "a folder that is not there",
  lambda w: (shutil.rmtree(w.data), whole(w)),
  refused("no such"),
)


def _only(name, content):
  def make(w):
    _emptied(w)
    (w.data / name).write_bytes(content)

  return make


add(
  "dicom_only",
  "a folder of DICOM",
  _only("IM0001.dcm", bytes(128) + b"DICM"),
  refused("DICOM"),
)
add(
  "text_input",
  "a text as --input",
  lambda w: (
    w.data.joinpath("a.txt").write_text("x"),
    setattr(w, "input", w.data / "a.txt"),
    whole(w, w.data / "a.txt"),
  ),
  refused("NIfTI|column"),
)
