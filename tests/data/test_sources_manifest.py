"""Manifests: rows become studies, and every bad cell is named."""

import pytest

from lumbar_jax import config
from lumbar_jax.data.sources import find_studies, scan
from lumbar_jax.errors import InputError
from lumbar_jax.inference.inputs import find_inputs

HEADER = ("patient", "session", "T1w", "T2w", "mask", "split", "fold", "sex")
GOOD = ("P1", "a", "t1.nii", "t2.nii", "m.nii", "train", "0", "F")


def _write(tmp_path, *rows, header=HEADER, name="studies.tsv", settings=None):
  """Writes a manifest beside three files, and returns its settings."""
  for file in ("t1.nii", "t2.nii", "m.nii"):
    (tmp_path / file).touch()
  delimiter = "," if name.endswith(".csv") else "\t"
  lines = [delimiter.join(row) for row in (header, *rows)]
  (tmp_path / name).write_text("\n".join(lines) + "\n")
  data = config.default().data
  data.source = "manifest"
  data.manifest = str(tmp_path / name)
  data.update(settings or {})
  return data


def _row(**cells):
  return tuple(cells.get(c, v) for c, v in zip(HEADER, GOOD, strict=True))


@pytest.mark.parametrize("name", ["studies.tsv", "studies.csv"])
def test_row_becomes_study(tmp_path, name):
  found = find_studies(_write(tmp_path, GOOD, name=name))
  (study,) = found.studies
  assert (study.patient, study.session) == ("P1", "a")
  assert study.images == {
    "T1w": tmp_path / "t1.nii",
    "T2w": tmp_path / "t2.nii",
  }
  assert study.mask == tmp_path / "m.nii"
  assert (study.split, study.fold) == ("train", 0)
  assert study.metadata["participant"] == {"sex": "F"}
  assert found.root == tmp_path


def test_two_columns_are_enough(tmp_path):
  rows = (("P2", "t1.nii"), ("P1", "t2.nii"))
  found = find_studies(_write(tmp_path, *rows, header=("patient", "T2w")))
  assert [study.name for study in found.studies] == ["P1", "P2"]
  study = found.studies[0]
  assert (study.mask, study.split, study.fold) == (None, None, None)


def test_empty_cells_and_blank_lines_say_nothing(tmp_path):
  row = _row(session="", mask="n/a", split="n/a", fold="", T1w="N/A")
  (study,) = find_studies(_write(tmp_path, ("",) * 8, row)).studies
  assert (study.name, study.mask, study.split) == ("P1", None, None)
  assert (study.fold, list(study.images)) == (None, ["T2w"])


def test_paths_are_relative_to_the_root_if_there_is_one(tmp_path):
  root = tmp_path / "files"
  root.mkdir()
  (root / "other.nii").touch()
  settings = _write(
    tmp_path,
    ("P1", "other.nii", str(tmp_path / "t1.nii")),
    header=("patient", "T2w", "T1w"),
    settings={"root": str(root)},
  )
  (study,) = find_studies(settings).studies
  assert study.images["T2w"] == root / "other.nii"
  assert study.images["T1w"] == tmp_path / "t1.nii"  # absolute


def test_dseg_tsv_beside_the_table_is_the_masks_scheme(tmp_path):
  settings = _write(tmp_path, GOOD)
  assert find_studies(settings).mask_scheme is None
  (tmp_path / "dseg.tsv").write_text("index\tname\n0\tBackground\n3\tDisc\n")
  scheme = find_studies(settings).mask_scheme
  assert (scheme.names, scheme.indices) == (("Background", "Disc"), (0, 3))


@pytest.mark.parametrize(
  "name", ["Dseg.tsv", "DSEG.TSV", "dseg.csv", "Dseg.CSV"]
)
def test_the_numbers_table_may_be_called_otherwise(tmp_path, name):
  settings = _write(tmp_path, GOOD)
  (tmp_path / name).write_text("index,name\n0,Background\n3,Disc\n")
  assert find_studies(settings).mask_scheme.indices == (0, 3)
  assert f"{name}: read as dseg.tsv" in _said(settings)
  (tmp_path / "dseg.tsv").write_text("index\tname\n0\tBackground\n4\tDisc\n")
  assert find_studies(settings).mask_scheme.indices == (0, 4)
  assert f"{name}: not read" in _said(settings)


def test_which_numbers_table_is_meant_has_to_be_clear(tmp_path):
  settings = _write(tmp_path, GOOD)
  for name in ("dseg.csv", "Dseg.CSV"):
    (tmp_path / name).write_text("index,name\n0,Background\n3,Disc\n")
  with pytest.raises(InputError, match=r"Dseg\.CSV, dseg\.csv: which"):
    find_studies(settings)
  (tmp_path / "dseg.tsv").symlink_to(".git/annex/objects/x")
  with pytest.raises(InputError, match="content not fetched"):
    find_studies(settings)


@pytest.mark.parametrize(
  ("header", "expected"),
  [
    (("Patient", "T2w"), r"no column 'patient'.*did you mean Patient\?"),
    (("patient", "t2w"), r"no column 'T2w', but 't2w'.*did you mean T2w\?"),
    (("patient", "T2"), r"no image column.*did you mean T2\?"),
    (("patient", "T2w", "Masks"), r"'Masks'.*did you mean mask\?"),
    (("patient", "T2w", "T2w"), "column 'T2w' occurs 2 times"),
  ],
)
def test_bad_header(tmp_path, header, expected):
  row = ("P1", "t2.nii", "m.nii")[: len(header)]
  with pytest.raises(InputError, match=f"studies.tsv: .*{expected}"):
    find_studies(_write(tmp_path, row, header=header))


@pytest.mark.parametrize(
  ("cells", "problem", "remedy"),
  [
    ({"T2w": "no.nii"}, "row 3: T2w is 'no.nii'", "relative to"),
    ({"mask": "no.nii"}, "row 3: mask is 'no.nii'", "correct the cell"),
    ({"split": "Train"}, "row 3: split is 'Train'", "did you mean train?"),
    ({"split": "val"}, "row 3: split is 'val'", "allowed: train, test"),
    ({"fold": "1.5"}, "row 3: fold is '1.5'", "whole number"),
    ({"fold": "-1"}, "row 3: fold is '-1'", "whole number"),
    ({"patient": ""}, "row 3: no patient", "fill the cell"),
    ({"patient": "a/b"}, "row 3: patient 'a/b'", "use letters"),
    ({"T1w": "", "T2w": ""}, "row 3: no image", "fill T2w or T1w"),
    (
      {},
      "row 3 repeats row 2: patient 'P1', session 'a'",
      "its own session",
    ),
    (
      {"session": "b", "split": "test"},
      "row 3: patient 'P1' is in split 'test', but in split 'train' in row 2",
      "together",
    ),
    (
      {"session": "b", "fold": "2"},
      "row 3: patient 'P1' is in fold 2, but in fold 0 in row 2",
      "together",
    ),
  ],
)
def test_bad_row(tmp_path, cells, problem, remedy):
  settings = _write(tmp_path, GOOD, _row(**cells))
  with pytest.raises(InputError) as error:
    find_studies(settings)
  assert f"{settings.manifest}: {problem}" in str(error.value)
  assert remedy in str(error.value)


def test_missing_file_is_named_with_its_whole_path(tmp_path):
  settings = _write(tmp_path, _row(T2w="no.nii"))
  with pytest.raises(InputError, match=str(tmp_path / "no.nii")):
    find_studies(settings)


def test_fold_of_a_test_patient_does_not_count(tmp_path):
  rows = [_row(session=str(fold), split="test", fold=fold) for fold in "01"]
  assert len(find_studies(_write(tmp_path, *rows)).studies) == 2


def test_names_that_coincide_are_refused(tmp_path):
  rows = (_row(patient="P_a", session="b"), _row(patient="P", session="a_b"))
  settings = _write(tmp_path, *rows)
  words = "row 3 repeats row 2: .*'P', .*'P_a', .* both called 'P_a_b'"
  with pytest.raises(InputError, match=words):
    find_studies(settings)
  failed = find_inputs(settings.manifest, ("T2w",)).findings
  failed = [f for f in failed if f.severity == "error"]
  assert [f.study for f in failed] == ["P_a_b", "P_a_b"]
  assert [f.problem[:19] for f in failed] == [
    "row 2 repeats row 3",
    "row 3 repeats row 2",
  ]


def test_scan_lists_every_bad_row(tmp_path):
  bad = (_row(patient="P2", fold="x"), _row(patient="P3", mask="no.nii"))
  found = scan(_write(tmp_path, GOOD, *bad))
  assert [study.patient for study in found.studies] == ["P1"]
  errors = [f.problem for f in found.findings if f.severity == "error"]
  assert [problem[:6] for problem in errors] == ["row 3:", "row 4:"]


def test_long_row_is_named(tmp_path):
  with pytest.raises(InputError, match="row 2 has 9 cells and the header 8"):
    find_studies(_write(tmp_path, (*GOOD, "x")))


def test_no_table(tmp_path):
  settings = _write(tmp_path, settings={"manifest": ""})
  with pytest.raises(InputError, match=r"manifest is empty.*TABLE.tsv"):
    find_studies(settings)
  settings.manifest = str(tmp_path / "gone.tsv")
  with pytest.raises(InputError, match=r"gone.tsv: no such file.*check"):
    find_studies(settings)


def test_table_without_rows(tmp_path):
  with pytest.raises(InputError, match=r"no rows below.*add studies"):
    find_studies(_write(tmp_path))


def test_spreadsheet_instead_of_text(tmp_path):
  settings = _write(tmp_path, GOOD)
  (tmp_path / "studies.tsv").write_bytes(b"\xd0\xcf\x11\xe0\xff")
  with pytest.raises(InputError, match=r"not a text table.*UTF-8"):
    find_studies(settings)


def _said(settings):
  return "\n".join(f"{f.severity}: {f}" for f in scan(settings).findings)


def test_columns_may_have_other_names(tmp_path):
  settings = _write(
    tmp_path,
    ("P1", "t2.nii", "m.nii", "F"),
    header=("ID", "sag image", "seg", "patient"),
    settings={"columns": ("patient=id", "T2w=sag image", "mask=seg")},
  )
  (study,) = find_studies(settings).studies
  assert (study.patient, study.images["T2w"].name) == ("P1", "t2.nii")
  assert study.mask == tmp_path / "m.nii"
  settings.columns = ("patient=ID", "T2w=sagimage")
  with pytest.raises(InputError, match=r"'sagimage' for T2w.*mean sag image"):
    find_studies(settings)


def test_one_file_of_two_patients_is_a_leak(tmp_path):
  (tmp_path / "link.nii").symlink_to(tmp_path / "t2.nii")
  rows = (("P1", "t2.nii"), ("P2", "link.nii"))
  settings = _write(tmp_path, *rows, header=("patient", "T2w"))
  with pytest.raises(InputError, match="row 3: T2w is the same file as T2w of"):
    find_studies(settings)
  rows = (_row(), _row(session="b"))
  assert "warning" in _said(_write(tmp_path, *rows))
  assert "mask is the same file as mask" in _said(_write(tmp_path, *rows))
  rows = (_row(T1w="t2.nii"),)
  assert "error" in _said(_write(tmp_path, *rows))


@pytest.mark.parametrize(
  ("one", "other", "shown"),
  [
    ("001", "1", "001 and 1"),
    ("Jos\u00e9", "Jose\u0301", r"'Jose\u0301' and 'Jos\xe9'"),
    ("P1", "P\u200b1", r"P1 and 'P\u200b1'"),
    ("P1", "P\u00ad1", r"P1 and 'P\xad1'"),
    ("P1", "\uff301", r"P1 and '\uff301'"),
  ],
)
def test_patients_called_alike_are_named(tmp_path, one, other, shown):
  rows = (_row(patient=one), _row(patient=other, session="b"))
  said = _said(_write(tmp_path, *rows))
  assert f"called alike: {shown}" in said


@pytest.mark.parametrize(
  "cell",
  ["deep\\x.NII.GZ", "deep/x.NII.GZ ", "./deep//x.NII.GZ", "~/deep/x.NII.GZ"],
)
def test_paths_as_people_write_them(tmp_path, cell, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "deep").mkdir()
  (tmp_path / "deep" / "x.NII.GZ").touch()
  settings = _write(tmp_path, ("P1", cell), header=("patient", "T2w"))
  (study,) = find_studies(settings).studies
  assert study.images["T2w"].resolve() == tmp_path / "deep" / "x.NII.GZ"


def test_cells_that_name_no_volume(tmp_path):
  (tmp_path / "gone.nii").symlink_to(".git/annex/objects/x")
  (tmp_path / "scan.dcm").touch()
  (tmp_path / "folder").mkdir()
  cells = ("gone.nii", "scan.dcm", "folder", "T2.nii")
  rows = [(f"P{n}", cell) for n, cell in enumerate(cells)]
  said = _said(_write(tmp_path, *rows, header=("patient", "T2w")))
  for part in (
    "row 2: T2w is 'gone.nii', and its content is not here",
    "row 3: T2w is 'scan.dcm', no NIfTI (DICOM)",
    "row 4: T2w is 'folder', a folder",
    "did you mean t2.nii?",
  ):
    assert part in said


def test_files_in_no_row_are_named(tmp_path):
  (tmp_path / "P9_seg.nii").touch()
  said = _said(_write(tmp_path, ("P1", "t2.nii"), header=("patient", "T2w")))
  assert "info" in said
  assert "left out 2 files (in no row of the manifest): m.nii, t1.nii" in said
  assert "(masks by their names): P9_seg.nii" in said


@pytest.mark.parametrize(
  "bad",
  [
    {"patient": "P2", "split": "Train"},
    {"patient": "P1"},
    {"patient": "P2", "mask": "no.nii"},
  ],
)
def test_files_of_bad_rows_are_in_the_manifest(tmp_path, bad):
  for name in ("x.nii", "y.nii", "other.nii"):
    (tmp_path / name).touch()
  good = _row(patient="P3")
  rows = (good, _row(patient="P1", T1w="", T2w="x.nii", mask="", session="a"))
  cells = {"T1w": "", "T2w": "y.nii", "mask": "", "session": "a", **bad}
  said = _said(_write(tmp_path, *rows, _row(**cells)))
  assert "error" in said
  assert "(in no row of the manifest): other.nii" in said
