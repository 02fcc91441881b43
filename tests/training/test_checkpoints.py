"""A damaged checkpoint is never loaded, and never taken for none at all."""

import contextlib
import json
import random
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from absl import logging as absl_logging

from lumbar_jax import space
from lumbar_jax.errors import InputError
from lumbar_jax.training import checkpoint_folder
from lumbar_jax.training import checkpoints as checkpoints_lib
from lumbar_jax.training.checkpoints import (
  BEST,
  LATEST,
  Checkpoints,
  epochs_done,
  load_best,
)

TREE = {
  "params": {
    "a": np.arange(6, dtype=np.float32),
    "b": {"k": np.ones((2, 3), np.float32)},
  },
  "stats": {"n": np.arange(2, dtype=np.int32)},
}
INFO = {"epoch": 1, "score": 0.5}


def shapes(tree):
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree
  )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """Returns a fold's folder with both checkpoints."""
  fold = tmp_path_factory.mktemp("run") / "fold_0"
  checkpoints = Checkpoints(fold / "checkpoints")
  checkpoints.save_best(1, TREE, INFO)
  checkpoints.save_latest(3, TREE, {"epoch": 2})
  checkpoints.close()
  return fold


@pytest.fixture
def fold(saved, tmp_path):
  return shutil.copytree(saved, tmp_path / "fold_0")


def check_best(fold):
  """Reads the best epoch, which has to be what was saved."""
  tree, info = load_best(fold / "checkpoints", shapes(TREE))
  assert info == INFO
  jax.tree.map(np.testing.assert_array_equal, tree, TREE)


def test_what_is_saved_comes_back_without_a_word(fold, caplog):
  check_best(fold)
  assert epochs_done(fold / "checkpoints") == 2
  assert "checksum" not in caplog.text
  state, info = Checkpoints(fold / "checkpoints").restore_latest(shapes(TREE))
  assert info == {"epoch": 2}
  jax.tree.map(np.testing.assert_array_equal, state, TREE)


def faults(content, rng):
  """Yields damaged versions of a file's content; None: the file is gone."""
  yield None
  yield content[: rng.randrange(len(content))]
  for length in (1, 1, 40):
    start = rng.randrange(len(content))
    flipped = bytearray(content)
    for place in range(start, min(start + length, len(content))):
      flipped[place] ^= 1 << rng.randrange(8)
    yield bytes(flipped)


# Tasks that orbax leaves behind when it fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damage_anywhere_gives_the_right_weights_or_an_error(saved, tmp_path):
  rng, fold, refused = random.Random(0), tmp_path / "fold_0", set()
  shutil.copytree(saved, fold)
  root = fold / "checkpoints" / BEST
  for path in sorted(root.rglob("*")):
    if not path.is_file():
      continue
    content = path.read_bytes()
    for fault in faults(content, rng):
      path.unlink() if fault is None else path.write_bytes(fault)
      try:
        check_best(fold)
      except InputError as error:
        refused.add((path.name, str(error)))
      path.write_bytes(content)
  names = {name for name, _ in refused}
  assert {"_METADATA", "metadata", "manifest.ocdbt"} <= names
  for _, text in refused:
    assert text.startswith(f"{root}: this checkpoint is damaged")
    assert f"restore the folder from a copy, or delete {fold}" in text
  check_best(fold)


@pytest.mark.parametrize("name", ["a", "n"])
def test_other_values_under_the_same_names_are_refused(fold, name):
  """As if the array's file had been rewritten by something else."""
  tree = jax.tree.map(np.copy, TREE)
  (tree["params"] if name == "a" else tree["stats"])[name][1] += 1
  other = fold.parent / "other"
  checkpoints = Checkpoints(other)
  checkpoints.save_best(1, tree, INFO)
  checkpoints.close()
  shutil.rmtree(fold / "checkpoints" / BEST / "1" / "tree")
  shutil.copytree(other / BEST / "1/tree", fold / "checkpoints/best/1/tree")
  with pytest.raises(InputError, match="its weights do not match"):
    load_best(fold / "checkpoints", shapes(TREE))


def edit_info(folder, edit):
  path = folder / "info" / "metadata"
  info = json.loads(path.read_text())
  edit(info)
  path.write_text(json.dumps(info))


def test_an_edited_epoch_is_refused(fold):
  folder = fold / "checkpoints" / LATEST / "3"
  edit_info(folder, lambda info: info.update(epoch=9))
  with pytest.raises(InputError, match="do not match their checksum"):
    epochs_done(fold / "checkpoints")


def test_one_that_is_replaced_meanwhile_is_not_called_damaged(
  fold, monkeypatch
):
  real, steps = checkpoints_lib.read_info, []

  def read(manager, step, folder):
    steps.append(step)
    if len(steps) == 1:  # as the process that trains the fold does
      live = Checkpoints(fold / "checkpoints")
      live.save_latest(4, TREE, {"epoch": 3})
      live.close()
    return real(manager, step, folder)

  monkeypatch.setattr(checkpoints_lib, "read_info", read)
  monkeypatch.setattr(checkpoints_lib, "_PAUSE_S", 0)
  assert epochs_done(fold / "checkpoints") == 3
  assert steps == [3, 4]


def test_a_damaged_one_that_stays_is_read_once(fold, monkeypatch):
  shutil.rmtree(fold / "checkpoints" / LATEST / "3" / "info")
  pauses = []
  monkeypatch.setattr(checkpoints_lib.time, "sleep", pauses.append)
  with pytest.raises(InputError, match="damaged"):
    epochs_done(fold / "checkpoints")
  assert not pauses


def test_an_older_checkpoint_is_read_with_one_warning(fold, monkeypatch):
  said = []
  monkeypatch.setattr(
    checkpoint_folder.logging,
    "log_first_n",
    lambda level, text, n, *args: said.append((level, text % args, n)),
  )
  edit_info(fold / "checkpoints/best/1", lambda info: info.pop("checksum"))
  check_best(fold)
  ours = [entry for entry in said if "no checksums" in entry[1]]
  assert [(level, times) for level, _, times in ours] == [
    (absl_logging.WARNING, 1)
  ]


def test_a_damaged_latest_is_not_begun_anew(fold):
  folder = fold / "checkpoints" / LATEST
  for path in folder.rglob("_METADATA"):
    path.write_bytes(b"{")
  checkpoints = Checkpoints(fold / "checkpoints")
  with pytest.raises(InputError, match="damaged") as caught:
    checkpoints.restore_latest(shapes(TREE))
  assert str(folder) in str(caught.value)
  checkpoints.close()
  shutil.rmtree(folder / "3")
  with pytest.raises(InputError, match="not there, but epoch 2 was run"):
    Checkpoints(fold / "checkpoints").restore_latest(shapes(TREE))


def test_a_state_that_finds_no_room_is_told_before_the_work(fold, monkeypatch):
  checkpoints = Checkpoints(fold / "checkpoints")
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(TREE))
  for free, fits in ((2 * size, True), (size, False)):
    usage = SimpleNamespace(total=10**9, free=free)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _, u=usage: u)
    words = contextlib.nullcontext()
    if not fits:
      words = pytest.raises(InputError, match="the next checkpoint needs about")
    with words:
      checkpoints.check_room(shapes(TREE))


def test_a_best_epoch_that_is_gone_is_not_called_untrained(fold):
  shutil.rmtree(fold / "checkpoints" / BEST)
  with pytest.raises(InputError, match="2 epochs ran"):
    load_best(fold / "checkpoints", shapes(TREE))


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(13, "no")])
def test_what_is_no_damage_is_not_called_so(fold, error, monkeypatch):
  def fail(*args, **options):
    raise error

  monkeypatch.setattr(checkpoint_folder, "open_manager", fail)
  with pytest.raises(type(error)):
    epochs_done(fold / "checkpoints")
  if isinstance(error, OSError):
    assert error.filename == str(fold / "checkpoints" / LATEST)
