"""Tables of labels (dseg.tsv) and of patients (participants.tsv)."""

import os

import numpy as np

from corpus.entry import Family, flagged, read, read_or, refused, told
from corpus.world import DSEG, drawing

LABELS = Family("dseg.tsv", commands=("doctor", "training"))


def _written(content):
  """Returns an entry whose dseg.tsv holds this text or these bytes."""

  def make(w):
    raw = content if isinstance(content, bytes) else content.encode()
    w.dseg.write_bytes(raw)
    w.culprit = w.dseg

  return make


def _with_color(*colors):
  lines = DSEG.splitlines()
  rows = zip(lines, ("color", *colors), strict=True)
  return "".join(f"{line}\t{color}\n" for line, color in rows)


_COLORED = _with_color("#000000", "#e6194b", "#4363d8", "#3cb44b")
add = LABELS.add
add(
  "bom",
  "a byte order mark (UTF-8)",
  _written(b"\xef\xbb\xbf" + DSEG.encode()),
  read,
  report="mne-tools/mne-bids#1594",
)
add(
  "utf16",
  "UTF-16",
  _written(DSEG.encode("utf-16")),
  read,
  report="OpenNeuroOrg/openneuro#2515",
)
add(
  "latin1",
  "Latin-1, an accent in a further column",
  _written(
    _with_color("", "", "", "")
    .replace("color", "Bemerkung\xfc")
    .encode("latin-1")
  ),
  read_or(flagged("encod|Latin|UTF")),
  report="aces/Loris-MRI#610",
)
add(
  "crlf",
  "lines that end as on Windows",
  _written(DSEG.replace("\n", "\r\n")),
  read,
)
add(
  "cr",
  "lines that end as on old Macs",
  _written(DSEG.replace("\n", "\r")),
  read,
)
add("comma", "commas", _written(DSEG.replace("\t", ",")), read)
add("semicolon", "semicolons", _written(DSEG.replace("\t", ";")), read)
add(
  "row_short",
  "a row of a number alone",
  _written(_COLORED + "4\n"),
  refused("row|name"),
  report="aces/Loris-MRI#610",
)
add(
  "color_missing",
  "a row that lacks its colour",
  _written(_COLORED.replace("\t#3cb44b", "")),
  read,
)
add(
  "row_long",
  "a row with a cell too many",
  _written(DSEG + "4\tX\t\tmore\n"),
  refused("row"),
)
add(
  "number_twice", "a number twice", _written(DSEG + "3\tSacrum\n"), refused("3")
)
add(
  "name_twice",
  "a name twice, in other case",
  _written(DSEG + "4\tDISC\n"),
  refused("disc"),
)
add(
  "number_half",
  "a number of 1.5",
  _written(DSEG.replace("1\t", "1.5\t")),
  refused(r"1\.5"),
)
add(
  "number_float",
  "numbers such as 1.0, as spreadsheets write them",
  _written(DSEG.replace("1\t", "1.0\t").replace("2\t", "2.0\t")),
  read_or(refused(r"1\.0")),
)
add(
  "number_negative", "a number of -1", _written(DSEG + "-1\tX\n"), refused("-1")
)
add(
  "number_word",
  "a number of one",
  _written(DSEG.replace("1\t", "one\t")),
  refused("one"),
)
add(
  "no_background",
  "no row 0",
  _written(DSEG.replace("0\tBackground\n", "")),
  refused("0"),
)
add(
  "name_empty",
  "a structure without a name",
  _written(DSEG.replace("Disc", "")),
  refused("name|row"),
)
add(
  "no_column",
  "no column name",
  _written(DSEG.replace("name", "label")),
  refused("name"),
)
add(
  "columns_capital",
  "columns Index and Name",
  _written(DSEG.replace("index\tname", "Index\tName")),
  read_or(refused("index")),
)
add("empty", "an empty file", _written(""), refused("column|header|empty"))
add(
  "binary",
  "random bytes",
  _written(os.urandom(64) * 3 + b"\x00\xff"),
  refused("text|table|column|byte|encod"),
)
add(
  "folder",
  "a folder of that name",
  lambda w: (w.dseg.unlink(), w.dseg.mkdir(), setattr(w, "culprit", w.dseg)),
  read_or(told(r"dseg\.tsv")),
)


def _as_scheme(content):
  """Returns an entry that trains on the classes of a dseg.tsv."""

  def make(w):
    _written(content)(w)
    w.fields["data.scheme"] = str(w.dseg)

  return make


add("scheme", "a dseg.tsv as config.data.scheme", _as_scheme(_COLORED), read)
add(
  "scheme_color_bare",
  "colours without # in config.data.scheme",
  _as_scheme(_COLORED.replace("#", "")),
  read,
  report="bids-standard/bids-validator#63",
)
add(
  "scheme_color_name",
  "a colour by its name in config.data.scheme",
  _as_scheme(_COLORED.replace("#4363d8", "red")),
  read_or(refused("red")),
  report="bids-standard/bids-validator#63",
)
add(
  "scheme_color_wrong",
  "a colour of #12 in config.data.scheme",
  _as_scheme(_COLORED.replace("#4363d8", "#12")),
  refused("#12"),
)
add(
  "scheme_script",
  "a structure called <script> in config.data.scheme",
  _as_scheme(_COLORED.replace("Disc", "<script>alert(1)</script>")),
  read,
)
add(
  "scheme_formula",
  "a structure called =1+1 in config.data.scheme",
  _as_scheme(_COLORED.replace("Disc", "=1+1")),
  read,
)
add(
  "scheme_large",
  "a number of 70000 in config.data.scheme",
  _as_scheme(_COLORED + "70000\tCyst\t#ffffff\n"),
  read_or(told("70000|Cyst")),
)


def _scheme_ignore(w):
  _as_scheme(_COLORED + "9\tignore\t#ffffff\n")(w)
  labels = drawing()
  labels[2, 12:20, 4:20] = 9
  w.save_mask(labels)
  w.labels = np.where(labels == 9, 255, labels)


add(
  "scheme_ignore",
  "a row ignore in config.data.scheme, which is no class",
  _scheme_ignore,
  read,
)
