"""Tables of patients (participants.tsv) and sidecars."""

import os

from corpus.entry import Family, flagged, named, read, read_or, refused

PARTICIPANTS = Family("participants.tsv", kind="tree")
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
