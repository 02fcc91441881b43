"""What --input=PATH means, for runs of one and of two channels."""

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax.data.sources.found import ERROR
from lumbar_jax.errors import InputError
from lumbar_jax.inference.inputs import find_inputs, require_channels

ONE, TWO = ("T2w",), ("T2w", "T1w")


def touch(root, *names):
  """Writes tiny NIfTI files and returns their paths."""
  paths = []
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4)), path)
    paths.append(path)
  return paths


def listing(path, channels):
  """Returns {study: {channel: path below `path`'s folder}}, no errors."""
  found = find_inputs(path, channels)
  assert [f for f in found.findings if f.severity == ERROR] == []
  assert all(study.mask is None for study in found.studies)
  return {study.name: dict(study.images) for study in found.studies}


@pytest.fixture
def tree(tmp_path):
  """A MIDS tree: two patients, one with two sessions, and masks."""
  touch(
    tmp_path,
    *(
      f"sub-01/ses-{session}/mim-mr/anat/sub-01_ses-{session}_{channel}.nii.gz"
      for session in "ab"
      for channel in TWO
    ),
    "sub-02/anat/sub-02_T2w.nii",
    "sub-02/anat/sub-02_T1w.nii",
    "derivatives/manual_masks/sub-02/anat/sub-02_dseg.nii.gz",
  )
  return tmp_path


def test_a_single_file_of_any_name_is_the_one_channel(tmp_path):
  (path,) = touch(tmp_path, "back pain.nii.gz")
  assert listing(path, ONE) == {"back pain": {"T2w": path}}
  (path,) = touch(tmp_path, "x_T1w.nii")
  with pytest.raises(InputError, match=r"x_T1w\.nii: its name says T1w"):
    find_inputs(path, ONE)


@pytest.mark.parametrize("given", [0, 1])
def test_a_single_file_finds_its_partner(tmp_path, given):
  paths = touch(tmp_path, "p1_T2w.nii.gz", "p1_T1w.nii", "p2_T1w.nii.gz")
  assert listing(paths[given], TWO) == {
    "p1": {"T2w": paths[0], "T1w": paths[1]}
  }


def test_partners_may_differ_in_bids_entities(tmp_path):
  names = "sub-1_acq-sag_T2w.nii.gz", "sub-1_run-2_T1w.nii.gz"
  t2w, t1w = touch(tmp_path, *names)
  touch(tmp_path, "sub-2_T1w.nii.gz")
  assert listing(t2w, TWO) == {"sub-1": {"T2w": t2w, "T1w": t1w}}
  touch(tmp_path, "sub-1_run-3_T1w.nii.gz")  # now it is not clear which
  with pytest.raises(InputError, match="T2w without T1w"):
    find_inputs(t2w, TWO)


def test_a_missing_partner_is_named_with_the_remedy(tmp_path):
  (path,) = touch(tmp_path, "p1_T2w.nii.gz")
  with pytest.raises(InputError, match=r"p1: T2w without T1w.*put its T1w"):
    find_inputs(path, TWO)
  (path,) = touch(tmp_path, "p1.nii.gz")
  with pytest.raises(InputError, match="says no channel"):
    find_inputs(path, TWO)


def test_a_tree_gives_all_its_studies_and_no_masks(tree):
  (tree / "participants.tsv").write_text("broken\n")  # no matter here
  found = listing(tree, TWO)
  assert list(found) == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
  anat = tree / "sub-02/anat"
  assert found["sub-02"] == {
    "T2w": anat / "sub-02_T2w.nii",
    "T1w": anat / "sub-02_T1w.nii",
  }


@pytest.mark.parametrize(
  ("part", "names"),
  [
    ("sub-01", ["sub-01_ses-a", "sub-01_ses-b"]),
    ("sub-01/ses-b", ["sub-01_ses-b"]),
    ("sub-01/ses-b/mim-mr", ["sub-01_ses-b"]),
    ("sub-01/ses-a/mim-mr/anat", ["sub-01_ses-a"]),
    ("sub-02/anat", ["sub-02"]),
  ],
)
def test_parts_of_a_tree(tree, part, names, monkeypatch):
  assert list(listing(tree / part, ONE)) == names
  monkeypatch.chdir(tree / part)
  assert list(listing(".", TWO)) == names


def test_a_tree_below_a_folder_named_like_a_patient(tmp_path):
  root = tmp_path / "sub-project"
  touch(root, "sub-9/anat/sub-9_T2w.nii.gz")
  assert list(listing(root, ONE)) == ["sub-9"]


def test_errors_of_a_tree_come_beside_its_good_studies(tree):
  touch(tree, "sub-03/anat/sub-04_T2w.nii.gz")
  found = find_inputs(tree, ONE)
  assert len(found.studies) == 3
  (error,) = [f for f in found.findings if f.severity == ERROR]
  assert "sub-03" in error.problem
  # It is none of another patient's business.
  assert listing(tree / "sub-02", ONE)


def test_a_plain_folder_of_one_channel(tmp_path):
  touch(tmp_path, "b.nii.gz", "a_T2w.nii", "a_T1w.nii", "a_dseg.nii.gz")
  (tmp_path / "notes.txt").write_text("no image")
  assert listing(tmp_path, ONE) == {
    "a": {"T2w": tmp_path / "a_T2w.nii"},
    "b": {"T2w": tmp_path / "b.nii.gz"},
  }


def test_a_plain_folder_of_pairs(tmp_path):
  touch(tmp_path, "a_T2w.nii", "a_T1w.nii.gz", "b_T2w.nii", "c.nii")
  found = find_inputs(tmp_path, TWO)
  whole, half = found.studies
  assert (whole.name, set(whole.images)) == ("a", {"T2w", "T1w"})
  require_channels(whole, TWO)
  with pytest.raises(InputError, match="study b: T2w without T1w"):
    require_channels(half, TWO)
  (error,) = found.findings
  assert error.path == tmp_path / "c.nii"


def test_twins_in_a_plain_folder_are_not_overwritten(tmp_path):
  touch(tmp_path, "a.nii", "a.nii.gz", "a_T2w.nii")
  found = find_inputs(tmp_path, ONE)
  assert len(found.studies) == 1
  assert [f.severity for f in found.findings] == [ERROR, ERROR]


def test_a_manifest_has_paths_below_its_folder(tmp_path):
  touch(tmp_path, "x/1.nii.gz", "x/2.nii.gz")
  table = tmp_path / "todo.csv"
  table.write_text("patient,T2w,T1w\nP1,x/1.nii.gz,x/2.nii.gz\nP2,no.nii,\n")
  found = find_inputs(table, TWO)
  (study,) = found.studies
  assert study.images["T1w"] == tmp_path / "x/2.nii.gz"
  assert "row 3" in found.findings[0].problem


def test_what_cannot_be_used_is_said(tmp_path):
  with pytest.raises(InputError, match=r"gone: no such file or folder"):
    find_inputs(tmp_path / "gone", ONE)
  with pytest.raises(InputError, match="it is empty"):
    find_inputs(tmp_path, ONE)
  (tmp_path / "deep").mkdir()
  scan = tmp_path / "deep/scan.dcm"
  scan.write_bytes(b"DICM")
  with pytest.raises(InputError, match=r"holds deep/scan\.dcm.*dcm2niix"):
    find_inputs(tmp_path, ONE)
  with pytest.raises(InputError, match="not a NIfTI file and not a table"):
    find_inputs(scan, ONE)


def test_a_manifest_for_prediction_needs_no_masks(tmp_path):
  (path,) = touch(tmp_path, "a.nii.gz")
  table = tmp_path / "studies.tsv"
  table.write_text("patient\tT2w\tmask\np1\ta.nii.gz\tnot-drawn-yet.nii.gz\n")
  assert listing(table, ONE) == {"p1": {"T2w": path}}


@pytest.mark.parametrize(
  ("name", "said"),
  [
    ("link", "NIfTI as it seems"),
    ("q_T2w.nii.gz ", "NIfTI as it seems"),
    ("w_T2w.nii.gz.1", "NIfTI as it seems"),
    ("r_T2w.nii.gz.part", "NIfTI as it seems"),
    ("s_T2w.nii~", "NIfTI as it seems"),
    ("gone.d", "links to nothing"),
    ("t_T2w.niix", None),
    ("notes", None),
    ("u_T2w.nii.gz.md5", None),
  ],
)
def test_files_that_are_nearly_images_do_not_vanish(tmp_path, name, said):
  folder = tmp_path / "folder"
  touch(folder, "a_T2w.nii.gz")
  if name == "link":
    (elsewhere,) = touch(tmp_path, "b_T2w.nii.gz")
    (folder / name).symlink_to(elsewhere)
  elif name == "gone.d":
    (folder / name).symlink_to("/nowhere/at/all")
  else:
    (folder / name).write_text("text")
  found = find_inputs(folder, ONE)
  assert [study.name for study in found.studies] == ["a"]
  told = [f.problem for f in found.findings if name in f.problem]
  assert len(told) == (said is not None)
  assert said is None or said in told[0]
