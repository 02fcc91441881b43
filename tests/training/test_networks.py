"""From a config to network, optimizer and another run's weights."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import anatomy, config, models
from lumbar_jax.errors import InputError
from lumbar_jax.files import write_json
from lumbar_jax.runs import Run, open_run
from lumbar_jax.training import learnt, networks
from lumbar_jax.training.checkpoints import Checkpoints


def _settings(scheme="midas12", **model):
  settings = config.default()
  settings.data.update(scheme=scheme, patch_size=16, patch_stride=16)
  settings.model.update({"name": "U1", "width": 2} | model)
  return settings


def _run(settings, folder="runs/none"):
  return Run(Path(folder), settings, anatomy.SCHEMES[settings.data.scheme])


def _variables(run, seed):
  """Random variables, without compiling an initialisation."""
  net = networks.build_network(run)
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: rng.random(x.shape, np.float32),
    networks.abstract_variables(
      net, run.config.data.patch_size, len(run.config.data.channels)
    ),
  )


def _leaves(tree):
  return {
    jax.tree_util.keystr(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def test_the_config_reaches_the_network():
  settings = _settings(
    name="UVDD",
    width=6,
    activation="relu",
    batchnorm_momentum=0.8,
    dropout=(0.1, 0.2, 0.3),
    remat=True,
  )
  settings.training.dtype = "bfloat16"
  net = networks.build_network(_run(settings))
  assert net.topology.encoder == "V"
  assert net.num_classes == 12
  assert net.width == 6
  assert net.style.activation == "relu"
  assert net.style.batchnorm_momentum == 0.8
  assert net.style.dtype == jnp.bfloat16
  assert net.dropout == (0.1, 0.2, 0.3)
  assert net.remat
  net = networks.build_network(_run(_settings(scheme="spider", name="UVDD")))
  assert net.num_classes == 4
  assert net.style.activation == "prelu"  # Table 3
  assert net.style.dtype == jnp.float32


def test_the_config_reaches_fcn():
  settings = _settings(name="FCN", width=3)
  settings.training.dtype = "bfloat16"
  net = networks.build_network(_run(settings))
  assert (net.num_classes, net.width) == (12, 3)
  assert net.style.dtype == jnp.bfloat16
  assert net.dropout == (0.5, 0.5)  # its own, as the config names none
  settings.model.dropout = (0.1, 0.2)
  assert networks.build_network(_run(settings)).dropout == (0.1, 0.2)


# The first step of each rule from g = 2 (Keras' constants).
FIRST_STEP = {
  "adam": lambda rate: -rate,
  "rmsprop": lambda rate: -rate / np.sqrt(0.1),
  "adadelta": lambda rate: -rate * np.sqrt(1e-7) / np.sqrt(0.05),
}
TABLE_3 = {"U1": ("adadelta", 1.0), "UAD": ("rmsprop", 1e-3)}


def _first_step(settings):
  optimizer = networks.build_optimizer(_run(settings))
  x = np.zeros(1, np.float32)
  updates, _ = optimizer.update(x + 2, optimizer.init(x), x)
  return float(updates[0])


@pytest.mark.parametrize("name", models.names("000"))
def test_optimizer_of_table_3_by_default(name):
  rule, rate = TABLE_3.get(name, ("adam", 3.3e-4))
  step = _first_step(_settings(name=name))
  np.testing.assert_allclose(step, FIRST_STEP[rule](rate), rtol=1e-4)


def test_the_config_overrides_table_3():
  settings = _settings(name="U1")
  settings.training.update(optimizer="rmsprop", learning_rate=0.02)
  expected = FIRST_STEP["rmsprop"](0.02)
  np.testing.assert_allclose(_first_step(settings), expected, rtol=1e-4)
  settings = _settings(name="U1")
  settings.training.learning_rate = 0.5  # the rule stays the topology's
  expected = FIRST_STEP["adadelta"](0.5)
  np.testing.assert_allclose(_first_step(settings), expected, rtol=1e-4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run with a best checkpoint of folds 0 and 1, and their variables."""
  folder = tmp_path_factory.mktemp("trained")
  run = open_run(folder, _settings())
  variables = [_variables(run, seed=fold) for fold in (0, 1)]
  for fold in (0, 1):
    checkpoints = Checkpoints(run.fold_folder(fold) / "checkpoints")
    known = learnt.facts(run.config, run.scheme, fold)
    info = {"epoch": 3, learnt.FIELD: known}
    checkpoints.save_best(3, variables[fold], info)
    checkpoints.close()
  return folder, variables


def _initialised(settings, folder, fold):
  settings.training.init_from = str(folder)
  run = _run(settings)
  fresh = _variables(run, seed=9)
  return fresh, networks.initial_weights(run, fold)(fresh)


def test_without_init_from_nothing_is_transferred():
  assert networks.initial_weights(_run(_settings()), 0) is None


def test_weights_that_are_gone_are_missed_by_new_folds_only(tmp_path):
  settings = _settings()
  settings.training.init_from = str(tmp_path / "gone")
  start = networks.initial_weights(_run(settings), 0)  # as a begun fold does
  with pytest.raises(InputError, match="not a run's folder"):
    start({})


def test_weights_that_have_changed_are_not_loaded(trained, tmp_path):
  settings = _settings()
  settings.training.init_from = str(trained[0])
  digests = {"training.init_from": {"0": "of others"}}
  write_json(tmp_path / "origins.json", {"weights": digests, "seen": {}})
  start = networks.initial_weights(_run(settings, tmp_path), 0)
  with pytest.raises(InputError, match="other content"):
    start({})


def test_a_fold_starts_from_the_same_fold(trained):
  folder, variables = trained
  for fold in (0, 1):
    _, ours = _initialised(_settings(), folder, fold)
    expected = _leaves(variables[fold])
    assert _leaves(ours).keys() == expected.keys()
    for name, leaf in _leaves(ours).items():
      np.testing.assert_array_equal(leaf, expected[name])


def test_a_fold_that_the_other_run_lacks_starts_from_its_first(trained):
  folder, variables = trained
  settings = _settings()
  settings.data.num_folds = 5
  _, ours = _initialised(settings, folder, 4)
  jax.tree.map(np.testing.assert_array_equal, dict(ours), variables[0])


def test_other_classes_keep_all_but_the_classification_block(trained):
  folder, variables = trained
  fresh, ours = _initialised(_settings(scheme="spider"), folder, 1)
  fresh, ours, old = map(_leaves, (fresh, ours, variables[1]))
  assert fresh.keys() == ours.keys()
  for name, leaf in ours.items():
    source = fresh if "classify" in name else old
    np.testing.assert_array_equal(leaf, source[name])
  assert sum("classify" in name for name in ours) == 2


@pytest.mark.parametrize(
  "change",
  [dict(width=3), dict(name="UMD"), dict(name="UQD")],
  ids=lambda change: str(*change.values()),
)
def test_another_network_is_refused_with_the_first_misfit(trained, change):
  folder, _ = trained
  with pytest.raises(InputError, match=r"do not fit.*is .* there, .* here"):
    _initialised(_settings(**change), folder, 0)


def test_a_fold_is_loaded_as_it_was_saved(trained):
  folder, variables = trained
  run = open_run(folder, _settings())
  net, loaded = networks.load_fold(run, 1)
  assert net == networks.build_network(run)
  jax.tree.map(np.testing.assert_array_equal, dict(loaded), variables[1])
  with pytest.raises(InputError, match="folds 0 to 2"):
    networks.load_fold(run, 3)


def test_weights_of_another_fold_are_refused(trained, tmp_path):
  run = open_run(tmp_path, _settings())
  source = Run(trained[0], run.config, run.scheme).fold_folder(0)
  shutil.copytree(source, run.fold_folder(0))
  shutil.copytree(source, run.fold_folder(1))
  networks.load_fold(run, 0)
  with pytest.raises(InputError, match="of fold 0, not 1"):
    networks.load_fold(run, 1)


@pytest.mark.parametrize(
  ("section", "field", "value"),
  [
    ("data", "normalisation", "percentile"),
    ("data", "spacing_mm", 4.0),
    ("data", "channels", ("T1w", "T2w")),
    ("data", "registration", "none"),
    ("model", "activation", "relu"),
  ],
)
def test_weights_that_learnt_otherwise_are_refused(
  trained, section, field, value
):
  run = _run(_settings(), trained[0])
  run.config[section][field] = value
  with pytest.raises(InputError, match=f"learnt with config.{section}.{field}"):
    networks.load_fold(run, 0)


def test_what_was_not_recorded_is_not_compared():
  run = _run(_settings())
  wanted = learnt.facts(run.config, run.scheme, 1)
  for kept in ({}, {learnt.FIELD: {"fold": 1}}):
    assert learnt.check({"epoch": 3, **kept}, wanted, Path()) == {"epoch": 3}
  other = {learnt.FIELD: {**wanted, "classes": ["a", "b"]}}
  with pytest.raises(InputError, match="classes"):
    learnt.check(other, wanted, Path())
