"""Manifests: encodings, delimiters, columns, rows, cells."""

import os
import zipfile

from corpus.entry import Family, flagged, read, read_or, refused

MANIFESTS = Family("manifest")
add = MANIFESTS.add


def _as(**options):
  """Returns an entry with the good table, written otherwise."""
  return lambda w: w.write_table(w.rows(), **options)


def _content(change):
  """Returns an entry that changes the table's bytes."""

  def make(w):
    w.table.write_bytes(change(w.table.read_bytes()))
    w.culprit, w.whole = w.table, True

  return make


def _rows(change, whole=False, **options):
  """Returns an entry that changes the table's rows in place."""

  def make(w):
    rows = w.rows()
    change(rows)
    w.write_table(rows, **options)
    w.culprit, w.whole = w.table, whole

  return make


def _further(*cells, name="note"):
  """Returns a change that adds a column."""

  def change(rows):
    for row, cell in zip(rows, (name, *cells), strict=True):
      row.append(cell)

  return change


def _cell(row, column, value):
  """Returns a change of one cell."""

  def change(rows):
    rows[row][column] = value

  return change


def _csv(delimiter):
  def make(w):
    w.table = w.input = w.table.with_suffix(".csv")
    w.write_table(w.rows(), delimiter=delimiter)

  return make


# ---------------------------------------------------- encodings, delimiters

add(
  "bom",
  "a byte order mark (UTF-8)",
  _content(lambda b: b"\xef\xbb\xbf" + b),
  read,
  report="mne-tools/mne-bids#1594",
)
add(
  "utf16",
  'UTF-16, as Excel\'s "Unicode text"',
  _as(encoding="utf-16"),
  read,
  report="OpenNeuroOrg/openneuro#2515",
)
add(
  "utf16_be",
  "UTF-16, big-endian",
  lambda w: w.table.write_bytes(
    b"\xfe\xff" + w.table.read_text().encode("utf-16-be")
  ),
  read,
)
add(
  "latin1",
  "Latin-1, an accent in a further column",
  _rows(_further("M\xfcller", "b", "c"), encoding="latin-1"),
  read_or(flagged("encod|Latin|UTF")),
  report="aces/Loris-MRI#610",
)
add("crlf", "lines that end as on Windows", _as(newline="\r\n"), read)
add("cr", "lines that end as on old Macs", _as(newline="\r"), read)
add("csv", "commas in a .csv", _csv(","), read)
add("csv_semicolon", "semicolons in a .csv", _csv(";"), read)
add("tsv_comma", "commas in a .tsv", _as(delimiter=","), read)
add("tsv_semicolon", "semicolons in a .tsv", _as(delimiter=";"), read)
add(
  "quoted",
  "every cell in quotes",
  lambda w: w.write_table([[f'"{c}"' for c in r] for r in w.rows()]),
  read,
)
add(
  "padded",
  "spaces around cells",
  lambda w: w.write_table([[f" {c} " for c in r] for r in w.rows()]),
  read,
)
add(
  "blank_lines",
  "blank lines between and behind the rows",
  _content(lambda b: b.replace(b"\n", b"\n\n") + b"\t\t\n\n"),
  read,
)
add(
  "quote_inside",
  'a quote (38" coil) in a further column',
  _rows(_further('38" coil', "b", "c")),
  read,
)
add(
  "newline_inside",
  "a newline within quotes in a further column",
  _rows(_further('"two\nlines"', "b", "c")),
  read,
)
add(
  "nul",
  "a NUL byte in a cell",
  _rows(_further("a\0b", "b", "c"), True),
  read_or(refused("NUL|byte|text")),
)
add(
  "empty",
  "an empty file",
  _content(lambda b: b""),
  refused("header|column|empty"),
)
add(
  "header_only",
  "a header without rows",
  _content(lambda b: b.splitlines()[0] + b"\n"),
  refused("row"),
)
add(
  "no_header",
  "no header",
  _content(lambda b: b.split(b"\n", 1)[1]),
  refused("patient"),
)
add(
  "binary",
  "random bytes",
  _content(lambda b: os.urandom(64) * 9),
  refused("text|table|column|byte"),
)


def _excel(w):
  with zipfile.ZipFile(w.table, "w") as file:
    file.writestr("xl/workbook.xml", "<workbook/>")
  w.culprit, w.whole = w.table, True


add(
  "excel",
  "an Excel file named .tsv",
  _excel,
  refused("text|table|column|Excel"),
)
add(
  "long_cell",
  "a cell of 200 kB",
  _rows(_further("x" * 200_000, "b", "c"), True),
  read_or(refused("cell|row")),
)
add(
  "gone",
  "a table that is not there",
  lambda w: (_rows(lambda rows: None, True)(w), w.table.unlink()),
  refused("no such file"),
)

# ------------------------------------------------------------ columns, rows

add(
  "row_short",
  "a row that lacks its last cell",
  _rows(lambda rows: (_further("a", "b", "c")(rows), rows[2].pop())),
  read,
)
add(
  "row_long",
  "a row with a cell more than the header",
  _rows(lambda rows: rows[2].append("more"), True),
  refused("row 3"),
)
add(
  "column_twice",
  "a column twice",
  _rows(_further("a", "b", "c", name="T2w"), True),
  refused("T2w"),
)
add(
  "column_twice_case",
  "columns patient and Patient",
  _rows(_further("a", "b", "c", name="Patient"), True),
  refused("patient"),
)
add(
  "column_capital",
  "a column called Mask",
  _rows(_cell(0, 2, "Mask"), True),
  read_or(refused("mask")),
)
add(
  "no_patient",
  "no column patient",
  _rows(_cell(0, 0, "who"), True),
  refused("patient"),
)
add(
  "no_image",
  "no column of images",
  _rows(_cell(0, 1, "picture"), True),
  refused("image|T2w"),
)


def _named(columns):
  def make(w):
    rows = w.rows()
    rows[0] = ["ID", "sag", "seg"]
    w.write_table(rows)
    w.fields["data.columns"] = columns
    w.culprit = None
    w.compare = True

  return make


_COLUMNS = ("patient=ID", "T2w=sag", "mask=seg")
add(
  "columns_named",
  "other names of columns, given by config.data.columns",
  _named(_COLUMNS),
  read,
  predict=None,
)
add(
  "columns_wrong",
  "config.data.columns names a column that is not there",
  _named(("patient=ID", "T2w=sagital", "mask=seg")),
  refused("sagital"),
  predict=None,
)
add(
  "columns_unknown",
  "config.data.columns names an unknown field",
  _named(("patient=ID", "T2=sag", "mask=seg")),
  refused("T2"),
  predict=None,
)


def _repeated(rows):
  rows.append(rows[2])


add("row_twice", "one study twice", _rows(_repeated), refused("repeat|p2"))
add(
  "split_misspelt",
  "split is tests",
  _rows(_further("train", "tests", "train", name="split")),
  refused("tests"),
)
add(
  "fold_half",
  "fold is 1.5",
  _rows(_further("0", "1.5", "2", name="fold")),
  refused(r"1\.5"),
)


def _two_sessions(column, first, second):
  def change(rows):
    rows[0] += ["session", column]
    for row in rows[1:]:
      row += ["a", first]
    rows.append([*rows[2][:3], "b", second])

  def make(w):
    _rows(change)(w)
    w.target, w.others = "p2_a", ["p1_a", "p3_a"]

  return make


add(
  "patient_split",
  "a patient in train and in test",
  _two_sessions("split", "train", "test"),
  refused("p2"),
  predict=read_or(refused("p2")),
)
add(
  "patient_folds",
  "a patient in two folds",
  _two_sessions("fold", "0", "1"),
  refused("p2"),
  predict=read_or(refused("p2")),
)

# -------------------------------------------------------------------- cells

add(
  "no_id", "a row without a patient", _rows(_cell(2, 0, "")), refused("row 3")
)
add(
  "na_id",
  "a row whose patient is n/a",
  _rows(_cell(2, 0, "n/a")),
  refused("row 3"),
)
add(
  "id_folder", "a patient called a/b", _rows(_cell(2, 0, "a/b")), refused("a/b")
)
add("id_up", "a patient called ..", _rows(_cell(2, 0, "..")), refused(r"\.\."))
add(
  "id_script",
  "a patient called <script>alert(1)</script>",
  _rows(_cell(2, 0, "<script>alert(1)</script>")),
  refused("script"),
)
add(
  "id_newline",
  "a patient whose id has a newline",
  _rows(_cell(2, 0, '"p2\nx"')),
  refused("row 3"),
)
add(
  "id_tab",
  "a patient whose id has a tab",
  _rows(_cell(2, 0, '"p2\tx"')),
  refused("row 3"),
)


def _formula(w):
  rows = w.rows()
  rows[2][0] = w.target = "=1+1"
  w.write_table(rows)
  w.culprit = w.table


add("id_formula", "a patient called =1+1", _formula, read_or(refused("=1")))


def _case_twins(w):
  rows = w.rows()
  rows[3][0] = "P2"
  w.write_table(rows)
  w.culprit, w.others = None, ["p1"]


add(
  "id_case",
  "two patients equal up to case: p2 and P2",
  _case_twins,
  flagged("P2"),
  predict=refused("P2"),
)
add(
  "path_wrong",
  "a path that leads nowhere",
  _rows(_cell(2, 1, "x.nii.gz")),
  refused(r"x\.nii\.gz"),
)
add(
  "path_case",
  "a path in other case than the file",
  _rows(_cell(2, 1, "P2_t2W.nii.gz")),
  refused("P2_t2W"),
)
add(
  "path_windows",
  "a path with backslashes",
  _rows(_cell(2, 1, "C:\\scans\\p2_T2w.nii.gz")),
  refused("scans"),
)
add(
  "path_folder", "a path of a folder", _rows(_cell(2, 1, ".")), refused("row 3")
)


def _absolute(w):
  rows = w.rows()
  rows[2][1] = str(w.image)
  w.write_table(rows)


add("path_absolute", "an absolute path", _absolute, read)


def _path_quoted(w):
  w.rename_image("p2 (1), new_T2w.nii.gz")


add("path_spaces", "a path with spaces, comma and brackets", _path_quoted, read)


def _zeros(w):
  rows = [row[:1] + row[1:] for row in w.rows()]
  for number, row in enumerate(rows[1:], 1):
    row[0] = f"00{number}"
  w.write_table(rows)
  w.target, w.others = "002", ["001", "003"]


add("id_zeros", "patients 001, 002, 003", _zeros, read)
add(
  "further_formula",
  "a formula in a further column",
  _rows(_further("=HYPERLINK(0)", "+1", "@x")),
  read,
)


def _only_t1w(w):
  rows = w.rows()
  _further("", rows[2][1], "", name="T1w")(rows)
  rows[2][1] = ""
  w.write_table(rows)
  w.culprit = None


add(
  "only_t1w",
  "a row without the image that the run takes",
  _only_t1w,
  refused("p2.*without T2w"),
)
