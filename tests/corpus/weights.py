"""Weights of a run: damaged, cut short, gone."""

import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from corpus.entry import Family, read, refused
from lumbar_jax import runs
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.networks import abstract_variables, build_network

WEIGHTS = Family("damaged weights", commands=("predict",))
_MADE: dict = {}  # fold's checkpoints, made once
_WORDS = "damaged|checkpoint|weights|trained"


def _checkpoints(run) -> Path:
  """Returns the checkpoints of an untrained network."""
  if not _MADE:
    _MADE["place"] = tempfile.TemporaryDirectory(prefix="corpus_weights_")
    data, rng = run.config.data, np.random.default_rng(0)
    shapes = abstract_variables(
      build_network(run), data.patch_size, len(data.channels)
    )
    variables = jax.tree.map(
      lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes
    )
    checkpoints = Checkpoints(Path(_MADE["place"].name) / "checkpoints")
    checkpoints.save_best(0, variables, {"epoch": 0})
    checkpoints.close()
  return Path(_MADE["place"].name) / "checkpoints"


def _with(change):
  """Returns an entry whose run has weights, those of fold 1 spoilt."""

  def make(w):
    run = runs.load_run(w.run_folder)
    for fold in run.folds:
      place = run.fold_folder(fold) / "checkpoints"
      shutil.copytree(_checkpoints(run), place)
    change(run.fold_folder(1) / "checkpoints")
    w.real_weights, w.culprit, w.whole = True, None, True

  return make


def _largest(folder: Path) -> Path:
  files = [path for path in folder.rglob("*") if path.is_file()]
  return max(files, key=lambda path: path.stat().st_size)


def _flipped(folder):
  path = _largest(folder)
  raw = bytearray(path.read_bytes())
  for place in range(len(raw) // 2, len(raw) // 2 + 64):
    raw[place] ^= 0xFF
  path.write_bytes(bytes(raw))


def _cut(folder):
  path = _largest(folder)
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _json(content):
  def change(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and _is_json(p)]
    assert paths, list(folder.rglob("*"))
    for path in paths:
      path.write_bytes(content)

  return change


def _is_json(path: Path) -> bool:
  try:
    return path.read_bytes()[:1] in (b"{", b"[")
  except OSError:
    return False


_REPORT = "wasserth/TotalSegmentator#289, MIC-DKFZ/nnUNet#211"
add = WEIGHTS.add
add("good", "nothing wrong", _with(lambda folder: None), read)
add(
  "flipped",
  "64 flipped bytes in the largest file",
  _with(_flipped),
  refused(_WORDS),
  report=_REPORT,
)
add(
  "cut",
  "the largest file cut short",
  _with(_cut),
  refused(_WORDS),
  report=_REPORT,
)
add(
  "empty",
  "the largest file empty",
  _with(lambda folder: _largest(folder).write_bytes(b"")),
  refused(_WORDS),
)
add(
  "gone",
  "the largest file is not there",
  _with(lambda folder: _largest(folder).unlink()),
  refused(_WORDS),
)
add(
  "folder_gone",
  "a fold without checkpoints",
  _with(shutil.rmtree),
  refused(_WORDS),
)
add(
  "json_cut",
  "all JSON files cut to one bracket",
  _with(_json(b"{")),
  refused(_WORDS),
)
