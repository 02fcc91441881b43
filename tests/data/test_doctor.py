"""The doctor: finds each kind of damage, goes on, and changes nothing."""

import json
import os
import re
import shutil
import types

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config
from lumbar_jax.data import resampling
from lumbar_jax.data.doctor import examine, format_report
from lumbar_jax.data.grouping import group
from lumbar_jax.data.pipeline import PatchSource
from lumbar_jax.data.sources.found import Finding
from lumbar_jax.data.splits import make_splits
from lumbar_jax.data.splits_file import load_or_make_splits
from lumbar_jax.data.studies import Study

SHAPE = (6, 7, 5)
# Stored as scanners do: columns, rows, slices; 1 x 1 x 4 mm.
AFFINE = np.array([[0, 0, 4, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
PATIENTS = tuple(f"sub-{i}" for i in range(1, 6))


def _save(path, array, affine=AFFINE):
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(array, affine), path)


def _t2w(root, patient="sub-3"):
  return root / patient / "anat" / f"{patient}_T2w.nii.gz"


def _mask(root, patient="sub-3"):
  folder = root / "derivatives" / "manual_masks" / patient / "anat"
  return folder / f"{patient}_dseg.nii.gz"


@pytest.fixture
def root(tmp_path):
  """A data set of five patients with nothing wrong."""
  root = tmp_path / "data"
  rng = np.random.default_rng(0)
  for patient in PATIENTS:
    for name in ("T2w", "T1w"):
      path = _t2w(root, patient).with_name(f"{patient}_{name}.nii.gz")
      _save(path, rng.normal(size=SHAPE).astype(np.float32))
    _save(_mask(root, patient), rng.integers(0, 4, SHAPE, np.uint8))
  names = enumerate(("Background", "Vertebra", "Disc", "Canal"))
  table = "index\tname\n" + "".join(f"{i}\t{name}\n" for i, name in names)
  (root / "derivatives/manual_masks/dseg.tsv").write_text(table)
  rows = [f"{patient}\t{'FM'[i % 2]}\n" for i, patient in enumerate(PATIENTS)]
  text = "participant_id\tsex\n" + "".join(rows)
  (root / "participants.tsv").write_text(text)
  return root


def _settings(root, **fields):
  data = config.default().data
  data.root, data.scheme = str(root), "spider"
  for name, value in fields.items():
    data[name] = value
  return data


def _only(report, severity="error"):
  """Returns the one finding of a severity."""
  (finding,) = [f for f in report.findings if f.severity == severity]
  return finding


def test_healthy_data_have_no_findings(root):
  report = examine(_settings(root))
  assert report.ok
  assert report.findings == ()
  row = report.rows[0]
  assert (row.name, row.patient, row.session) == ("sub-1", "sub-1", "")
  assert row.labels == (0, 1, 2, 3)
  grid = row.grids["T2w"]
  assert grid.matrix == SHAPE
  assert grid.orientation == "PIR"
  assert grid.spacing_mm == pytest.approx((1, 1, 4))
  assert report.counts["patients"] == report.counts["studies"] == 5
  assert report.counts["studies with a mask"] == 5
  assert report.strata == {"sex": {"F": 3, "M": 2}}


def _array(value=None, shape=SHAPE):
  array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
  if value is not None:
    array[1, 1, 1] = value
  return array


def _truncate(path):
  path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
  ("damage", "problem", "remedy"),
  [
    (lambda p: p.write_text("no image"), "not a readable NIfTI", "convert"),
    (_truncate, "not a readable NIfTI", "copy it again"),
    (lambda p: _save(p, _array(shape=(4, 4, 3, 2))), "a 4-D image", "split"),
    (lambda p: _save(p, _array(shape=(4, 4))), "a 2-D image", "3-D"),
    (lambda p: _save(p, _array(shape=(4, 0, 4))), "an empty vol", "export"),
    (lambda p: _save(p, _array(np.nan)), "1 of 210 voxels are NaN", "export"),
    (lambda p: _save(p, np.full(SHAPE, 3.0)), "all 210 voxels are 3", "leave"),
  ],
)
def test_damaged_image(root, damage, problem, remedy):
  _save(_mask(root), np.ones(_array().shape, np.uint8))
  damage(_t2w(root))
  report = examine(_settings(root))
  finding = _only(report)
  assert finding.path == _t2w(root)
  assert finding.study == "sub-3"
  assert problem in finding.problem
  assert remedy in finding.remedy
  assert not report.ok
  assert [row.ok for row in report.rows] == [True, True, False, True, True]


def _with_offset(offset_mm, qform_code=1):
  """Returns an image whose qform lies `offset_mm` beside its sform."""
  image = nib.Nifti1Image(_array(), AFFINE)
  other = AFFINE.copy()
  other[0, 3] += offset_mm
  image.set_sform(AFFINE, 1)
  image.set_qform(other, qform_code)
  return image


def test_forms_that_disagree(root):
  nib.save(_with_offset(0.5), _t2w(root))
  report = examine(_settings(root))
  finding = _only(report, "warning")
  assert finding.path == _t2w(root)
  assert "a corner 0.5 mm apart (allowed: 0.01 mm)" in finding.problem
  assert "repair" in finding.remedy
  assert report.ok


@pytest.mark.parametrize(("offset_mm", "code"), [(0.005, 1), (0.5, 0)])
def test_forms_that_agree_or_are_not_set(root, offset_mm, code):
  nib.save(_with_offset(offset_mm, code), _t2w(root))
  assert examine(_settings(root)).findings == ()


def test_rotation_shows_at_the_corners_only(root):
  image = _with_offset(0)
  angle = 0.01
  turn = np.eye(4)
  turn[:2, :2] = [
    [np.cos(angle), -np.sin(angle)],
    [np.sin(angle), np.cos(angle)],
  ]
  image.set_qform(turn @ AFFINE, 1)
  nib.save(image, _t2w(root))
  assert "sform and qform" in _only(examine(_settings(root)), "warning").problem


def test_axial_acquisition_is_pointed_out(root):
  _save(_t2w(root), _array(), np.diag([1.0, 1, 4, 1]))
  _save(_mask(root), np.ones(SHAPE, np.uint8), np.diag([1.0, 1, 4, 1]))
  finding = _only(examine(_settings(root)), "warning")
  assert "not sagittal" in finding.problem
  assert "1 x 4 x 1 mm" in finding.problem


@pytest.mark.parametrize(
  ("shape", "shift_mm", "problem"),
  [
    ((6, 7, 4), 0, "6 x 7 x 4 voxels"),
    (SHAPE, 1.5, "at (1.50, 0.00, 0.00) and not"),
  ],
)
def test_mask_on_another_grid(root, shape, shift_mm, problem):
  affine = AFFINE.copy()
  affine[0, 3] = shift_mm
  _save(_mask(root), np.ones(shape, np.uint8), affine)
  finding = _only(examine(_settings(root)))
  assert finding.path == _mask(root)
  assert str(_t2w(root)) in finding.problem
  assert problem in finding.problem
  assert "resample" in finding.remedy


def test_labels_outside_the_scheme(root):
  mask = np.zeros(SHAPE, np.int16)
  mask[0, 0, :4] = [3, 9, 11, 14]
  _save(_mask(root), mask)
  report = examine(_settings(root))
  finding = _only(report)
  assert finding.path == _mask(root)
  assert "3 labels are not" in finding.problem
  assert "9, 11, 14 (known: 0, 1, 2, 3)" in finding.problem
  assert "dseg.tsv" in finding.remedy
  assert report.rows[2].labels == (0, 3, 9, 11, 14)


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (-1, "-1")])
def test_labels_that_are_no_labels(root, value, shown):
  mask = np.zeros(SHAPE, np.float32)
  mask[0, 0, 0] = value
  _save(_mask(root), mask)
  problem = _only(examine(_settings(root))).problem
  assert f"label {shown} is not in the masks' scheme (known" in problem


def test_empty_mask(root):
  _save(_mask(root), np.zeros(SHAPE, np.uint8))
  finding = _only(examine(_settings(root)), "warning")
  assert (finding.path, finding.problem) == (_mask(root), "the mask is empty")


def test_numbers_that_no_table_explains_are_one_warning(root):
  (root / "derivatives/manual_masks/dseg.tsv").unlink()
  problem = _only(examine(_settings(root, scheme="midas12")), "warning").problem
  assert "1 as Vert, 2 as Sacrum, 3 as Int-Disc; no mask has" in problem
  report = examine(_settings(root))  # all of whose classes are there
  assert "1 as Vertebra, 2 as Disc, 3" in _only(report, "info").problem
  assert len(report.findings) == 1


def test_structure_without_counterpart(root):
  table = root / "derivatives/manual_masks/dseg.tsv"
  table.write_text(table.read_text() + "4\tSpleen\n")
  finding = _only(examine(_settings(root)))
  assert "'Spleen'" in finding.problem
  assert "--config.data.remap=\"{'Spleen':" in finding.remedy


def test_a_copied_patient_is_an_error_where_one_would_be_tested(root):
  problem = "the same image under several patients: "
  shutil.copy(_t2w(root, "sub-1"), _t2w(root, "sub-2"))  # of one fold
  found = examine(_settings(root))
  assert found.ok
  assert _only(found, "warning").problem == f"{problem}sub-1 and sub-2"
  shutil.copy(_t2w(root, "sub-3"), _t2w(root, "sub-5"))  # one is for the test
  found = examine(_settings(root))
  assert _only(found).problem == f"{problem}sub-3 and sub-5"
  assert _only(found, "warning").problem == f"{problem}sub-1 and sub-2"
  assert examine(_settings(root), shared=True).ok


def test_missing_pair(root):
  (_t2w(root).parent / "sub-3_T1w.nii.gz").unlink()
  report = examine(_settings(root))
  finding = _only(report)
  assert finding.path == _t2w(root)
  assert "sub-3: T2w without T1w" in finding.problem
  assert "add the T1w file" in finding.remedy
  finding = _only(examine(_settings(root, channels=("T2w",))), "info")
  assert "left out 4 files (suffix 'T1w', not T2w)" in finding.problem


def test_study_without_mask_is_no_problem(root):
  _mask(root).unlink()
  report = examine(_settings(root))
  finding = _only(report, "info")
  assert finding.problem == "1 studies have no mask: sub-3"
  assert report.ok
  assert report.rows[2].labels is None


def test_data_without_any_mask_can_be_predicted_on(root):
  report = examine(_settings(root, masks=""))
  assert "none of 5 studies" in _only(report, "warning").problem
  assert report.ok


def test_fewer_patients_than_folds(root):
  finding = _only(examine(_settings(root, num_folds=5)))
  assert "config.data.num_folds = 5" in finding.problem
  assert "--config.data.num_folds=4" in finding.remedy


def test_missing_participants(root):
  (root / "participants.tsv").unlink()
  report = examine(_settings(root))
  finding = _only(report, "warning")
  assert finding.path == root / "participants.tsv"
  assert "participant_id" in finding.remedy
  assert report.strata == {}


def test_missing_root(tmp_path):
  report = examine(_settings(tmp_path / "gone"))
  assert _only(report).path == tmp_path / "gone"
  assert (report.rows, report.ok) == ((), False)


def test_it_goes_on_after_each_problem(root):
  """One kind of damage in each of four patients: four findings."""
  _t2w(root, "sub-1").write_text("no image")
  _save(_t2w(root, "sub-2"), _array(np.inf))
  _save(_mask(root, "sub-3"), np.full(SHAPE, 77, np.uint8))
  (_t2w(root, "sub-4").parent / "sub-4_T1w.nii.gz").unlink()
  report = examine(_settings(root))
  errors = [f for f in report.findings if f.severity == "error"]
  assert [f.study for f in errors] == ["sub-1", "sub-2", "sub-3", "sub-4"]
  assert report.counts["studies with an error"] == 4
  text = " ".join(format_report(report).split())
  for finding in errors:
    assert str(finding) in text


def test_one_error_of_all_masks_is_told_once(root):
  for number, patient in enumerate(PATIENTS):
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, 0, :2] = 1, 40 + number % 2
    _save(_mask(root, patient), mask)
  report = examine(_settings(root))
  text = format_report(report)
  assert text.count("not in the masks' scheme") == 2
  assert "ERROR   3 studies, the first of them [sub-1]" in text
  assert f"These 3: {', '.join(PATIENTS[::2])}." in text
  assert "ERROR   2 studies, the first of them [sub-2]" in text
  assert "label 40" in text
  assert "label 41" in text
  assert "5 errors" in text.splitlines()[-1]


@pytest.mark.parametrize("number", [1, 3, 5, 6, 40])
def test_few_different_values_are_all_shown(number):
  findings = [
    Finding("error", f"label {n % number} is new", "look", study=f"s{n}")
    for n in range(80)
  ]
  groups = group(findings)
  assert sum(len(found.findings) for found in groups) == 80
  assert len(groups) == (number if number <= 5 else 1)
  assert all(found.alike is (number <= 5) for found in groups)
  if number <= 5:
    shown = [found.first.problem for found in groups]
    assert shown == [f"label {n} is new" for n in range(number)]


def test_other_errors_are_not_joined(root):
  _t2w(root, "sub-1").write_text("no image")
  _save(_t2w(root, "sub-2"), _array(np.inf))
  text = format_report(examine(_settings(root)))
  assert text.count("ERROR   [sub-") == 2


def test_tables_fit_and_each_finding_is_one_line(root):
  for patient in PATIENTS:
    _mask(root, patient).unlink()
  _t2w(root).write_text("no image")
  report = examine(_settings(root))
  lines = format_report(report).splitlines()
  for finding in report.findings:
    assert any(str(finding) in line for line in lines)
  words = ("ERROR", "WARNING", "INFO")
  assert all(len(li) <= 110 for li in lines if not li.startswith(words))


def test_parts_are_counted_as_training_cuts_them(root):
  settings = _settings(root, patch_size=4, patch_stride=3, spacing_mm=0.7)
  report = examine(settings, seed=3)
  studies = [Study(p, "", {}, _mask(root, p)) for p in PATIENTS]
  splits = make_splits(studies, 0.2, 3, settings.stratify_by, 3)
  shape = resampling.training_shape((7, 6), (1, 1), 0.7)
  study = types.SimpleNamespace(image=np.zeros((5, *shape, 2)))
  patches = len(PatchSource([study], 4, 3))
  parts = {part.name: part for part in report.parts}
  for fold in range(3):
    for part, patients in (
      ("training", splits.train(fold)),
      ("validation", splits.validation(fold)),
    ):
      found = parts[f"fold {fold} {part}"]
      assert found.patients == found.studies == len(patients)
      assert found.slices == 5 * len(patients)
      assert found.patches == patches * len(patients)
  assert parts["test"].patients == len(splits.test)
  assert parts["all"].patches == 5 * patches
  assert f"{5 * patches}" in format_report(report)


def test_a_study_with_an_error_is_in_no_part(root):
  _save(_t2w(root, "sub-2"), _array(np.inf))
  parts = {part.name: part for part in examine(_settings(root)).parts}
  assert (parts["all"].patients, parts["all"].studies) == (5, 4)


def test_acquisition_is_told(root):
  for patient in PATIENTS:
    path = _t2w(root, patient)
    name = path.name.replace(".nii.gz", ".json")
    path.with_name(name).write_text('{"EchoTime": 0.12, "FlipAngle": [150]}')
  text = format_report(examine(_settings(root)))
  assert re.search(r"echo time \(ms\) +120 +- *\n", text)
  assert re.search(r"height \(px\) +7 +7 *\n", text)


def test_a_study_that_falls_out_of_line_is_a_warning(root):
  rng = np.random.default_rng(0)
  for number in range(1, 10):
    scale = 1000 if number == 4 else 1
    for name in ("T1w", "T2w"):
      array = scale * rng.uniform(50, 100, (12, 12, 5)).astype(np.float32)
      path = _t2w(root, f"sub-{number}")
      _save(path.with_name(f"sub-{number}_{name}.nii.gz"), array)
  report = examine(_settings(root, masks=""))
  problems = [f.problem for f in report.findings if f.severity == "warning"]
  (problem,) = (p for p in problems if p.startswith("T2w: brightness"))
  assert "falls out of line in 1 of 9 studies: sub-4 (" in problem


def test_errors_come_first(root):
  (root / "participants.tsv").unlink()
  _mask(root).unlink()
  _t2w(root).write_text("no image")
  severities = [f.severity for f in examine(_settings(root)).findings]
  assert severities == ["error", "warning", "info"]


def test_manifest_errors_are_findings_among_others(root):
  lines = ["patient\tT2w\tmask\tsplit", "sub-1\tgone.nii\t\ttrain"]
  for patient in PATIENTS[1:]:
    mask = _mask(root, patient)
    lines.append(f"{patient}\t{_t2w(root, patient)}\t{mask}\ttrain")
  lines.append(f"sub-2\t{_t2w(root, 'sub-3')}\t{_mask(root)}\ttest")
  manifest = root / "studies.tsv"
  manifest.write_text("\n".join(lines))
  _t2w(root, "sub-4").write_text("no image")
  report = examine(
    _settings(
      root, source="manifest", manifest=str(manifest), channels=("T2w",)
    )
  )
  problems = " | ".join(str(finding) for finding in report.findings)
  assert f"{manifest}: row 2: T2w is 'gone.nii'" in problems
  assert "row 7: patient 'sub-2' is in split 'test'" in problems
  assert f"{_t2w(root, 'sub-4')}: not a readable NIfTI" in problems
  assert not report.ok


def test_manifest_that_cannot_be_read_is_one_problem(root):
  manifest = root / "studies.tsv"
  manifest.write_text("Patient\tT2w\nP1\tx.nii\n")
  settings = _settings(root, source="manifest", manifest=str(manifest))
  assert "no column 'patient'" in _only(examine(settings)).problem


def test_phantom_is_not_made(tmp_path):
  report = examine(_settings("", source="phantom"), tmp_path)
  assert "not made yet" in _only(report, "info").problem
  assert report.ok
  assert list(tmp_path.iterdir()) == []


def test_splits_of_the_workdir_are_compared(root, tmp_path):
  studies = [Study(p, "", {}, _mask(root)) for p in (*PATIENTS, "sub-9")]
  settings = _settings(root)
  load_or_make_splits(
    tmp_path / "splits.json", studies, 0.2, 3, settings.stratify_by, seed=4
  )
  finding = _only(examine(settings, tmp_path))
  assert finding.path == tmp_path / "splits.json"
  assert "not in the data any more: sub-9" in finding.problem


def test_refused_registrations_are_warnings(root, tmp_path):
  for name, verdict in (("sub-1", "accepted"), ("sub-2", "refused: 31 mm")):
    entry = tmp_path / "cache" / name
    entry.mkdir(parents=True)
    info = {"registration": {"T1w": {"verdict": verdict}}}
    (entry / "info.json").write_text(json.dumps({"info": info}))
  finding = _only(examine(_settings(root), tmp_path), "warning")
  assert finding.path == tmp_path / "cache" / "sub-2"
  assert finding.problem == "T1w: registration refused: 31 mm"


def test_nothing_is_changed(root, tmp_path):
  def snapshot():
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    return {p: (p.read_bytes(), os.stat(p).st_mtime_ns) for p in files}

  before = snapshot()
  format_report(examine(_settings(root), tmp_path / "run"))
  assert snapshot() == before
  assert not (tmp_path / "run").exists()


def test_report_shows_each_study_and_the_counts(root):
  _t2w(root, "sub-2").write_text("[bold]no image[/bold]")
  lines = format_report(examine(_settings(root))).splitlines()
  (first,) = [line for line in lines if line.startswith(" sub-1")]
  assert first.split() == [
    *("sub-1", "T2w", "6x7x5", "1", "1", "4", "PIR", "0", "1", "2", "3")
  ]
  (second,) = [line for line in lines if line.startswith(" sub-2")]
  assert second.split()[-1] == "ERROR"
  assert "sex: F 3, M 2 patients" in lines
  assert "1 errors, 0 warnings" in lines[-1]
  assert "cannot be used" in lines[-1]


def test_progress_counts_the_studies(root):
  calls = []
  examine(_settings(root), progress=lambda *args: calls.append(args))
  assert calls == [(i + 1, 5, name) for i, name in enumerate(PATIENTS)]


@pytest.mark.real_data
def test_real_masks_are_in_order(real_data, tmp_path):
  """Six of the thirty patients, since the check reads every voxel."""
  source = real_data / "spider_t2space"
  for name in ("participants.tsv", "derivatives"):
    (tmp_path / name).symlink_to(source / name)
  for folder in sorted(source.glob("sub-*"))[:6]:
    (tmp_path / folder.name).symlink_to(folder)
  report = examine(_settings(tmp_path, channels=("T2w",)))
  assert report.ok
  assert [row.labels for row in report.rows] == [(0, 1, 2, 3)] * 6
  assert report.strata["manufacturer"] == {"SIEMENS": 6}
