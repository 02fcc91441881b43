"""An ensemble's folder: what it is made of, and when it is made anew."""

import types

import pytest

from lumbar_jax import combine, environment, leaks, runs
from lumbar_jax import config as config_lib
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.errors import InputError
from lumbar_jax.files import write_json, write_text

PAIR = Ensemble("pair", ("U1", "UMD"), "arithmetic")
SHARED = {"0": ["a (test): the same files"]}


def member(folder, name, **facts):
  """Writes what an ensemble needs of a trained run."""
  config = config_lib.default()
  config.model.name, config.data.num_folds = name, 2
  run = runs.open_run(folder / name, config)
  splits = {"test": [], "folds": [["1"], ["2"]], "unlabelled": []}
  write_json(run.folder / "splits.json", splits | {"settings": {}})
  environment.record_environment(run, {"1_1": "aa"}, facts)
  return Member(name, run)


def make(folder, members, weights="first", *, renew=True):
  known = types.SimpleNamespace(digests=lambda _: [f"{weights} weights"] * 2)
  config = members[0].run.config
  return combine.make_ensemble(
    folder, PAIR, members, config, known, renew=renew
  ).run


@pytest.fixture
def members(tmp_path):
  return [member(tmp_path / "runs", name) for name in PAIR.members]


def test_nothing_is_left_of_an_ensemble_that_is_made_anew(
  tmp_path, members, monkeypatch
):
  folder = tmp_path / "ensembles" / "pair"
  head = make(folder, members).fold_folder(0) / "checkpoints" / "latest"
  write_text(head, "trained on the first weights")
  assert make(folder, members).folder == folder
  assert head.exists()  # the weights are the same

  def killed(*_, **__):
    raise KeyboardInterrupt

  monkeypatch.setattr("shutil.rmtree", killed)
  with pytest.raises(KeyboardInterrupt):
    make(folder, members, "other")
  monkeypatch.undo()
  assert not folder.exists()
  assert not make(folder, members, "other").fold_folder(0).exists()


def test_folds_of_an_unknown_ensemble_are_not_taken_over(tmp_path, members):
  folder = tmp_path / "ensembles" / "pair"
  run = make(folder, members)
  write_text(run.fold_folder(1) / "checkpoints" / "latest", "of others")
  for name in ("ensemble.json", "config.json"):
    (folder / name).unlink()
  with pytest.raises(InputError, match=r"trained folds.*ensemble\.json"):
    make(folder, members)


@pytest.mark.parametrize(
  "facts",
  [
    {},  # as an older version wrote it, which looked at nobody
    {"files": {}, "shared_patients": SHARED, "shared_allowed": True},
  ],
)
def test_a_new_ensemble_is_asked_for_shared_patients(tmp_path, facts):
  members = [member(tmp_path / "runs", n, **facts) for n in PAIR.members]
  run = make(tmp_path / "ensemble", members)
  with pytest.raises(InputError, match="whom it has learnt from"):
    leaks.check(run, SHARED)
  run.config.training.allow_shared_patients = True
  leaks.check(run, SHARED)
  more = {"files": {}, "shared_patients": SHARED, "shared_allowed": True}
  environment.record_environment(run, {"1_1": "aa"}, more)
  run.config.training.allow_shared_patients = False
  leaks.check(run, SHARED)  # what was allowed once stays so
