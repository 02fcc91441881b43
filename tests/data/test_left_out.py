"""Found and left out together are what lies in a data set."""

import os

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config, files
from lumbar_jax.data.sources import alike, scan
from lumbar_jax.inference.inputs import find_inputs


def _image(path, value=1):
  path.parent.mkdir(parents=True, exist_ok=True)
  array = np.full((2, 3, 4), value, np.uint8)
  nib.save(nib.Nifti1Image(array, np.eye(4)), path)
  return path


def _settings(root, **fields):
  data = config.default().data
  data.update({"root": str(root), "channels": ("T2w",), **fields})
  return data


def _tree(root, numbers=(1, 2)):
  for number in numbers:
    name = f"sub-00{number}"
    _image(root / name / "anat" / f"{name}_T2w.nii.gz")
    masks = root / "derivatives" / "manual_masks" / name / "anat"
    _image(masks / f"{name}_dseg.nii.gz")
  rows = "".join(f"sub-00{number}\tF\tGE\n" for number in numbers)
  table = "participant_id\tsex\tmanufacturer\n" + rows
  (root / "participants.tsv").write_text(table)
  dseg = root / "derivatives" / "manual_masks" / "dseg.tsv"
  dseg.write_text("index\tname\n0\tBackground\n1\tVert\n")
  return root


def _said(found):
  return "\n".join(f"{f.severity}: {f.problem}" for f in found.findings)


def test_a_plain_tree_leaves_nothing_out(tmp_path):
  found = scan(_settings(_tree(tmp_path)))
  assert (len(found.studies), found.findings) == (2, ())


@pytest.mark.parametrize(
  ("name", "said"),
  [
    ("sub-003/anat/._sub-003_T2w.nii.gz", "info: left out 1 file (hidden"),
    ("sub-003/anat/sub-003_FLAIR.nii.gz", "suffix 'FLAIR', not T2w"),
    ("sub-003/anat/sub-003_t2w.nii.gz", "its suffix is 't2w'"),
    ("sub-003/anat/sub-003_T2w_seg.nii.gz", "masks by their names"),
    ("sub-003/anat/scan.nii", "its name is none of BIDS"),
    ("sub-003/sub-003_T2w.nii.gz", "not in sub-X"),
    ("sub-003/ses-1/mri/anat/sub-003_ses-1_T2w.nii.gz", "not in sub-X"),
    ("Sub-003/anat/Sub-003_T2w.nii.gz", "warning: left out 1 file (not below"),
    ("sub-003/anat/sub-003_T2w.mgz", "no NIfTI (FreeSurfer)"),
    ("sub-003/anat/series.dcm", "no NIfTI (DICOM)"),
    ("sourcedata/sub-003/anat/sub-003_T2w.nii.gz", "below sourcedata"),
  ],
)
def test_every_image_of_a_tree_is_accounted_for(tmp_path, name, said):
  path = _tree(tmp_path) / name
  if path.suffix in (".nii", ".gz"):
    _image(path)
  else:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0")
  found = scan(_settings(tmp_path))
  assert len(found.studies) == 2
  assert said in _said(found)
  without = "warning: 1 patients without an image to use: sub-003"
  assert (without in _said(found)) == name.startswith("sub-003")
  predicted = find_inputs(tmp_path, ("T2w",))
  assert len(predicted.studies) == 2
  assert said in _said(predicted)


@pytest.mark.parametrize("ending", [".NII.GZ", ".Nii", ".img"])
def test_other_endings_are_found_alike(tmp_path, ending):
  folder = _tree(tmp_path) / "sub-003" / "anat"
  folder.mkdir(parents=True)
  kind = nib.Nifti1Pair if ending == ".img" else nib.Nifti1Image
  image = kind(np.ones((2, 3, 4), np.uint8), np.eye(4))
  plain = tmp_path / f"x{ending.lower()}"
  nib.save(image, plain)
  os.rename(plain, folder / f"sub-003_T2w{ending}")
  if ending == ".img":
    os.rename(tmp_path / "x.hdr", folder / "sub-003_T2w.hdr")
  for found in (scan(_settings(tmp_path)), find_inputs(tmp_path, ("T2w",))):
    paths = [study.images["T2w"].name for study in found.studies]
    assert paths[2] == f"sub-003_T2w{ending}"
    others = _said(found).replace("left out 2 files (derivatives", "")
    assert "left out" not in others
  assert len(find_inputs(folder, ("T2w",)).studies) == 1


def test_content_that_is_not_here_is_an_error_everywhere(tmp_path):
  _tree(tmp_path)
  path = tmp_path / "sub-002" / "anat" / "sub-002_T2w.nii.gz"
  path.unlink()
  path.symlink_to("../../.git/annex/objects/x.nii.gz")
  (tmp_path / "sub-009").symlink_to(tmp_path / "gone")
  for found in (
    scan(_settings(tmp_path)),
    find_inputs(tmp_path, ("T2w",)),
  ):
    assert [study.name for study in found.studies] == ["sub-001"]
    errors = [f for f in found.findings if f.severity == "error"]
    assert {f.study for f in errors} == {"sub-002", "sub-009"}
  found = find_inputs(path.parent, ("T2w",))
  assert [f.study for f in found.findings] == ["sub-002"]


def test_linked_folders_are_read_alike(tmp_path):
  _tree(tmp_path / "store", (1, 2))
  root = tmp_path / "tree"
  root.mkdir()
  for name in ("sub-001", "sub-002", "derivatives", "participants.tsv"):
    (root / name).symlink_to(tmp_path / "store" / name)
  found = scan(_settings(root))
  assert all(study.mask for study in found.studies)
  assert (len(found.studies), found.findings) == (2, ())
  assert len(find_inputs(root, ("T2w",)).studies) == 2


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
  _tree(tmp_path)
  closed, scandir = str(tmp_path / "sub-002"), files.os.scandir

  def refuse(path):
    if os.fspath(path) == closed:
      raise PermissionError(13, "Permission denied", closed)
    return scandir(path)

  monkeypatch.setattr(files.os, "scandir", refuse)
  found = scan(_settings(tmp_path))
  (error,) = [f for f in found.findings if f.severity == "error"]
  assert (error.study, error.path) == ("sub-002", tmp_path / "sub-002")


def test_a_folder_of_files(tmp_path):
  names = ("a_T2w.nii.gz", "A_T2w.NII", "a_T1w.nii", "a_T2w_seg.nii.gz")
  for name in (*names, "deep/b_T2w.nii", "c_T2w.nii", "c_T2w.nii.gz"):
    path = tmp_path / name
    os.rename(_image(tmp_path / "deep" / "x.nii"), path)
  (tmp_path / "c_T2w.nii.gz").rename(tmp_path / "c_T2w.NII.gz")
  (tmp_path / "d_T2w.nii").write_text("/annex/objects/MD5--0.nii\n")
  (tmp_path / "scan.nrrd").touch()
  (tmp_path / os.fsdecode(b"m\xfc_T2w.nii")).write_bytes(b"0")
  found = find_inputs(tmp_path, ("T2w",))
  assert [s.name for s in found.studies] == ["A", "a", "c", "mxfc"]
  said = _said(found)
  for part in (
    "error: its content is not here",
    "error: the same study and channel as c_T2w.NII.gz",
    "masks by their names): a_T2w_seg.nii.gz",
    "in a folder of their own): deep/b_T2w.nii",
    "channel T1w): a_T1w.nii",
    "NRRD)): scan.nrrd",
  ):
    assert part in said


def _participants(root, *rows):
  text = "participant_id\tsex\tmanufacturer\n" + "\n".join(rows) + "\n"
  (root / "participants.tsv").write_text(text)
  found = scan(_settings(root))
  sexes = [study.metadata["participant"].get("sex") for study in found.studies]
  return sexes, _said(found)


def test_identifiers_that_lost_their_zeros(tmp_path):
  _tree(tmp_path)
  sexes, said = _participants(tmp_path, "1\tF\tGE", "SUB-2\tM\tGE")
  assert sexes == ["F", "M"]
  assert "sub-1 for sub-001, sub-2 for sub-002" in said
  sexes, said = _participants(tmp_path, "1\tF\tGE", "01\tM\tGE", "002\tM\tGE")
  assert sexes == [None, "M"]  # which of them is sub-001 cannot be known
  assert "2 rows match no folder: sub-01, sub-1" in said
  assert "1 folders have no row: sub-001" in said


def test_the_challenges_folders_are_accounted_for(tmp_path):
  for number in (1, 2):
    _image(tmp_path / "train" / "MR" / f"Case{number}.NII.GZ".lower(), number)
    _image(tmp_path / "train" / "Mask" / f"mask_case{number}.nii.gz")
  _image(tmp_path / "train" / "Case3.nii.gz")
  (tmp_path / "train" / "MR" / "Case4.nii.gz").symlink_to("gone")
  found = scan(_settings(tmp_path, source="mrspineseg"))
  assert [study.name for study in found.studies] == ["Case1", "Case2"]
  assert "(neither in MR nor in Mask): train/Case3.nii.gz" in _said(found)
  (error,) = [f for f in found.findings if f.severity == "error"]
  assert (error.study, error.path.name) == ("Case4", "Case4.nii.gz")


def test_copies_under_two_patients_are_a_leak(tmp_path):
  _tree(tmp_path)
  studies = scan(_settings(tmp_path)).studies
  (finding,) = alike.copies(studies)
  assert (finding.severity, "sub-001 and sub-002" in finding.problem) == (
    "warning",
    True,
  )
  _image(tmp_path / "sub-001" / "anat" / "sub-001_T2w.nii.gz", 2)
  assert alike.copies(studies) == []


@pytest.mark.parametrize(
  ("link", "study"),
  [
    ("sub-9", "sub-9"),
    ("sub-9/ses-01", "sub-9_ses-01"),
    ("derivatives/manual_masks/sub-9", "sub-9"),
    ("derivatives/manual_masks/sub-9/ses-01", "sub-9_ses-01"),
  ],
)
def test_folders_that_are_links_to_nothing_are_errors(tmp_path, link, study):
  path = _tree(tmp_path) / link
  path.parent.mkdir(parents=True, exist_ok=True)
  path.symlink_to("/nowhere/at/all")
  findings = scan(_settings(tmp_path)).findings
  told = [(f.severity, f.study) for f in findings if f.path == path]
  assert told == [("error", study)]
  assert not any("links to nothing" in f.problem for f in findings)
  masks = "derivatives" in link  # which prediction does not need
  found = find_inputs(tmp_path, ("T2w",)).findings
  failed = [f.study for f in found if f.severity == "error"]
  assert failed == ([] if masks else [study])
