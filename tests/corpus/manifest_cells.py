"""Manifests: columns, rows and cells."""

from corpus.entry import flagged, read, read_or, refused, told
from corpus.manifests import MANIFESTS, cell, further, rows

add = MANIFESTS.add


add(
  "row_short",
  "a row that lacks its last cell",
  rows(lambda rows: (further("a", "b", "c")(rows), rows[2].pop())),
  read,
)
add(
  "row_long",
  "a row with a cell more than the header",
  rows(lambda rows: rows[2].append("more"), True),
  refused("row 3"),
)
add(
  "column_twice",
  "a column twice",
  rows(further("a", "b", "c", name="T2w"), True),
  refused("T2w"),
)
add(
  "column_twice_case",
  "columns patient and Patient",
  rows(further("a", "b", "c", name="Patient"), True),
  refused("patient"),
)
add(
  "column_capital",
  "a column called Mask",
  rows(cell(0, 2, "Mask"), True),
  read_or(refused("mask")),
)
add(
  "no_patient",
  "no column patient",
  rows(cell(0, 0, "who"), True),
  refused("patient"),
)
add(
  "no_image",
  "no column of images",
  rows(cell(0, 1, "picture"), True),
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


add("row_twice", "one study twice", rows(_repeated), refused("repeat|p2"))
add(
  "split_misspelt",
  "split is tests",
  rows(further("train", "tests", "train", name="split")),
  refused("tests"),
)
add(
  "fold_half",
  "fold is 1.5",
  rows(further("0", "1.5", "2", name="fold")),
  refused(r"1\.5"),
)


def _two_sessions(column, first, second):
  def change(rows):
    rows[0] += ["session", column]
    for row in rows[1:]:
      row += ["a", first]
    rows.append([*rows[2][:3], "b", second])

  def make(w):
    rows(change)(w)
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

add("no_id", "a row without a patient", rows(cell(2, 0, "")), refused("row 3"))
add(
  "na_id",
  "a row whose patient is n/a",
  rows(cell(2, 0, "n/a")),
  refused("row 3"),
)
add(
  "id_folder", "a patient called a/b", rows(cell(2, 0, "a/b")), refused("a/b")
)
add("id_up", "a patient called ..", rows(cell(2, 0, "..")), refused(r"\.\."))
add(
  "id_script",
  "a patient called <script>alert(1)</script>",
  rows(cell(2, 0, "<script>alert(1)</script>")),
  refused("script"),
)
add(
  "id_newline",
  "a patient whose id has a newline",
  rows(cell(2, 0, '"p2\nx"')),
  refused("row 3"),
)
add(
  "id_tab",
  "a patient whose id has a tab",
  rows(cell(2, 0, '"p2\tx"')),
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
  predict=told("P2"),  # which of them, the disk decides
)
add(
  "path_wrong",
  "a path that leads nowhere",
  rows(cell(2, 1, "x.nii.gz")),
  refused(r"x\.nii\.gz"),
)
add(
  "path_case",
  "a path in other case than the file",
  rows(cell(2, 1, "P2_t2W.nii.gz")),
  refused("P2_t2W"),
)
add(
  "path_windows",
  "a path with backslashes",
  rows(cell(2, 1, "C:\\scans\\p2_T2w.nii.gz")),
  refused("scans"),
)
add(
  "path_folder", "a path of a folder", rows(cell(2, 1, ".")), refused("row 3")
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
  rows(further("=HYPERLINK(0)", "+1", "@x")),
  read,
)


def _only_t1w(w):
  rows = w.rows()
  further("", rows[2][1], "", name="T1w")(rows)
  rows[2][1] = ""
  w.write_table(rows)
  w.culprit = None


add(
  "only_t1w",
  "a row without the image that the run takes",
  _only_t1w,
  refused("p2.*without T2w"),
)
