"""Weights that a run starts from: by content, and whom they have seen."""

import os
import shutil
import types

import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import environment, leaks, origins, runs
from lumbar_jax.data.splits import Splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json, write_text
from lumbar_jax.training import identity


def settings(**training):
  config = config_lib.default()
  config.data.update(root="/data/B", num_folds=2)
  config.training.update(training)
  return config


def studies_of(*patients, prefix="", channel="T2w"):
  """Returns a study of each patient; the files' digests have the names."""
  return [
    types.SimpleNamespace(
      name=f"{name}_1",
      patient=name,
      info={
        "digest": f"{prefix}{name}",
        "files": {channel: f"image of {prefix}{name}", "mask": "empty"},
      },
    )
    for name in patients
  ]


def splits_of(test, *folds):
  return Splits(tuple(test), tuple(map(tuple, folds)))


def save_weights(folder, fold, content):
  """Writes what tells a fold's weights from others."""
  place = folder / f"fold_{fold}" / "checkpoints" / "best" / "3" / "info"
  write_json(place / "metadata", {"checksum": {"content": content}})


def trained(folder, splits, studies, *, root="/data/A", **training):
  """Writes what there is of a trained run that others may start from."""
  config = settings(**training)
  config.data.root = root
  run = runs.open_run(folder, config)
  content = {"test": splits.test, "folds": splits.folds, "unlabelled": []}
  write_json(folder / "splits.json", content | {"settings": {}})
  digests = {s.name: s.info["digest"] for s in studies}
  environment.record_environment(run, digests, leaks.facts(run, studies))
  for fold in run.folds:
    save_weights(folder, fold, f"{folder.name} {fold}")
  return run


OTHERS = studies_of("1", "2", "3", prefix="A")
THEIRS = splits_of(["3"], ["1"], ["2"])  # fold 0 trains on 2, fold 1 on 1


@pytest.fixture
def other(tmp_path):
  """A run on patients 1, 2, 3 of another data set."""
  return trained(tmp_path / "other", THEIRS, OTHERS).folder


def begun(tmp_path, other, **training):
  return runs.open_run(
    tmp_path / "run", settings(init_from=str(other), **training)
  )


class TestShared:
  def test_the_same_files_are_found_under_other_names(self, tmp_path, other):
    run = begun(tmp_path, other)
    ours = studies_of("a", "b", "c", "d")
    ours[2].info["files"]["T2w"] = "image of A2"  # c is their patient 2
    found = leaks.find(run, splits_of([], ["a", "c"], ["b", "d"]), ours)
    assert list(found) == ["0"]  # which is the fold that trained on 2
    assert found["0"][0].startswith("c (validation): the same files")
    with pytest.raises(
      InputError, match=r"fold 0 .* c \(validation\)"
    ) as caught:
      leaks.check(run, found)
    assert "allow_shared_patients=True" in str(caught.value)
    # What else helps is refused in this folder, which has been begun.
    assert "in another --workdir" in str(caught.value)
    third = trained(tmp_path / "third", THEIRS, studies_of("1", "2", "3"))
    for weights in ("", third.folder):
      with pytest.raises(InputError, match="give another --workdir"):
        begun(tmp_path, weights)
    # Whom both folds have not trained on may be anywhere.
    assert not leaks.find(run, splits_of(["a"], ["b"], ["d", "c"]), ours)

  def test_ids_count_in_one_data_set_only(self, tmp_path, other):
    run = begun(tmp_path, other)
    ours, splits = studies_of("1", "2", "4"), splits_of(["1"], ["2"], ["4"])
    assert not leaks.find(run, splits, ours)  # another root: other patients
    run.config.data.root = "/data/A"
    found = leaks.find(run, splits, ours)
    assert [line[:10] for line in found["0"]] == ["2 (validat"]
    assert [line[:8] for line in found["1"]] == ["1 (test)"]
    run.config.data.source = "manifest"
    assert not leaks.find(run, splits, ours)

  def test_masks_alike_are_no_patient(self, tmp_path, other):
    run = begun(tmp_path, other)
    ours = studies_of("a", "b", "c")  # all masks of all runs are "empty"
    assert not leaks.find(run, splits_of(["a"], ["b"], ["c"]), ours)

  def test_it_is_followed_through_several_runs(self, tmp_path, other):
    middle = trained(
      tmp_path / "middle",
      splits_of([], ["x"], ["y"]),
      studies_of("x", "y"),
      root="/data/M",
      init_from=str(other),
    )
    shutil.rmtree(other)  # gone since
    run = begun(tmp_path, middle.folder)
    ours = studies_of("a", "b")
    ours[0].info["files"]["T2w"] = "image of A1"
    found = leaks.find(run, splits_of(["a"], ["b"], ["c"]), ours)
    assert [line[:8] for line in found["1"]] == ["a (test)"]
    assert list(found) == ["1"]

  def test_one_patient_under_two_names(self, tmp_path):
    run = runs.open_run(tmp_path / "run", settings())
    ours = studies_of("a", "b", "c")
    ours[2].info["files"]["T2w"] = ours[0].info["files"]["T2w"]
    found = leaks.find(run, splits_of([], ["a"], ["b", "c"]), ours)
    assert found == {
      "0": ["a (validation): the same image is c's, who is trained on"],
      "1": ["c (validation): the same image is a's, who is trained on"],
    }
    assert not leaks.find(run, splits_of([], ["a", "c"], ["b"]), ours)

  def test_an_ensemble_asks_for_its_members_first_weights(
    self, tmp_path, other
  ):
    member = begun(tmp_path, other)
    folder = tmp_path / "e" / "pair"
    entry = {"name": "UMD", "path": "../../run", "weights": []}
    write_json(folder / "ensemble.json", {"members": [entry]})
    run = runs.Run(folder, member.config, member.scheme)
    ours = studies_of("a", "b", "c")
    ours[1].info["files"]["T2w"] = "image of A2"
    found = leaks.find(run, splits_of(["b"], ["a"], ["c"]), ours)
    assert found == {
      "0": [
        "b (test): the same files were trained on before, by the first "
        "weights of UMD"
      ]
    }


class TestAllowed:
  FOUND = {"0": ["a (test): the same files"]}  # noqa: RUF012

  def test_what_was_allowed_stays_allowed_and_is_in_the_tables(self, tmp_path):
    run = runs.open_run(tmp_path, settings(allow_shared_patients=True))
    leaks.check(run, self.FOUND)
    assert leaks.note(tmp_path) == ""
    more = {"files": {}, "shared_patients": self.FOUND}
    more["shared_allowed"] = True
    environment.record_environment(run, {}, more)
    run.config.training.allow_shared_patients = False
    leaks.check(run, self.FOUND)
    assert leaks.note(tmp_path) == leaks.NOTE
    with pytest.raises(InputError, match="b \\(test\\)"):
      leaks.check(run, {"0": [*self.FOUND["0"], "b (test): too"]})

  def test_runs_of_older_versions_go_on_and_say_so(self, tmp_path):
    run = runs.open_run(tmp_path, settings())
    environment.record_environment(run, {})
    leaks.check(run, self.FOUND)  # nobody looked when it was begun
    more = {"files": {}, "shared_patients": self.FOUND}
    environment.record_environment(run, {}, more)
    assert leaks.note(tmp_path) == leaks.NOTE


class TestUnknown:
  def warned(self, monkeypatch, run, ours):
    said = []
    monkeypatch.setattr(
      leaks.logging, "log_first_n", lambda *args: said.append(str(args[4:]))
    )
    found = leaks.find(run, splits_of(["1"], ["a"], ["b"]), ours)
    return found, " ".join(said)

  def test_older_runs_are_compared_by_id(self, tmp_path, other, monkeypatch):
    path = other / "environment.json"
    old = read_json(path)
    write_json(path, {"studies": old["studies"]})
    run = begun(tmp_path, other)
    run.config.data.root = "/data/A"
    found, said = self.warned(monkeypatch, run, studies_of("1", "a", "b"))
    assert list(found) == ["1"]
    assert "kept no digests" in said

  def test_without_any_record_it_is_said(self, tmp_path, other, monkeypatch):
    (other / "splits.json").unlink()
    run = begun(tmp_path, other)
    found, said = self.warned(monkeypatch, run, studies_of("1", "a", "b"))
    assert not found
    assert "does not say whom it was trained on" in said


class TestOrigins:
  def test_a_moved_run_is_the_same(self, tmp_path, other):
    run = begun(tmp_path, other)
    moved = shutil.move(other, tmp_path / "moved")
    assert begun(tmp_path, moved).config.training.init_from == str(moved)
    assert begun(tmp_path, other)  # (gone: folds that have begun need it not)
    save_weights(moved, 1, "trained on")
    with pytest.raises(InputError, match="init_from has other content"):
      begun(tmp_path, moved)
    assert read_json(run.folder / "origins.json")["weights"] == {
      "training.init_from": {"0": "other 0", "1": "other 1"}
    }

  def test_each_fold_starts_from_what_the_run_began_with(self, tmp_path, other):
    begun(tmp_path, other)
    run = runs.load_run(tmp_path / "run")  # as a mode without --config does
    field = "training.init_from"
    origins.check_start(run.folder, run.config, field, 0)
    save_weights(other, 1, "trained on")
    origins.check_start(run.folder, run.config, field, 0)
    with pytest.raises(InputError, match="init_from has other content"):
      origins.check_start(run.folder, run.config, field, 1)
    shutil.rmtree(other / "fold_0")
    with pytest.raises(InputError, match="no trained network"):
      origins.check_start(run.folder, run.config, field, 0)

  def test_none_is_not_some(self, tmp_path, other):
    begun(tmp_path, other)
    with pytest.raises(InputError, match=r"config\.training\.init_from"):
      begun(tmp_path, "")

  def test_an_untrained_fold_is_refused_at_once(self, tmp_path, other):
    shutil.rmtree(other / "fold_1")
    with pytest.raises(InputError, match="no trained network"):
      begun(tmp_path, other)
    assert not (tmp_path / "run" / "config.json").exists()

  def test_a_backbones_file_counts_by_its_content(self, tmp_path):
    file, config = tmp_path / "resnet.npz", settings()
    write_text(file, "weights")
    config.model.backbone_weights = str(file)
    runs.open_run(tmp_path / "run", config)
    config.model.backbone_weights = str(shutil.move(file, tmp_path / "moved"))
    runs.open_run(tmp_path / "run", config)
    write_text(tmp_path / "moved", "others")
    with pytest.raises(InputError, match="backbone_weights has other content"):
      runs.open_run(tmp_path / "run", config)
    with pytest.raises(InputError, match="backbone_weights has other content"):
      origins.check_start(tmp_path / "run", config, "model.backbone_weights", 1)

  def test_older_folders_keep_their_paths(self, tmp_path, other):
    run = begun(tmp_path, other)
    (run.folder / "origins.json").unlink()
    begun(tmp_path, other)
    origins.check_start(run.folder, run.config, "training.init_from", 0)
    copy = shutil.copytree(other, tmp_path / "copy")
    begun(tmp_path, copy)  # the old one is there to be compared with
    save_weights(copy, 0, "another")
    with pytest.raises(InputError, match="has other content"):
      begun(tmp_path, copy)


def test_images_that_were_trained_on_are_known(other):
  run = runs.load_run(other)
  assert leaks.trained_images(run, [0]) == {"image of A2": "2_1"}
  assert set(leaks.trained_images(run, [0, 1]).values()) == {"1_1", "2_1"}
  write_json(other / "environment.json", {"studies": {}})
  assert leaks.trained_images(run, [0, 1]) == {}


def test_weights_without_a_checksum_are_told_by_their_files(tmp_path):
  place = tmp_path / "checkpoints" / "best" / "7"
  write_text(place / "tree" / "data", "a")
  write_text(place / "info" / "metadata", "{}")
  first = origins.best_identity(tmp_path)
  copy = shutil.copytree(tmp_path, tmp_path / "copy")
  assert origins.best_identity(copy) == first
  write_text(place / "tree" / "data", "b")
  assert origins.best_identity(tmp_path) not in ("", first)
  assert origins.best_identity(tmp_path / "nothing") == ""


def test_files_without_a_checksum_are_read_once(tmp_path, monkeypatch):
  data = tmp_path / "checkpoints" / "best" / "7" / "tree" / "data"
  write_text(data, "a")
  read, real = [], identity.file_digest
  monkeypatch.setattr(
    identity, "file_digest", lambda p: read.append(p) or real(p)
  )
  first = identity.best_identity(tmp_path)
  assert identity.best_identity(tmp_path) == first
  assert read == [data]
  kept = data.stat()
  write_text(data, "b")  # another file of the same size and date
  os.utime(data, ns=(kept.st_atime_ns, kept.st_mtime_ns))
  assert identity.best_identity(tmp_path) != first
  assert read == [data, data]
