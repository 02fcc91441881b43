"""MIDS and BIDS trees: what is found, paired, left out and refused."""

import json
import logging as std_logging

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config
from lumbar_jax.data.sources import find_studies, scan
from lumbar_jax.errors import InputError


def _image(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(np.ones((2, 3, 4), np.uint8), np.eye(4)), path)
  return path


def _settings(root, **fields):
  data = config.default().data
  data.root = str(root)
  for name, value in fields.items():
    data[name] = value
  return data


def _anat(root, patient="sub-1", session="ses-1"):
  return root / patient / session / "mim-mr" / "anat"


def _truth(root, name="sub-1_ses-1_dseg.nii.gz", derivative="manual_masks"):
  folder = root / "derivatives" / derivative / "sub-1" / "ses-1"
  return folder / "mim-mr" / "anat" / name


def _pair(root, middle=""):
  """Writes a T2w and a T1w of sub-1_ses-1."""
  for channel in ("T2w", "T1w"):
    _image(_anat(root) / f"sub-1_ses-1{middle}_{channel}.nii.gz")


@pytest.mark.parametrize("modality", ["mim-mr", "mod-mr", ""])
@pytest.mark.parametrize("session", ["ses-1", ""])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_layout_gives_the_same_study(tmp_path, modality, session, suffix):
  folder = tmp_path / "sub-1" / session / modality / "anat"
  stem = "_".join(filter(None, ("sub-1", session)))
  t2w = _image(folder / f"{stem}_T2w{suffix}")
  t1w = _image(folder / f"{stem}_T1w{suffix}")
  (study,) = find_studies(_settings(tmp_path)).studies
  assert (study.patient, study.session) == ("sub-1", session)
  assert study.images == {"T2w": t2w, "T1w": t1w}
  assert study.name == stem


def test_studies_are_sorted_by_name(tmp_path):
  for patient in ("sub-b", "sub-a"):
    for session in ("ses-2", "ses-1"):
      _image(_anat(tmp_path, patient, session) / f"{patient}_{session}_T2w.nii")
  names = [s.name for s in find_studies(_settings(tmp_path)).studies]
  assert names == ["sub-a_ses-1", "sub-a_ses-2", "sub-b_ses-1", "sub-b_ses-2"]


def test_metadata_hold_participant_and_sidecar(tmp_path):
  _pair(tmp_path)
  sidecar = _anat(tmp_path) / "sub-1_ses-1_T2w.json"
  sidecar.write_text(json.dumps({"EchoTime": 0.1}))
  table = "participant_id\tsex\tage\nsub-1\tF\t60\nsub-2\tM\t50\n"
  (tmp_path / "participants.tsv").write_text(table)
  (study,) = find_studies(_settings(tmp_path)).studies
  assert study.metadata["participant"] == {"sex": "F", "age": "60"}
  assert study.metadata["T2w"] == {"EchoTime": 0.1}
  assert study.metadata["T1w"] == {}


def test_truth_is_read_from_the_configured_derivative_only(tmp_path):
  _pair(tmp_path)
  mask = _image(_truth(tmp_path, "sub-1_ses-1_desc-manual_dseg.nii.gz"))
  _image(_truth(tmp_path, derivative="lumbar_jax"))
  (study,) = find_studies(_settings(tmp_path)).studies
  assert study.mask == mask
  (study,) = find_studies(_settings(tmp_path, masks="")).studies
  assert study.mask is None


def test_mask_of_another_acquisition_is_no_truth(tmp_path):
  _pair(tmp_path, "_acq-sag")
  mask = _image(_truth(tmp_path, "sub-1_ses-1_acq-ax_dseg.nii.gz"))
  found = find_studies(_settings(tmp_path))
  assert found.studies[0].mask is None
  assert mask in [f.path for f in found.findings]


def test_our_predictions_are_never_truth(tmp_path):
  _pair(tmp_path)
  _image(_truth(tmp_path, derivative="lumbar_jax"))
  found = find_studies(_settings(tmp_path))
  assert found.studies[0].mask is None
  (finding,) = [f for f in found.findings if "manual_masks" in f.problem]
  assert "derivatives has lumbar_jax" in finding.problem
  assert "--config.data.masks=" in finding.remedy


def test_mask_scheme_is_the_derivatives_own(tmp_path):
  _pair(tmp_path)
  _image(_truth(tmp_path))
  found = find_studies(_settings(tmp_path))
  assert found.mask_scheme is None
  assert not any("dseg.tsv" in f.problem for f in found.findings)
  table = "index\tname\n0\tBackground\n7\tDisc\n"
  (tmp_path / "derivatives/manual_masks/dseg.tsv").write_text(table)
  found = find_studies(_settings(tmp_path))
  assert found.mask_scheme.names == ("Background", "Disc")
  assert found.mask_scheme.indices == (0, 7)


def test_runs_that_pair_up_are_studies_with_their_own_masks(tmp_path):
  for run in (1, 2):
    _pair(tmp_path, f"_run-{run}")
  mask = _image(_truth(tmp_path, "sub-1_ses-1_run-2_dseg.nii.gz"))
  first, second = find_studies(_settings(tmp_path)).studies
  assert (first.session, second.session) == ("ses-1_run-1", "ses-1_run-2")
  assert (first.mask, second.mask) == (None, mask)
  for study in (first, second):
    run = study.session[-5:]
    assert all(run in path.name for path in study.images.values())


def test_mask_without_run_belongs_to_neither_of_two_runs(tmp_path):
  for run in (1, 2):
    _pair(tmp_path, f"_run-{run}")
  mask = _image(_truth(tmp_path))
  found = find_studies(_settings(tmp_path))
  assert [study.mask for study in found.studies] == [None, None]
  (finding,) = [f for f in found.findings if f.path == mask]
  assert "mask without a study" in finding.problem


def test_sagittal_goes_before_axial_and_the_log_says_so(tmp_path, caplog):
  _pair(tmp_path, "_acq-sag")
  _pair(tmp_path, "_acq-ax")
  _image(_truth(tmp_path, "sub-1_ses-1_acq-sag_dseg.nii.gz"))
  with caplog.at_level(std_logging.WARNING, logger="absl"):
    found = find_studies(_settings(tmp_path))
  (study,) = found.studies
  assert study.session == "ses-1"
  assert all("acq-sag" in path.name for path in study.images.values())
  assert study.mask is not None
  (finding,) = [f for f in found.findings if "left out" in f.problem]
  assert "acq-ax_T2w.nii.gz" in finding.problem
  assert "left out" in caplog.text


def test_view_plane_entity_counts_as_sagittal(tmp_path):
  _image(_anat(tmp_path) / "sub-1_ses-1_acq-a_T2w.nii.gz")
  sagittal = _image(_anat(tmp_path) / "sub-1_ses-1_acq-b_vp-sag_T2w.nii.gz")
  (study,) = find_studies(_settings(tmp_path)).studies
  assert study.images == {"T2w": sagittal}


def test_runs_without_partner_take_the_first(tmp_path):
  first = _image(_anat(tmp_path) / "sub-1_ses-1_run-1_T2w.nii.gz")
  second = _image(_anat(tmp_path) / "sub-1_ses-1_run-2_T2w.nii.gz")
  t1w = _image(_anat(tmp_path) / "sub-1_ses-1_T1w.nii.gz")
  found = find_studies(_settings(tmp_path))
  (study,) = found.studies
  assert study.images == {"T2w": first, "T1w": t1w}
  assert any(second.name in f.problem for f in found.findings)


def test_axial_only_data_are_studies_too(tmp_path):
  _pair(tmp_path, "_acq-ax")
  assert len(find_studies(_settings(tmp_path)).studies) == 1


def test_unconfigured_channels_are_not_looked_for(tmp_path):
  _pair(tmp_path)
  settings = _settings(tmp_path, channels=("T1w",))
  (study,) = find_studies(settings).studies
  assert list(study.images) == ["T1w"]


def test_two_masks_for_one_image_are_refused(tmp_path):
  _pair(tmp_path)
  for reader in ("a", "b"):
    _image(_truth(tmp_path, f"sub-1_ses-1_desc-{reader}_dseg.nii.gz"))
  with pytest.raises(InputError) as error:
    find_studies(_settings(tmp_path))
  message = str(error.value)
  assert "sub-1_ses-1_T2w.nii.gz: 2 masks fit" in message
  assert "desc-a_dseg" in message
  assert "keep one" in message


def test_file_in_another_patients_folder_is_refused(tmp_path):
  _image(_anat(tmp_path) / "sub-2_ses-1_T2w.nii.gz")
  with pytest.raises(InputError) as error:
    find_studies(_settings(tmp_path))
  message = str(error.value)
  assert "'sub-2/ses-1' but lies in the folder of 'sub-1/ses-1'" in message
  assert "rename or move" in message


def test_all_errors_are_listed_by_scan(tmp_path):
  _image(_anat(tmp_path) / "sub-2_ses-1_T2w.nii.gz")
  _image(_anat(tmp_path) / "sub-3_ses-1_T2w.nii.gz")
  found = scan(_settings(tmp_path))
  assert len([f for f in found.findings if f.severity == "error"]) == 2


def test_no_root(tmp_path):
  with pytest.raises(InputError, match=r"data.root is empty.*root=FOLDER"):
    find_studies(_settings(""))
  with pytest.raises(InputError, match=r"gone: .*is not a folder.*sub-\*"):
    find_studies(_settings(tmp_path / "gone"))


def test_empty_folder_says_what_was_looked_for(tmp_path):
  with pytest.raises(InputError) as error:
    find_studies(_settings(tmp_path))
  message = str(error.value)
  assert str(tmp_path) in message
  assert "anat/*_T2w.nii[.gz]" in message
  assert "source=manifest" in message
  _image(tmp_path / "case1" / "t2.nii.gz")
  with pytest.raises(InputError, match=r"there is case1/t2\.nii"):
    find_studies(_settings(tmp_path))


@pytest.mark.parametrize(
  ("table", "expected"),
  [
    ("participant\tsex\nsub-1\tF\n", "no column 'participant_id'"),
    ("participant_id\tsex\nsub-1\tF\nsub-1\tM\n", "row 3 repeats"),
    ("participant_id\tsex\tsex\nsub-1\tF\tM\n", "column 'sex' occurs 2"),
    ("participant_id\tsex\nsub-1\tF\tM\n", "row 2 has 3 cells"),
  ],
)
def test_bad_participants_tsv(tmp_path, table, expected):
  _pair(tmp_path)
  (tmp_path / "participants.tsv").write_text(table)
  with pytest.raises(InputError, match=f"participants.tsv: {expected}"):
    find_studies(_settings(tmp_path))


def test_bad_sidecar_is_a_warning(tmp_path):
  _pair(tmp_path)
  sidecar = _anat(tmp_path) / "sub-1_ses-1_T2w.json"
  sidecar.write_text("{not json")
  found = find_studies(_settings(tmp_path))
  (finding,) = [f for f in found.findings if f.path == sidecar]
  assert (finding.severity, "not JSON" in finding.problem) == ("warning", True)


def test_unknown_source(tmp_path):
  with pytest.raises(InputError, match=r"'dicom'.*allowed: 'mids'"):
    find_studies(_settings(tmp_path, source="dicom"))


def test_phantom_needs_a_folder():
  with pytest.raises(InputError, match=r"make the phantom.*--workdir=DIR"):
    find_studies(_settings("", source="phantom"))


def test_phantom_is_made_once(tmp_path):
  settings = _settings("", source="phantom")
  settings.phantom.update(preset="tiny", num_patients=1)
  assert scan(settings, tmp_path).studies == ()
  assert not (tmp_path / "phantom").exists()
  found = find_studies(settings, tmp_path)
  (study,) = found.studies
  assert found.root == tmp_path / "phantom"
  assert set(study.images) == {"T1w", "T2w"}
  assert "L5" in found.mask_scheme.names
  written = study.mask.stat().st_mtime_ns
  again = find_studies(settings, tmp_path)
  assert again.studies == found.studies
  assert study.mask.stat().st_mtime_ns == written
  settings.phantom.seed = 1
  with pytest.raises(InputError, match="phantom with another seed"):
    find_studies(settings, tmp_path)


@pytest.mark.real_data
def test_spider_t2space(real_data):
  settings = _settings(real_data / "spider_t2space", channels=("T2w",))
  found = find_studies(settings)
  assert len(found.studies) == 30
  assert all(study.mask for study in found.studies)
  names = ("Background", "Vertebra", "Disc", "Canal")
  assert found.mask_scheme.names == names
  assert found.studies[0].metadata["participant"]["sex"] == "M"
  assert not found.findings


@pytest.mark.real_data
def test_spider_pairs_without_masks(real_data):
  found = find_studies(_settings(real_data / "spider_t1t2_midsag"))
  assert len(found.studies) == 40
  assert all(set(s.images) == {"T1w", "T2w"} for s in found.studies)
  assert not any(study.mask for study in found.studies)
  assert found.mask_scheme is None


def test_phantom_withholds_the_last_masks(tmp_path):
  settings = _settings("", source="phantom")
  settings.phantom.update(preset="tiny", num_patients=3, num_unlabelled=1)
  found = find_studies(settings, tmp_path)
  assert [study.mask is None for study in found.studies] == [False, False, True]
