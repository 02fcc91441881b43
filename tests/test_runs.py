"""A run's folder: recorded, refused where it differs, movable, locked."""

import errno
import fcntl
import json
import multiprocessing
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from lumbar_jax import anatomy, config, environment, locks, runs
from lumbar_jax.data.splits import Splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.training.checkpoints import Checkpoints


def _settings(**fields):
  settings = config.default()
  settings.data.update(scheme="spider", remap={"L6": "Vertebra"})
  settings.augmentation.zoom = (0.9, 1.1)
  for name, value in fields.items():
    section, _, field = name.partition("__")
    settings[section][field] = value
  return settings


def test_a_config_comes_back_as_it_was(tmp_path):
  settings = _settings(training__class_weights=(1.0, 2.0, 3.0, 4.0))
  runs.open_run(tmp_path, settings)
  loaded = runs.load_run(tmp_path)
  assert loaded.config.to_dict() == settings.to_dict()
  assert isinstance(loaded.config.augmentation.zoom, tuple)
  assert isinstance(loaded.config.data.channels, tuple)
  assert loaded.config.data.remap.to_dict() == {"L6": "Vertebra"}
  assert loaded.scheme == anatomy.SPIDER
  config.validate(loaded.config)


def test_the_same_config_continues(tmp_path):
  runs.open_run(tmp_path, _settings())
  written = (tmp_path / "config.json").read_bytes()
  again = runs.open_run(tmp_path, _settings())
  assert again.config.to_dict() == _settings().to_dict()
  assert (tmp_path / "config.json").read_bytes() == written


@pytest.mark.parametrize(
  ("change", "field"),
  [
    (dict(model__width=7), r"model\.width = 64, not 7"),
    (dict(augmentation__zoom=(0.9, 1.2)), r"augmentation\.zoom = .*1\.1.*1\.2"),
    (dict(training__batch_size=3), r"training\.batch_size = 20, not 3"),
    (dict(data__masks="other"), r"data\.masks = 'manual_masks', not 'other'"),
    (dict(data__remap={"L6": "ignore"}), r"data\.remap\.L6 = 'Vertebra'"),
    (dict(data__remap={"L6": "Vertebra", "T9": "Disc"}), r"data\.remap\.T9"),
  ],
)
def test_another_value_that_shapes_results_is_refused(tmp_path, change, field):
  runs.open_run(tmp_path, _settings())
  settings = _settings()
  if "data__remap" in change:
    remap = change.pop("data__remap")
    with settings.unlocked(), settings.ignore_type():
      settings.data.remap.update(remap)
  for name, value in change.items():
    section, _, leaf = name.partition("__")
    settings[section][leaf] = value
  with pytest.raises(InputError, match=field) as caught:
    runs.open_run(tmp_path, settings)
  assert str(tmp_path / "config.json") in str(caught.value)
  assert "--workdir" in caught.value.remedy


def test_free_fields_may_change(tmp_path):
  runs.open_run(tmp_path, _settings())
  other = _settings(
    data__root="moved",
    data__num_workers=7,
    data__cache="elsewhere",
    training__tensorboard=False,
    training__checkpoint_every_steps=1,
    training__allow_shared_patients=True,
    model__remat=True,
    evaluation__batch_size=1,
    evaluation__num_bootstrap=10,
  )
  other.mode = "evaluate"
  run = runs.open_run(tmp_path, other)
  assert run.config.data.root == "moved"  # the new value is the one used
  assert str(run.cache) == "elsewhere"


def test_another_scheme_file_of_the_same_name_is_refused(tmp_path):
  table = tmp_path / "mine" / "dseg.tsv"
  anatomy.write_dseg_tsv(table, anatomy.SPIDER)
  settings = _settings(data__scheme=str(table))
  runs.open_run(tmp_path / "run", settings)
  table.write_text(table.read_text().replace("Disc", "Disk"))
  with pytest.raises(InputError, match=r"Disc.* not .*Disk"):
    runs.open_run(tmp_path / "run", settings)


def test_a_scheme_file_may_be_moved_but_not_its_numbers_changed(tmp_path):
  table = tmp_path / "mine" / "dseg.tsv"
  anatomy.write_dseg_tsv(table, anatomy.SPIDER)
  runs.open_run(tmp_path / "run", _settings(data__scheme=str(table)))
  moved = tmp_path / "moved" / "dseg.tsv"
  moved.parent.mkdir()
  text = shutil.move(table, moved).read_text()
  settings = _settings(data__scheme=str(moved))
  assert runs.open_run(tmp_path / "run", settings).config == settings
  moved.write_text(text.replace("3\t", "300\t"))
  with pytest.raises(InputError, match=r"numbers .* 3\), not .* 300\)"):
    runs.open_run(tmp_path / "run", settings)


def _trained(run, fold, num_epochs):
  checkpoints = Checkpoints(run.fold_folder(fold) / "checkpoints")
  info = {"epoch": num_epochs}
  checkpoints.save_latest(num_epochs, {"none": np.zeros(1)}, info)
  checkpoints.close()


def test_more_epochs_go_on_and_fewer_than_done_are_refused(tmp_path):
  begun = _settings(training__num_epochs=4)
  run = runs.open_run(tmp_path, begun)
  _trained(run, 1, 4)
  more = runs.open_run(tmp_path, _settings(training__num_epochs=6))
  assert more.config.training.num_epochs == 6
  recorded = runs.load_run(tmp_path).config  # nothing was trained yet
  assert recorded.to_dict() == begun.to_dict()
  runs.record_epochs(more)
  recorded = runs.load_run(tmp_path).config
  assert recorded.to_dict() == more.config.to_dict()
  with pytest.raises(InputError, match=r"fold 1 .* 4 epochs.*num_epochs is 3"):
    runs.open_run(tmp_path, _settings(training__num_epochs=3))
  # As many as there are: what was asked for too much is taken back.
  assert runs.open_run(tmp_path, begun).config == begun


def test_what_tells_results_apart_is_that_of_older_versions():
  begun = _settings(evaluation__batch_size=4, model__remat=True)
  other = _settings(evaluation__batch_size=1, evaluation__num_bootstrap=9)
  found = config.identity(other, begun)
  assert found == config.identity(begun, begun)
  assert (found["evaluation.batch_size"], found["model.remat"]) == (4, True)
  longer = _settings(training__num_epochs=301)
  assert found != config.identity(longer, begun)
  assert not found.keys() & {"training.allow_shared_patients"}


def test_a_bad_config_leaves_no_folder(tmp_path):
  with pytest.raises(InputError):
    runs.open_run(tmp_path / "run", _settings(model__width=0))
  assert not (tmp_path / "run").exists()


def test_a_moved_folder_loads(tmp_path):
  table = tmp_path / "mine" / "dseg.tsv"
  anatomy.write_dseg_tsv(table, anatomy.PHANTOM)
  runs.open_run(tmp_path / "a", _settings(data__scheme=str(table)))
  shutil.rmtree(table.parent)  # the folder holds all that is needed
  (tmp_path / "b").mkdir()
  shutil.move(tmp_path / "a", tmp_path / "b" / "c")
  run = runs.load_run(tmp_path / "b" / "c")
  assert run.folder == tmp_path / "b" / "c"
  assert run.scheme.names == anatomy.PHANTOM.names
  assert run.scheme.name == "mine"  # not the run's folder, which moves
  assert run.fold_folder(1) == tmp_path / "b" / "c" / "fold_1"
  assert run.cache == tmp_path / "b" / "c" / "cache"
  assert run.thresholds_path(2).is_relative_to(run.fold_folder(2))
  assert run.thresholds_path().parent == run.folder


def test_a_folder_is_not_claimed_before_it_is_begun(tmp_path):
  folder = tmp_path / "run"
  runs.open_run(folder, _settings(data__num_folds=3), write=False)
  assert not folder.exists()
  run = runs.open_run(folder, _settings(data__num_folds=2), write=False)
  runs.begin_run(run)
  with pytest.raises(InputError, match=r"num_folds = 2, not 3"):
    runs.open_run(folder, _settings(data__num_folds=3), write=False)


def test_not_a_runs_folder(tmp_path):
  with pytest.raises(InputError, match=r"no config\.json"):
    runs.load_run(tmp_path / "nothing")


@pytest.mark.parametrize("place", ["new_field", "model"])
def test_a_field_of_another_version_is_named(tmp_path, place):
  runs.open_run(tmp_path, _settings())
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  if place == "model":
    values["model"]["new_field"] = 3
  else:
    values["new_field"] = 3
  path.write_text(json.dumps(values))
  with pytest.raises(InputError, match="new_field"):
    runs.load_run(tmp_path)


def test_folds(tmp_path):
  run = runs.open_run(tmp_path, _settings(data__num_folds=4))
  assert list(run.folds) == [0, 1, 2, 3]
  assert run.check_fold(3) == 3
  for fold in (-1, 4):
    with pytest.raises(InputError, match=rf"--fold={fold}.*0 to 3"):
      run.check_fold(fold)


def test_the_environment_is_recorded_once(tmp_path):
  run = runs.open_run(tmp_path, _settings(data__num_folds=2))
  environment.record_environment(run, {"sub-1": "aa", "sub-2": "bb"})
  recorded = read_json(tmp_path / "environment.json")
  assert recorded["studies"] == {"sub-1": "aa", "sub-2": "bb"}
  assert set(recorded["versions"]) >= {"jax", "flax", "optax"}
  assert recorded["seed"] == 0
  environment.record_environment(run, {"sub-2": "bb", "sub-1": "aa"})
  assert read_json(tmp_path / "environment.json") == recorded


def test_an_older_environment_gets_what_it_lacks(tmp_path):
  run = runs.open_run(tmp_path, _settings())
  environment.record_environment(run, {"sub-1": "aa"})
  old = read_json(tmp_path / "environment.json")
  more = {"root": "/data", "files": {"sub-1": {"T2w": "f"}}}
  environment.record_environment(run, {"sub-1": "aa"}, more)
  assert read_json(tmp_path / "environment.json") == old | more
  moved = more | {"root": "/moved", "shared_patients": {"0": ["sub-1"]}}
  environment.record_environment(run, {"sub-1": "aa"}, moved)
  found = read_json(tmp_path / "environment.json")
  assert found["root"] == "/data"  # where it was begun
  assert found["shared_patients"] == {"0": ["sub-1"]}


@pytest.mark.parametrize(
  ("studies", "message"),
  [
    ({"sub-1": "aa", "sub-2": "cc"}, "sub-2 is changed"),
    ({"sub-1": "aa"}, "sub-2 is missing"),
    ({"sub-1": "aa", "sub-2": "bb", "sub-3": "dd"}, "sub-3 is new"),
  ],
)
def test_other_data_are_refused(tmp_path, studies, message):
  run = runs.open_run(tmp_path, _settings())
  environment.record_environment(run, {"sub-1": "aa", "sub-2": "bb"})
  with pytest.raises(InputError, match=message):
    environment.record_environment(run, studies)


def test_older_runs_go_on_with_the_axes_that_they_took(tmp_path):
  """Files that do not give theirs were taken as LAS, and said nothing."""
  run = runs.open_run(tmp_path, _settings(data__num_folds=2))
  environment.record_environment(run, {"sub-1": "aa", "sub-2": "bb"})
  splits = Splits((), (("1",), ("2",)))

  def study(number, before):
    info = {"digest": f"{before} as LAS", "digest_unassumed": before}
    return types.SimpleNamespace(
      name=f"sub-{number}", patient=number, info=info
    )

  studies = [study("1", "aa"), study("2", "bb")]
  run.config.data.assume_orientation = "las"
  for _ in range(2):  # the second time, the file has what it lacked
    environment.record_data(run, splits, studies)
  found = read_json(tmp_path / "environment.json")
  assert found["studies"] == {"sub-1": "aa", "sub-2": "bb"}
  with pytest.raises(InputError, match="sub-2 is changed"):
    environment.record_data(run, splits, [studies[0], study("2", "cc")])
  run.config.data.assume_orientation = "PIR"
  with pytest.raises(InputError, match=r"as LAS then, and not as PIR.*=LAS"):
    environment.record_data(run, splits, studies)


# Takes the lock, says so, and holds it until its input closes.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_kept_out(tmp_path):
  with locks.locked(tmp_path):
    pass  # makes the file, and gives it back
  with subprocess.Popen(
    [sys.executable, "-c", _HOLDER, str(tmp_path / ".lock")],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as holder:
    assert holder.stdout.readline() == "held\n"
    with (
      pytest.raises(InputError, match="another process") as caught,
      locks.locked(tmp_path),
    ):
      pytest.fail("the lock was given twice")
    assert str(tmp_path) in str(caught.value)
    holder.stdin.close()
    assert holder.wait(30) == 0
  with locks.locked(tmp_path):  # free again when its holder has ended
    pass


def _try(folder, answer):
  try:
    with locks.locked(folder):
      answer.put("taken")
  except InputError:
    answer.put("refused")


def test_the_lock_is_held_in_the_block(tmp_path):
  context = multiprocessing.get_context("spawn")
  answer = context.Queue()
  with locks.locked(tmp_path):
    process = context.Process(target=_try, args=(tmp_path, answer))
    process.start()
    assert answer.get(timeout=60) == "refused"
    process.join()


@pytest.mark.parametrize("number", locks.NO_LOCKS)
def test_without_locks_work_goes_on_with_a_warning(
  tmp_path, monkeypatch, number
):
  def flock(*_):
    raise OSError(number, "No locks here")

  monkeypatch.setattr(fcntl, "flock", flock)
  monkeypatch.setattr(locks.logging, "log_first_n", lambda *a: said.append(a))
  said, ran = [], []
  with locks.locked(tmp_path):
    ran.append(True)
  assert ran
  assert "no locks" in said[0][1]
  assert tmp_path in said[0]


def test_other_errors_of_locking_are_not_swallowed(tmp_path, monkeypatch):
  def flock(*_):
    raise OSError(errno.EIO, "Broken")

  monkeypatch.setattr(fcntl, "flock", flock)
  with pytest.raises(OSError, match="Broken"), locks.locked(tmp_path):
    pytest.fail("the lock was given")


def test_the_lock_is_free_after_an_error(tmp_path):
  with pytest.raises(KeyError), locks.locked(tmp_path):
    raise KeyError
  context = multiprocessing.get_context("spawn")
  answer = context.Queue()
  process = context.Process(target=_try, args=(tmp_path, answer))
  process.start()
  assert answer.get(timeout=60) == "taken"
  process.join()
