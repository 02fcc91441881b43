"""Interruptions and damaged files of our own folders."""

import os
from unittest import mock

from corpus import harness
from corpus.entry import Family, flagged, read, refused

KILLED = Family("interrupted", commands=())
CACHE = Family("damaged cache", commands=("training",))
WORKDIR = Family("damaged workdir", commands=("training",))
_MOST_WRITES = 60


def _killing(place):
  """Returns a context in which the n-th file that is finished kills."""
  real, count = {n: getattr(os, n) for n in ("replace", "rename")}, [0]

  def patched(name):
    def finish(*args, **options):
      count[0] += 1
      if count[0] == place:
        raise KeyboardInterrupt
      return real[name](*args, **options)

    return mock.patch.object(os, name, finish)

  return [lambda: patched("replace"), lambda: patched("rename")]


def _killed(runner):
  """Kills a command at each of its writes in turn, in the same folder."""

  def make(w):
    for place in range(1, _MOST_WRITES):
      w.around, w.whole = _killing(place), True
      seen = runner(w)
      if seen.made and not seen.errors:
        break
    else:
      raise AssertionError("it never ended")
    assert place > 3, "nothing was interrupted"
    w.around, w.whole = [], False

  return make


KILLED.add(
  "predict",
  "prediction, killed at each file that it writes",
  _killed(harness.run_predict),
  read,
  predict=read,
)
KILLED.add(
  "prepare",
  "preparation, killed at each file that it writes",
  _killed(harness.run_training),
  read,
  training=read,
)


def _scratch(w):
  w.output.mkdir()
  for name in (".host-123-p2_dseg.nii.gz", ".host-123-dseg.tsv"):
    (w.output / name).write_bytes(b"half")
  for name in (".p2-abc123", ".damaged-x"):
    folder = w.workdir / "cache" / name
    folder.mkdir(parents=True)
    (folder / "image.npy").write_bytes(b"half")
  (w.workdir / ".host-123-config.json").write_text("{")


KILLED.add(
  "scratch",
  "temporary files that a killed process has left",
  _scratch,
  read,
  doctor=read,
  predict=read,
  training=read,
)


def _half_begun(w):
  """A folder whose config was never written."""
  w.workdir.mkdir()
  (w.workdir / "dseg.tsv").write_text("index\tname\n")


KILLED.add(
  "before_config",
  "killed before config.json was written",
  _half_begun,
  read,
  training=read,
)

# ----------------------------------------------------- what there was before


def spoil(path, how):
  raw = path.read_bytes()
  if how == "cut":
    path.write_bytes(raw[: len(raw) // 2])
  elif how == "empty":
    path.write_bytes(b"")
  elif how == "flip":
    place = len(raw) * 2 // 3
    flipped = bytes(b ^ 0xFF for b in raw[place : place + 4])
    path.write_bytes(raw[:place] + flipped + raw[place + 4 :])
  elif how == "list":
    path.write_text("[1, 2]")
  elif how == "bytes":
    path.write_bytes(b"\xff\xfe\x00\x01")
  elif how == "folder":
    path.unlink()
    path.mkdir()
  else:
    path.unlink()


TEXTS = {
  "cut": "cut short",
  "empty": "empty",
  "flip": "flipped in four bytes",
  "list": "a list",
  "bytes": "of random bytes",
  "folder": "a folder",
  "gone": "not there",
}


def _trained(pattern, how):
  """Returns an entry that damages what a first preparation has written."""

  def make(w):
    seen = harness.run_training(w)
    assert seen.made, seen
    found = sorted(w.workdir.glob(pattern))  # of p2, where there are three
    path = found[len(found) // 2]
    spoil(path, how)
    w.culprit, w.whole = path, True

  return make


for _name, _how in (
  ("image.npy", "cut"),
  ("image.npy", "flip"),
  ("native_mask.npy", "flip"),
  ("mask.npy", "gone"),
  ("info.json", "cut"),
  ("info.json", "list"),
):
  CACHE.add(
    f"{_name}_{_how}",
    f"{_name} is {TEXTS[_how]}",
    _trained(f"cache/*/{_name}", _how),
    flagged("damaged"),
  )
for _name, _hows in (
  ("config.json", ("cut", "empty", "list", "bytes")),
  ("splits.json", ("cut", "list", "bytes")),
  ("environment.json", ("cut", "list")),
  ("dseg.tsv", ("empty", "gone", "bytes")),
):
  for _how in _hows:
    WORKDIR.add(
      f"{_name}_{_how}",
      f"{_name} is {TEXTS[_how]}",
      _trained(_name, _how),
      refused(_name),
    )
