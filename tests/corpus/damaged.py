"""Damaged files of a run and of an output folder."""

import json

from corpus import harness
from corpus.entry import Family, flagged, read, read_or, refused, told
from corpus.interrupted import TEXTS, spoil

RUN = Family("damaged run", commands=("predict",))
OUTPUT = Family("damaged output", commands=("predict",))


def _run_file(name, how):
  def make(w):
    path = w.run_folder / name
    spoil(path, how)
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
      f"{_name} is {TEXTS[_how]}",
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
    spoil(w.output / name, how)
    w.culprit, w.whole = w.output / name, whole

  return _predicted(change)


for _how in ("cut", "empty", "list", "bytes"):
  OUTPUT.add(
    f"sidecar_{_how}",
    f"a sidecar is {TEXTS[_how]}",
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
    f"dataset_description.json is {TEXTS[_how]}",
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
