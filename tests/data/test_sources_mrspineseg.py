"""MRSpineSeg's layout, on a phantom that is written in it."""

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config
from lumbar_jax.anatomy import MRSPINESEG, PHANTOM, SPIDER
from lumbar_jax.data.doctor import examine
from lumbar_jax.data.phantom import simulate
from lumbar_jax.data.phantom.scanner import to_storage
from lumbar_jax.data.prepare import prepare_in_memory
from lumbar_jax.data.sources import find_studies, scan
from lumbar_jax.errors import InputError

# The challenge's numbers: sacrum 1, L5 2 .. T9 10, L5/S 11 .. T9/T10 19.
NUMBERS = {
  "Sacrum": 1,
  **{f"L{level}": 7 - level for level in range(1, 6)},
  **{f"T{level}": 19 - level for level in range(9, 13)},
  **{"L5-S1": 11, "L4-L5": 12, "L3-L4": 13, "L2-L3": 14, "L1-L2": 15},
  **{"T12-L1": 16, "T11-T12": 17, "T10-T11": 18, "T9-T10": 19},
}


def _write(path, array, affine):
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(array, affine), path)


@pytest.fixture(scope="module")
def patients():
  return [simulate("tall_tiny", i, num_slices=(3, 3)) for i in (0, 12)]


@pytest.fixture
def root(tmp_path, patients):
  """Cases 3 and 12 with masks; case 40 of a test folder without."""
  numbers = np.zeros(PHANTOM.num_classes, np.uint8)
  for name, number in NUMBERS.items():
    numbers[PHANTOM.names.index(name)] = number
  for case, patient in zip((3, 12), patients, strict=True):
    image, affine = to_storage(patient.t2w, patient.t2w_affine, "RAS")
    mask, _ = to_storage(numbers[patient.labels], patient.t2w_affine, "RAS")
    _write(tmp_path / f"train/MR/Case{case}.nii.gz", image, affine)
    _write(tmp_path / f"train/Mask/mask_case{case}.nii.gz", mask, affine)
  _write(tmp_path / "test1/MR/Case40.nii.gz", image, affine)
  return tmp_path


def _settings(root, **fields):
  data = config.default().data
  data.update(source="mrspineseg", root=str(root), scheme="mrspineseg")
  data.update(channels=("T2w",), **fields)
  return data


def test_cases_become_studies(root):
  found = find_studies(_settings(root))
  assert [study.name for study in found.studies] == [
    *("Case12", "Case3", "Case40_test1")
  ]
  first = found.studies[0]
  assert first.images == {"T2w": root / "train/MR/Case12.nii.gz"}
  assert first.mask == root / "train/Mask/mask_case12.nii.gz"
  assert [s.mask is None for s in found.studies] == [False, False, True]
  assert found.mask_scheme == MRSPINESEG
  assert not found.findings


def test_the_train_folder_itself_will_do(root):
  found = find_studies(_settings(root / "train"))
  assert [study.name for study in found.studies] == ["Case12", "Case3"]


def test_doctor_has_nothing_to_say_of_it(root):
  found = examine(_settings(root, num_folds=2, test_fraction=0.0), None)
  assert found.ok, [str(f) for f in found.findings]


def test_masks_are_mapped_by_name(root, patients):
  """Into the same classes, and into fewer."""
  found = find_studies(_settings(root))
  study = found.studies[0]
  ours = prepare_in_memory(
    study, _settings(root), MRSPINESEG, found.mask_scheme
  )
  labels = patients[1].labels
  seen = np.unique(ours.native_mask)
  assert {1, 2, 7, 9, 10, 11, 18, 19} <= set(seen.tolist())  # T9, T9/T10 too
  for name in ("Sacrum", "L4", "T9", "L5-S1", "T9-T10"):
    mine = ours.native_mask == MRSPINESEG.names.index(name)
    np.testing.assert_array_equal(mine, labels == PHANTOM.names.index(name))

  data = _settings(root, scheme="spider", remap={"Sacrum": "ignore"})
  coarse = prepare_in_memory(study, data, SPIDER, found.mask_scheme).native_mask
  discs = np.isin(ours.native_mask, range(11, 20))
  np.testing.assert_array_equal(coarse == SPIDER.names.index("Disc"), discs)
  with pytest.raises(InputError, match=r"'Sacrum' .* no counterpart"):
    prepare_in_memory(
      study, _settings(root, scheme="spider"), SPIDER, found.mask_scheme
    )


def test_a_folder_with_nothing_in_it_says_what_was_looked_for(tmp_path):
  (tmp_path / "images").mkdir()
  (tmp_path / "images/a.nii.gz").touch()
  with pytest.raises(InputError, match=r"Case\*.*there is images/a\.nii\.gz"):
    find_studies(_settings(tmp_path))


def test_what_does_not_fit_is_named(root):
  (root / "train/Mask/mask_case3.nii.gz").unlink()
  (root / "train/MR/patient5.nii.gz").touch()
  (root / "train/Mask/mask_case77.nii.gz").touch()
  found = scan(_settings(root))
  said = {f.path.name: f.problem for f in found.findings}
  assert said.keys() == {
    *("Case3.nii.gz", "patient5.nii.gz", "mask_case77.nii.gz")
  }
  assert "no mask of case 3" in said["Case3.nii.gz"]
  assert "not like Case12.nii.gz" in said["patient5.nii.gz"]
  assert "image is missing" in said["mask_case77.nii.gz"]
  (root / "train/MR/case12.nii").touch()
  with pytest.raises(InputError, match="case 12 is there twice"):
    find_studies(_settings(root))


def test_an_unknown_label_names_the_mask(root, patients):
  path = root / "train/Mask/mask_case12.nii.gz"
  image = nib.load(path)
  array = np.asarray(image.dataobj).copy()
  array[0, 0, 0] = 20
  _write(path, array, image.affine)
  found = find_studies(_settings(root))
  with pytest.raises(InputError, match=r"mask_case12.*label 20"):
    prepare_in_memory(
      found.studies[0], _settings(root), MRSPINESEG, found.mask_scheme
    )
