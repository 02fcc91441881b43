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

TREE = Family("tree", kind="tree")


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


def whole(w, path=None):
  """All that is asked for is bad."""
  w.culprit, w.whole = path or w.data, True


def _renamed(name):
  return lambda w: w.rename_image(name)


def _masks_too(w):
  w.mask = w.mask.rename(w.mask.with_name("sub-p2_dseg.NII.GZ"))
  w.rename_image("sub-p2_T2w.NII.GZ")


def dangling(w, path=None):
  path = path or w.image
  path.unlink()
  path.symlink_to(f"../../../.git/annex/objects/xx/{path.name}")


def _linked(path):
  store = path.parents[2] / ".store" / f"{path.name}.bin"
  store.parent.mkdir(exist_ok=True)
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
  dangling,
  refused("fetch"),
  report="datalad-handbook/book#562",
)
add(
  "dangling_mask",
  "a mask whose content is not fetched",
  lambda w: (dangling(w, w.mask), setattr(w, "culprit", w.mask)),
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
  predict=told("sub-P2"),  # which of them, the disk decides
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
  lambda w: (shutil.move(w.data, w.folder / "x"), whole(w)),
  refused("folder"),
)
add(
  "root_empty",
  "an empty root",
  lambda w: (shutil.rmtree(w.data), w.data.mkdir(), whole(w)),
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
