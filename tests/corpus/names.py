"""Names, links and folders: a patient must never vanish."""

import os
import shutil

from corpus.entry import (
  Family,
  flagged,
  left_out,
  named,
  read,
  read_or,
  refused,
  told,
)
from corpus.world import affine_of, drawing, write_image

TREE = Family("tree", kind="tree")
FOLDER = Family("folder", kind="folder", commands=("predict",))


def rename_patients(w, identifiers):
  """Renames the patients of a tree."""
  for old, new in zip(("p1", "p2", "p3"), identifiers, strict=True):
    for top in (w.data, w.data / "derivatives/manual_masks"):
      for path in (top / f"sub-{old}/anat").iterdir():
        name = path.name.replace(f"sub-{old}", f"sub-{new}")
        path.rename(path.with_name(name))
      (top / f"sub-{old}").rename(top / f"sub-{new}")
  w.target, w.others = identifiers[1], [identifiers[0], identifiers[2]]
  w.image, w.mask = w.image_path(w.target), w.mask_path(w.target)


def _whole(w, path=None):
  """All that is asked for is bad."""
  w.culprit, w.whole = path or w.data, True


def _renamed(name):
  return lambda w: w.rename_image(name)


def _masks_too(w):
  w.mask = w.mask.rename(w.mask.with_name("sub-p2_dseg.NII.GZ"))
  w.rename_image("sub-p2_T2w.NII.GZ")


def _dangling(w, path=None):
  path = path or w.image
  path.unlink()
  path.symlink_to(f"../../../.git/annex/objects/xx/{path.name}")


def _linked(path):
  store = path.parents[2] / f"store_{path.name}.bin"
  path.rename(store)
  path.symlink_to(store)


# --------------------------------------------------------------------- tree

add = TREE.add
add(
  "upper_case",
  "an image and a mask ending in .NII.GZ",
  _masks_too,
  read,
  report="bids-standard/bids-validator#47, dandi/dandi-cli#1911",
)
add(
  "mixed_case",
  "an image ending in .Nii.gz",
  _renamed("sub-p2_T2w.Nii.gz"),
  read,
)
add(
  "dangling",
  "a link whose content is not fetched (git-annex)",
  _dangling,
  refused("fetch"),
  report="datalad-handbook/book#562",
)
add(
  "dangling_mask",
  "a mask whose content is not fetched",
  lambda w: (_dangling(w, w.mask), setattr(w, "culprit", w.mask)),
  refused("fetch"),
  predict=None,
)
add(
  "link",
  "an image and a mask that are links",
  lambda w: (_linked(w.image), _linked(w.mask)),
  read,
)


def _folder_link(w):
  folder = w.image.parents[1]
  store = w.folder / "elsewhere"
  shutil.move(folder, store)
  folder.symlink_to(store, target_is_directory=True)


add("folder_link", "a patient's folder that is a link", _folder_link, read)


def _folder_dangling(w):
  folder = w.image.parents[1]
  shutil.rmtree(folder)
  folder.symlink_to(w.folder / "gone", target_is_directory=True)
  w.culprit = folder


add(
  "folder_dangling",
  "a patient's folder that is a dangling link",
  _folder_dangling,
  refused("sub-p2"),
)


def _loop(w):
  (w.image.parent / "loop").symlink_to(w.data, target_is_directory=True)
  (w.data / "again").symlink_to(w.data, target_is_directory=True)


add("loop", "folders that link to themselves", _loop, read)
add(
  "self_link",
  "an image that is a link to itself",
  lambda w: (w.image.unlink(), w.image.symlink_to(w.image)),
  refused("sub-p2"),
)


def _vanishing(w):
  """The target's image is gone, its folder stays."""
  w.image.unlink()
  w.compare, w.culprit = False, None


add(
  "no_image",
  "a patient's folder without any image",
  _vanishing,
  left_out("sub-p2"),
)
add(
  "empty_folder",
  "an empty folder of a patient",
  lambda w: (w.data / "sub-p4").mkdir(),
  named("sub-p4"),
)
add(
  "other_channel",
  "a patient with T1w alone, for a run that takes T2w",
  lambda w: w.rename_image("sub-p2_T1w.nii.gz"),
  left_out("sub-p2"),
)
add(
  "wrong_folder",
  "an image that lies in another patient's folder",
  lambda w: w.image.rename(w.image_path("p1").with_name("sub-p2_T2w.nii.gz")),
  refused("sub-p2"),
)
add(
  "folder_case",
  "a patient's folder called Sub-p4",
  lambda w: shutil.copytree(w.data / "sub-p2", w.data / "Sub-p4"),
  named("Sub-p4"),
)
add(
  "loose_image",
  "an image that lies beside the patients' folders",
  lambda w: shutil.copy(w.image, w.data / "extra_T2w.nii.gz"),
  named("extra_T2w"),
)
add(
  "no_anat",
  "an image that does not lie in anat",
  lambda w: shutil.copytree(w.image.parent, w.data / "sub-p4/func"),
  named("sub-p4"),
)


def _double(w):
  raw = w.image.read_bytes()
  twin = w.image.with_name("sub-p2_T2w.nii")
  import gzip

  twin.write_bytes(gzip.decompress(raw))


add(
  "double",
  "an image as .nii and as .nii.gz",
  _double,
  named(r"sub-p2_T2w\.nii"),
)
add(
  "double_run",
  "two runs of one image, one mask",
  lambda w: shutil.copy(w.image, w.image.with_name("sub-p2_run-2_T2w.nii.gz")),
  named("run-2"),
  training=named("run-2|mask"),
)
add(
  "resource_fork",
  "a resource fork of macOS (._sub-p2_T2w.nii.gz)",
  lambda w: w.image.with_name("._sub-p2_T2w.nii.gz").write_bytes(bytes(99)),
  read_or(named(r"\._sub")),
)
add(
  "ds_store",
  "a .DS_Store and a Thumbs.db",
  lambda w: [
    w.image.with_name(n).write_bytes(bytes(9))
    for n in (".DS_Store", "Thumbs.db")
  ],
  read,
)


def _brackets(w):
  place = w.folder / "data [old] *?"
  w.data = w.data.rename(place)
  w.input = place
  w.image, w.mask = w.image_path("p2"), w.mask_path("p2")
  w.culprit = None


add("root_glob", "a data set's folder called 'data [old] *?'", _brackets, read)


def _case_twin(w):
  for top in (w.data, w.data / "derivatives/manual_masks"):
    for path in (top / "sub-p2/anat").iterdir():
      new = top / "sub-P2/anat" / path.name.replace("sub-p2", "sub-P2")
      new.parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(path, new)
  w.culprit = None
  w.others = ["p1", "p3"]


add(
  "case_twin",
  "two patients equal up to case: sub-p2 and sub-P2",
  _case_twin,
  flagged("sub-P2"),
  predict=refused("sub-P2"),
)
add(
  "mask_folder",
  "config.data.masks is misspelt",
  lambda w: (
    w.fields.update({"data.masks": "manual_mask"}),
    setattr(w, "compare", False),
    setattr(w, "culprit", None),
  ),
  flagged("manual_mask"),
  training=refused(r"data\.masks"),
  predict=None,
)
add(
  "root_gone",
  "a root that is not there",
  lambda w: (shutil.move(w.data, w.folder / "x"), _whole(w)),
  refused("folder"),
)
add(
  "root_empty",
  "an empty root",
  lambda w: (shutil.rmtree(w.data), w.data.mkdir(), _whole(w)),
  refused("no|empty"),
)


def _bytes_name(w):
  place = os.fsencode(w.image.parent) + b"/sub-p2_acq-M\xfcller_T2w.nii.gz"
  os.rename(w.image, place)
  w.culprit = None


add(
  "latin1_name",
  "a name with a byte that is not UTF-8",
  _bytes_name,
  read_or(told("sub-p2")),
  report="rsnitsch/py3createtorrent#33",
)
add(
  "accent",
  "a name with an accent",
  lambda w: w.rename_image("sub-p2_acq-M\u00fcller_T2w.nii.gz"),
  read,
)

# ------------------------------------------------------------------- folder

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
  _dangling,
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
  _whole(w)


add("empty", "an empty folder", _emptied, refused("empty|no"))
add(
  "gone",
  "a folder that is not there",
  lambda w: (shutil.rmtree(w.data), _whole(w)),
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
    _whole(w, w.data / "a.txt"),
  ),
  refused("NIfTI|column"),
)
