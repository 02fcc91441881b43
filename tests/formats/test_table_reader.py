"""Tables of all kinds are read as one, and what is none is refused."""

import codecs
import gzip

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax.errors import InputError
from lumbar_jax.formats import tables, text
from lumbar_jax.formats.tables import read_table

LINES = ("patient\tT2w\tremark", "P1\ta.nii\tgut", "P2\tb.nii\tMüller, zwei")
PLAIN = "\n".join(LINES) + "\n"
ROWS = (
  (2, {"patient": "P1", "T2w": "a.nii", "remark": "gut"}),
  (3, {"patient": "P2", "T2w": "b.nii", "remark": "Müller, zwei"}),
)


def _read(tmp_path, content, name="table.tsv"):
  path = tmp_path / name
  raw = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(raw)
  return read_table(path)


@pytest.mark.parametrize(
  ("raw", "noted"),
  [
    (PLAIN.encode(), ""),
    (codecs.BOM_UTF8 + PLAIN.encode(), ""),
    (PLAIN.encode("utf-16"), "UTF-16"),
    (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "UTF-16"),
    (PLAIN.encode("utf-16-le"), "UTF-16-LE"),
    (PLAIN.encode("utf-16-be"), "UTF-16-BE"),
    (PLAIN.encode("utf-32"), "UTF-32"),
    (PLAIN.encode("latin-1"), "Windows-1252"),
    (PLAIN.replace("\n", "\r\n").encode(), ""),
    (PLAIN.replace("\n", "\r").encode(), ""),
    (PLAIN.rstrip("\n").encode(), ""),
    ((PLAIN + "\n\t\t\n\n").encode(), ""),
    (PLAIN.replace("\n", "\t\t\n").encode(), ""),
    (PLAIN.replace("\t", " \t ").encode(), ""),
    ((PLAIN + "\x1a").encode(), ""),
  ],
)
def test_encodings_and_line_ends(tmp_path, raw, noted):
  table = _read(tmp_path, raw)
  assert table.header == ("patient", "T2w", "remark")
  assert table.rows == ROWS
  assert noted in " ".join(table.notes)
  assert bool(table.notes) == bool(noted)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.CSV", "a.txt"])
@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_delimiters_whatever_the_extension(tmp_path, name, delimiter):
  lines = [line.replace(", zwei", "").split("\t") for line in LINES]
  lines[2][2] = '"Müller, zwei; ""drei"""'
  content = "\n".join(delimiter.join(cells) for cells in lines)
  table = _read(tmp_path, content, name)
  assert [row["patient"] for _, row in table.rows] == ["P1", "P2"]
  assert table.rows[1][1]["remark"] == 'Müller, zwei; "drei"'


def test_decimal_commas_are_no_delimiters(tmp_path):
  table = _read(tmp_path, "id;weight;age\na;1,5;3\nb;2,25;4\n")
  assert table.rows[1] == (3, {"id": "b", "weight": "2,25", "age": "4"})
  table = _read(tmp_path, "sep=;\nid;weight\na;1,5\n")
  assert table.rows == ((3, {"id": "a", "weight": "1,5"}),)


def test_quotes_that_mean_nothing(tmp_path):
  """BIDS tables have no quotes: one may begin a cell and never end."""
  table = _read(tmp_path, 'a\tb\n"x\ty\n"p" q\tr\n')
  assert [row["a"] for _, row in table.rows] == ['"x', '"p" q']
  assert "quotes" in table.notes[0]
  with pytest.raises(InputError, match="row 2 cannot be read"):
    _read(tmp_path, 'a,b\n"x,y\n')


def test_short_rows_are_padded_and_noted(tmp_path):
  table = _read(tmp_path, "a\tb\tc\n" + "1\n" * 8)
  assert table.rows[0] == (2, {"a": "1", "b": "", "c": ""})
  (note,) = table.notes
  assert "row 2, 3, 4, 5, 6 and 3 more" in note


def test_columns_whatever_the_case_and_without_a_name(tmp_path):
  table = _read(tmp_path, ",Index,NAME,\n0,1,Disc,\n", "t.csv")
  assert table.header == ("Index", "NAME")
  assert table.rows == ((2, {"Index": "1", "NAME": "Disc"}),)
  assert (table.column("index"), table.column("color")) == ("Index", None)
  assert "column 1 has no name" in table.notes[0]


@pytest.mark.parametrize(
  ("content", "problem"),
  [
    ("", "no columns"),
    ("\n\t\n", "no columns"),
    ("a\tb\tA\n", "'a' occurs 2 times"),
    ("a\tb\n1\t2\n1\t2\t3\n", "row 3 has 3 cells and the header 2"),
    ("a\tb\n1\x00\t2\n", "character 0x00 in line 2"),
    (b"\xff\xfea\x00\n\x00\x01", "not a text table"),
    (b"PK\x03\x04" + bytes(40), "spreadsheet"),
    (gzip.compress(b"a\tb\n", mtime=0), "packed file"),
    ("a,b\n" + "x" * 200_000 + ",1\n", "row 2 cannot be read"),
  ],
)
def test_what_is_no_table_is_refused(tmp_path, content, problem):
  with pytest.raises(InputError, match=problem) as caught:
    _read(tmp_path, content)
  assert caught.value.path.name == "table.tsv"
  assert caught.value.remedy


def test_files_that_are_no_text(tmp_path, monkeypatch):
  nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), None), tmp_path / "a.nii")
  with pytest.raises(InputError, match="NIfTI"):
    read_table(tmp_path / "a.nii")
  with pytest.raises(InputError, match="cannot be read"):
    read_table(tmp_path / "absent.tsv")
  with pytest.raises(InputError, match="not a file"):
    read_table(tmp_path)
  monkeypatch.setattr(tables, "MAX_ROWS", 9)
  with pytest.raises(InputError, match="more than 9 rows"):
    _read(tmp_path, "a\n" * 11)
  monkeypatch.setattr(text, "MAX_BYTES", 1 << 20)
  with pytest.raises(InputError, match="more than 1 MiB"):
    _read(tmp_path, "a\n" * (1 << 20))
