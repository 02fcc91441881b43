"""Interruptions and damaged files of our own folders."""

import json
import os
from unittest import mock

from corpus import harness
from corpus.entry import Family, flagged, read, read_or, refused, told

KILLED = Family("interrupted", commands=())
CACHE = Family("damaged cache", commands=("training",))
WORKDIR = Family("damaged workdir", commands=("training",))
RUN = Family("damaged run", commands=("predict",))
OUTPUT = Family("damaged output", commands=("predict",))
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


def _change(path, how):
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


_TEXTS = {
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
    (path,) = [
      p
      for p in w.workdir.glob(pattern)
      if "p2" in str(p) or "cache" not in str(p)
    ]
    _change(path, how)
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
    f"{_name} is {_TEXTS[_how]}",
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
      f"{_name} is {_TEXTS[_how]}",
      _trained(_name, _how),
      refused(_name),
    )


def _run_file(name, how):
  def make(w):
    path = w.run_folder / name
    _change(path, how)
    w.culprit, w.whole = path, True

  return make


for _name, _hows in (
  ("config.json", ("cut", "empty", "list", "bytes", "folder")),
  ("dseg.tsv", ("empty", "gone", "bytes")),
  ("thresholds.json", ("cut", "empty", "list", "bytes", "gone")),
  ("environment.json", ("cut", "list")),
):
  for _how in _hows:
    RUN.add(
      f"{_name}_{_how}",
      f"{_name} is {_TEXTS[_how]}",
      _run_file(_name, _how),
      refused("json|tsv"),
    )


def _edited(name, change):
  """Returns an entry that edits a JSON file of the run."""

  def make(w):
    path = w.run_folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    w.culprit, w.whole = path, True

  return make


def _set(value):
  def change(content):
    content["thresholds"]["Disc"] = value

  return change


RUN.add(
  "threshold_changed",
  "a threshold was changed by hand",
  _edited("thresholds.json", _set(0.3)),
  refused("checksum|changed"),
)
RUN.add(
  "threshold_word",
  "a threshold is a word",
  _edited("thresholds.json", _set("high")),
  refused("thresholds"),
)
RUN.add(
  "threshold_nan",
  "a threshold is NaN",
  _edited("thresholds.json", _set(float("nan"))),
  refused("thresholds"),
)
RUN.add(
  "threshold_missing",
  "a class has no threshold",
  _edited("thresholds.json", lambda c: c["thresholds"].pop("Disc")),
  refused("thresholds"),
)


def _old(content):
  for name in [n for n in content if "sum" in n or "digest" in n.lower()]:
    del content[name]


RUN.add(
  "thresholds_old",
  "thresholds of a version without checksums",
  _edited("thresholds.json", _old),
  read_or(flagged("checksum")),
)
RUN.add(
  "field_unknown",
  "a config of a newer version",
  _edited("config.json", lambda c: c["data"].update(new_field=1)),
  refused("new_field"),
)


def _predicted(change):
  """Returns an entry that damages what a first prediction has written."""

  def make(w):
    seen = harness.run_predict(w)
    assert seen.made, seen
    change(w)

  return make


def _damage(name, how, whole=False):
  def change(w):
    _change(w.output / name, how)
    w.culprit, w.whole = w.output / name, whole

  return _predicted(change)


for _how in ("cut", "empty", "list", "bytes"):
  OUTPUT.add(
    f"sidecar_{_how}",
    f"a sidecar is {_TEXTS[_how]}",
    _damage("p2_dseg.json", _how),
    read_or(flagged("json")),
  )
OUTPUT.add(
  "mask_cut",
  "a mask is cut short, its sidecar is good",
  _damage("p2_dseg.nii.gz", "cut"),
  read_or(told(r"p2_dseg\.nii\.gz")),
)
for _how in ("cut", "empty", "list", "bytes"):
  OUTPUT.add(
    f"description_{_how}",
    f"dataset_description.json is {_TEXTS[_how]}",
    _damage("dataset_description.json", _how, True),
    refused("dataset_description"),
  )
OUTPUT.add(
  "dseg_gone", "dseg.tsv is not there", _damage("dseg.tsv", "gone"), read
)


def _failed_folder(w):
  (w.output / "failed.tsv").mkdir(parents=True)
  w.culprit, w.whole = w.output / "failed.tsv", True


OUTPUT.add(
  "failed_folder",
  "failed.tsv is a folder",
  _failed_folder,
  read_or(told(r"failed\.tsv")),
)


def _other_thresholds(w):
  import numpy as np

  from lumbar_jax import runs
  from lumbar_jax.evaluation.labelling import write_thresholds

  run = runs.load_run(w.run_folder)
  limits = np.full(run.scheme.num_classes, 0.5, np.float32)
  write_thresholds(run.thresholds_path(), run.scheme, limits)
  w.culprit, w.whole = w.output, True


OUTPUT.add(
  "other_run",
  "predictions by other thresholds lie there",
  _predicted(_other_thresholds),
  refused("Thresholds"),
)
