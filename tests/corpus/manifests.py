"""Manifests: encodings, delimiters, columns, rows, cells."""

import os
import zipfile

from corpus.entry import Family, flagged, read, read_or, refused

MANIFESTS = Family("manifest")
add = MANIFESTS.add


def _as(**options):
  """Returns an entry with the good table, written otherwise."""
  return lambda w: w.write_table(w.rows(), **options)


def content(change):
  """Returns an entry that changes the table's bytes."""

  def make(w):
    w.table.write_bytes(change(w.table.read_bytes()))
    w.culprit, w.whole = w.table, True

  return make


def rows(change, whole=False, **options):
  """Returns an entry that changes the table's rows in place."""

  def make(w):
    rows = w.rows()
    change(rows)
    w.write_table(rows, **options)
    w.culprit, w.whole = w.table, whole

  return make


def further(*cells, name="note"):
  """Returns a change that adds a column."""

  def change(rows):
    for row, cell in zip(rows, (name, *cells), strict=True):
      row.append(cell)

  return change


def cell(row, column, value):
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
  content(lambda b: b"\xef\xbb\xbf" + b),
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
  rows(further("M\xfcller", "b", "c"), encoding="latin-1"),
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
  content(lambda b: b.replace(b"\n", b"\n\n") + b"\t\t\n\n"),
  read,
)
add(
  "quote_inside",
  'a quote (38" coil) in a further column',
  rows(further('38" coil', "b", "c")),
  read,
)
add(
  "newline_inside",
  "a newline within quotes in a further column",
  rows(further('"two\nlines"', "b", "c")),
  read,
)
add(
  "nul",
  "a NUL byte in a cell",
  rows(further("a\0b", "b", "c"), True),
  read_or(refused("NUL|byte|text")),
)
add(
  "empty",
  "an empty file",
  content(lambda b: b""),
  refused("header|column|empty"),
)
add(
  "header_only",
  "a header without rows",
  content(lambda b: b.splitlines()[0] + b"\n"),
  refused("row"),
)
add(
  "no_header",
  "no header",
  content(lambda b: b.split(b"\n", 1)[1]),
  refused("patient"),
)
add(
  "binary",
  "random bytes",
  content(lambda b: os.urandom(64) * 9),
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
  rows(further("x" * 200_000, "b", "c"), True),
  read_or(refused("cell|row")),
)
add(
  "gone",
  "a table that is not there",
  lambda w: (rows(lambda rows: None, True)(w), w.table.unlink()),
  refused("no such file"),
)
