"""Tables of labels (dseg.tsv) and of patients (participants.tsv)."""

import os

import numpy as np

from corpus.entry import Family, flagged, named, read, read_or, refused, told
from corpus.world import DSEG, drawing

LABELS = Family("dseg.tsv", commands=("doctor", "training"))
PARTICIPANTS = Family("participants.tsv", kind="tree")


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

# --------------------------------------------------------- participants.tsv

add = PARTICIPANTS.add


def _bytes(change):
  def make(w):
    w.table.write_bytes(change(w.table.read_bytes()))
    w.culprit = w.table
    w.fields["data.stratify_by"] = ("sex",)

  return make


add(
  "bom",
  "a byte order mark (UTF-8)",
  _bytes(lambda b: b"\xef\xbb\xbf" + b),
  read,
)
add(
  "utf16",
  "UTF-16",
  _bytes(lambda b: b.decode().encode("utf-16")),
  read,
  report="OpenNeuroOrg/openneuro#2515",
)
add(
  "latin1",
  "Latin-1",
  _bytes(lambda b: b.replace(b"sex", b"sex\tst\xe4dt")),
  read_or(flagged("encod|Latin|UTF")),
)
add(
  "crlf",
  "lines that end as on Windows",
  _bytes(lambda b: b.replace(b"\n", b"\r\n")),
  read,
)
add("semicolon", "semicolons", _bytes(lambda b: b.replace(b"\t", b";")), read)
add(
  "bare_ids",
  "ids without sub-",
  _bytes(lambda b: b.replace(b"sub-", b"")),
  read,
)
add(
  "unmatched",
  "a row whose patient has no folder",
  _bytes(lambda b: b + b"sub-p77\tF\n"),
  flagged("p77"),
  predict=read,
)
add(
  "missing_row",
  "a patient without a row",
  _bytes(lambda b: b.replace(b"sub-p2\tM\n", b"")),
  named("participant.*p2|p2.*participant"),
  predict=read,
)
add(
  "row_twice",
  "a patient twice",
  _bytes(lambda b: b + b"sub-p2\tF\n"),
  refused("p2"),
  predict=read,
)
add(
  "column_twice",
  "a column twice",
  _bytes(lambda b: b.replace(b"\n", b"\tF\n").replace(b"sex\tF", b"sex\tSex")),
  refused("sex"),
  predict=read,
)
add(
  "no_column",
  "no column participant_id",
  _bytes(lambda b: b.replace(b"participant_id", b"who")),
  refused("participant_id"),
  predict=read,
)
add(
  "empty",
  "an empty file",
  _bytes(lambda b: b""),
  refused("column|header|empty"),
  predict=read,
)
add(
  "binary",
  "random bytes",
  _bytes(lambda b: os.urandom(64) * 3 + b"\0\xff"),
  refused("text|table|column|byte|encod"),
  predict=read,
)
add(
  "gone",
  "no such file",
  lambda w: w.table.unlink(),
  flagged("participants"),
  predict=read,
)


def _lost_zeros(w):
  """Patients sub-001 ... whose rows a spreadsheet has turned into 1 ..."""
  from corpus import names

  names.rename_patients(w, ("001", "002", "003"))
  w.table.write_text("participant_id\tsex\n1\tF\n2\tM\n3\tF\n")
  w.fields["data.stratify_by"] = ("sex",)


add(
  "lost_zeros",
  "rows 1, 2, 3 for sub-001, sub-002, sub-003",
  _lost_zeros,
  flagged("zero"),
  predict=read,
)


def _sidecar(content):
  def make(w):
    path = w.image.with_name("sub-p2_T2w.json")
    path.write_bytes(content)
    w.culprit = path

  return make


add(
  "sidecar",
  "a sidecar that is no JSON",
  _sidecar(b"{'a': 1"),
  flagged("JSON"),
  predict=read_or(flagged("JSON")),
)
add(
  "sidecar_list",
  "a sidecar that is a list",
  _sidecar(b"[1, 2]"),
  flagged("list"),
  predict=read_or(flagged("list")),
)
add(
  "sidecar_bytes",
  "a sidecar of random bytes",
  _sidecar(b"\xff\xfe\x00\x01"),
  flagged("JSON"),
  predict=read_or(flagged("JSON")),
)
