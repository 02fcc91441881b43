"""The configuration: rules, no dead field, the files in configs/."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from lumbar_jax import config as config_lib
from lumbar_jax import flag_lists
from lumbar_jax.data import augmentation
from lumbar_jax.errors import InputError
from lumbar_jax.reports.paper_002 import paper_values

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# Field, bad value, what the remedy must say.
BAD = (
  ("mode", "trian", "did you mean train"),
  ("data.source", "mid", "did you mean mids"),
  ("data.channels", ("T2w", "T3w"), "'T1w'"),
  ("data.channels", (), "one or two different"),
  ("data.channels", ("T2w", "T2w"), "one or two different"),
  ("data.registration", "afine", "did you mean affine"),
  ("data.registration_bound_mm", -1.0, "between 0 and inf"),
  ("data.normalisation", "zscore", "'volume', 'nonzero'"),
  ("data.spacing_mm", -0.5, "between 0 and inf"),
  ("data.spacing_mm", 0.001, "between 0.05 and 30"),
  ("data.spacing_mm", 100000.0, "between 0.05 and 30"),
  ("data.patch_size", 8, "between 16 and inf"),
  ("data.patch_size", 250, "example 256"),
  ("data.patch_stride", 0, "between 1 and inf"),
  ("data.test_fraction", 0.95, "between 0 and 0.9"),
  ("data.test_fraction", -0.1, "between 0 and 0.9"),
  ("data.num_folds", 0, "between 1 and inf"),
  ("data.validation_fraction", 1.0, "between 0 and 0.9"),
  ("data.image_size", -1, "between 0 and inf"),
  ("data.num_workers", -1, "between 0 and inf"),
  ("augmentation.rotation_deg", 181.0, "between 0 and 180"),
  ("augmentation.zoom", (0.0, 1.0), "0 < smallest <= largest"),
  ("augmentation.zoom", (1.5, 0.5), "0 < smallest <= largest"),
  ("augmentation.shift", 1.5, "between 0 and 1"),
  ("augmentation.flip", 2.0, "between 0 and 1"),
  ("augmentation.noise", -0.1, "between 0 and inf"),
  ("augmentation.blur_mm", -1.0, "between 0 and inf"),
  ("augmentation.motions", -1, "between 0 and 20"),
  ("augmentation.motion_deg", 200.0, "between 0 and 180"),
  ("augmentation.motion_mm", -1.0, "between 0 and inf"),
  ("augmentation.ghosts", (0, 4), "1 <= fewest"),
  ("augmentation.ghosts", (5, 4), "fewest <= most"),
  ("augmentation.ghost_intensity", (0.5, 1.5), "most <= 1"),
  ("augmentation.ghost_restore", 1.5, "between 0 and 1"),
  ("augmentation.artefact_probability", 2.0, "between 0 and 1"),
  ("model.width", 0, "between 1 and inf"),
  ("model.activation", "gelu", "'relu', 'prelu'"),
  ("model.batchnorm_momentum", 1.5, "between 0 and 1"),
  ("model.batchnorm_momentum", 1.0, "between 0 and 1, 1 left out"),
  ("training.num_epochs", 0, "between 1 and inf"),
  ("training.batch_size", 0, "between 1 and inf"),
  ("training.optimizer", "adamm", "did you mean adam"),
  ("training.learning_rate", -1e-3, "between 0 and inf"),
  ("training.dtype", "float16", "did you mean"),
  ("training.cross_entropy", -1.0, "between 0 and inf"),
  ("training.dice", -1.0, "between 0 and inf"),
  ("training.dice_smoothing", 0.0, "between 1e-12 and inf"),
  ("training.structure", -1.0, "between 0 and inf"),
  ("training.auxiliary", -1.0, "between 0 and inf"),
  ("training.best_by", "acuracy", "did you mean accuracy"),
  ("training.checkpoint_every_steps", -1, "between 0 and inf"),
  ("evaluation.batch_size", 0, "between 1 and inf"),
  ("evaluation.num_bootstrap", -1, "between 0 and inf"),
  ("evaluation.surface_tolerance_mm", -0.5, "between 0 and inf"),
  ("benchmark.repeats", 0, "between 1 and inf"),
  ("benchmark.dtypes", ("float16",), "did you mean"),
  ("benchmark.peer_ways", ("eagre",), "did you mean eager"),
)


def _set(config, field, value):
  *parents, name = field.split(".")
  for parent in parents:
    config = config[parent]
  config[name] = value


@pytest.mark.parametrize(("field", "value", "remedy"), BAD)
def test_a_bad_value_is_named_with_its_remedy(field, value, remedy):
  config = config_lib.default()
  config_lib.validate(config)
  _set(config, field, value)
  with pytest.raises(InputError) as caught:
    config_lib.validate(config)
  assert f"config.{field} is" in caught.value.problem
  shown = [value, *(value[-1:] if isinstance(value, tuple) else ())]
  assert any(repr(bad) in caught.value.problem for bad in shown)
  assert remedy in caught.value.remedy


@pytest.mark.parametrize(
  ("name", "field", "value", "remedy"),
  [
    ("FCN", "data.patch_size", 240, "FCN must be a multiple of 32.*256"),
    ("FCN", "data.patch_size", 16, "multiple of 32 wide, for example 32"),
    ("FCN", "model.dropout", (0.25, 0.5, 0.5), "FCN takes 2 rates"),
    ("U1", "model.dropout", (0.5, 0.5), "U1 takes 3 rates"),
    ("U1", "model.dropout", (0.5, 0.5, 1.0), "to below 1"),
  ],
)
def test_what_a_network_cannot_take_is_refused(name, field, value, remedy):
  config = config_lib.default()
  config.model.name = name
  config_lib.validate(config)
  _set(config, field, value)
  with pytest.raises(InputError, match=remedy):
    config_lib.validate(config)


def test_not_a_number_is_refused():
  config = config_lib.default()
  config.training.learning_rate = float("nan")
  with pytest.raises(InputError, match=r"learning_rate is nan"):
    config_lib.validate(config)


def test_two_resolutions_are_refused():
  config = config_lib.default()
  config.data.update(image_size=128, spacing_mm=0.5)
  with pytest.raises(InputError, match=r"image_size is 128 .*spacing_mm 0\.5"):
    config_lib.validate(config)


def test_no_loss_at_all_is_refused():
  config = config_lib.default()
  config.training.update(cross_entropy=0.0, dice=0.0)
  with pytest.raises(InputError, match="all 0"):
    config_lib.validate(config)


@pytest.mark.parametrize(
  ("columns", "message"),
  [
    (("patient",), r"columns has 'patient'.*pairs of our name"),
    (("patient=",), "columns has 'patient='"),
    (("t2w=sag",), r"names 't2w'.*did you mean T2w"),
    (("patient=ID", "patient=NAME"), "names 'patient' twice"),
    (("patient=ID",), "source is 'mids'"),
  ],
)
def test_columns_of_a_manifest_are_checked_at_once(columns, message):
  config = config_lib.default()
  config.data.columns = columns
  with pytest.raises(InputError, match=message):
    config_lib.validate(config)


def test_a_flag_with_commas_gives_several_values(monkeypatch):
  config = config_lib.default()
  name = str(Path(__file__).parents[1] / "configs" / "study.py")
  values = flags.FlagValues()
  given = [
    "launch.py",
    f"--config={name}",
    "--config.study.networks=U1,UMD",
    "--config.ensemble.members=runs/u1, runs/umd",
    "--config.data.channels=T2w",
    "--config.study.ensembles=E4,MINE=U1+UMD",
    "--config.benchmark.networks=U-Net,DeepLabv3+,U1",
    "--config.data.columns=patient=ID,T2w=sag image",
  ]
  given = [flag_lists.quote_lists(argument) for argument in given]
  monkeypatch.setattr(sys, "argv", given)  # it looks for its fields there
  config_flags.DEFINE_config_file("config", None, flag_values=values)
  values(given)
  config = values.config
  flag_lists.split_lists(config)
  assert config.study.networks == ("U1", "UMD")
  assert config.ensemble.members == ("runs/u1", "runs/umd")
  assert config.data.channels == ("T2w",)
  assert config.study.ensembles == ("E4", "MINE=U1+UMD")
  assert config.benchmark.networks == ("U-Net", "DeepLabv3+", "U1")
  assert config.data.columns == ("patient=ID", "T2w=sag image")


@pytest.mark.parametrize(
  "argument",
  [
    "--config.study.networks=U1,UMD",  # ml_collections takes it
    "--config.augmentation.zoom=0.9,1.1",
    "--config.study.ensembles=MINE=U1+UMD",
    "--config.study.ensembles=('E4', 'MINE=U1+UMD')",
    "--config=configs/midas.py:a=b,c",
    "--workdir=runs/a=1,b",
  ],
)
def test_other_arguments_are_left_as_they_are(argument):
  assert flag_lists.quote_lists(argument) == argument


def test_flatten_and_shaping():
  config = config_lib.default()
  flat = config_lib.flatten(config)
  assert flat["data.phantom.preset"] == "demo"
  assert flat["augmentation.zoom"] == [0.5, 1.5]
  assert flat["data.remap"] == {}
  config.data.remap["S1"] = "Sacrum"
  assert config_lib.flatten(config)["data.remap.S1"] == "Sacrum"
  assert set(config_lib.FREE_FIELDS) <= flat.keys()
  shaping = config_lib.shaping(config)
  free = {f for f in flat if f.startswith(config_lib.FREE_SECTIONS)}
  assert {f.split(".")[0] for f in free} == {"ensemble", "study", "benchmark"}
  assert set(shaping) == (flat.keys() - {"data.remap"} | {"data.remap.S1"}) - (
    free | set(config_lib.FREE_FIELDS)
  )


def _code_without_docstrings(path):
  """A module's attribute accesses and strings, its docstrings left out."""
  tree = ast.parse(path.read_text())
  docstrings = set()
  for node in ast.walk(tree):
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
      docstrings.add(id(body[0].value))
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
      yield node.attr
    elif (
      isinstance(node, ast.Constant)
      and isinstance(node.value, str)
      and id(node) not in docstrings
    ):
      yield node.value


def test_every_field_is_read_somewhere():
  files = {*(ROOT / "lumbar_jax").rglob("*.py"), ROOT / "launch.py"}
  files -= {ROOT / "lumbar_jax" / f"config{end}.py" for end in ("", "_rules")}
  read = {word for path in files for word in _code_without_docstrings(path)}
  fields = config_lib.flatten(config_lib.default())
  assert len(fields) > 30
  unread = [f for f in fields if f.rpartition(".")[2] not in read]
  assert unread == []


def test_every_module_reads_the_sections_that_exist():
  """config.SECTION.FIELD anywhere names a field that there is."""
  sections = config_lib.default().to_dict()
  pattern = re.compile(r"config\.(\w+)\.(\w+)")
  wrong = [
    (path.name, *match)
    for path in (ROOT / "lumbar_jax").rglob("*.py")
    for match in pattern.findall(path.read_text())
    if match[0] in sections
    and isinstance(sections[match[0]], dict)
    and match[1] not in sections[match[0]]
    and match[1] not in ("update", "to_dict", "items")
  ]
  assert wrong == []


def _import(path):
  spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_file_builds_validates_and_says_what_it_is(path):
  module = _import(path)
  config = module.get_config()
  config_lib.validate(config)
  assert config_lib.flatten(config).keys() >= (
    config_lib.flatten(config_lib.default()).keys() - {"data.remap"}
  )
  doc = module.__doc__
  assert doc.splitlines()[0].endswith(".")
  for word in ("Data", "Cost", "Score"):
    assert re.search(rf"^{word} +\S", doc, re.MULTILINE), word
  assert f"python launch.py --config=configs/{path.name}" in doc


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_file_changes_nothing_but_its_own_copy(path):
  before = config_lib.default().to_json()
  module = _import(path)
  first, second = module.get_config(), module.get_config()
  assert first.to_json() == second.to_json()
  first.data.root = "elsewhere"
  assert second.data.root != "elsewhere"
  assert config_lib.default().to_json() == before


def test_the_networks_of_the_slides():
  """Widths of the slides' table; five folds."""
  module = _import(ROOT / "configs" / "icpr.py")
  widths = {
    **dict.fromkeys(("UAD", "UAMD"), 16),
    **dict.fromkeys(("UVAD", "UVD", "UMD", "FCN"), 32),
    **dict.fromkeys(("UD", "U1"), 64),
  }
  for name, width in widths.items():
    config = module.get_config(name)
    config_lib.validate(config)
    assert (config.model.name, config.model.width) == (name, width)
    assert config.data.num_folds == 5
    assert not config.training.optimizer  # the topology's own
  with pytest.raises(InputError, match=r"'UQD'.*there are UAD, UVAD"):
    module.get_config("UQD")


def test_the_recipe_of_the_review():
  """Paper 002, section 4, and what TorchIO's transforms do by default."""
  config = _import(ROOT / "configs" / "review.py").get_config("UMD")
  assert config.model.name == "UMD"
  data, training = config.data, config.training
  assert (data.image_size, data.patch_size, data.patch_stride) == (880,) * 3
  assert tuple(data.channels) == ("T2w",)
  assert (data.num_folds, data.validation_fraction) == (1, 0.2)
  assert data.test_fraction == 0
  assert (training.optimizer, training.learning_rate) == ("adam", 5e-4)
  assert (training.cross_entropy, training.dice) == (0, 1)
  assert (training.dice_smoothing, training.dice_absent) == (1e-5, True)
  drawn = config.augmentation
  assert (drawn.noise, drawn.blur_mm, drawn.motions) == (0.25, 2, 2)
  assert (drawn.motion_deg, drawn.motion_mm) == (10, 10)
  assert (drawn.ghosts, drawn.ghost_intensity) == ((4, 10), (0.5, 1))
  assert augmentation.is_identity(drawn)


@pytest.mark.parametrize("variant", ["full", "tiny", "phantom"])
def test_the_reviews_study_has_twelve_networks(variant):
  config = _import(ROOT / "configs" / "review_study.py").get_config(variant)
  config_lib.validate(config)
  assert config.mode == "study"
  assert len(set(config.study.networks)) == 12
  named = {row["model"] for row in paper_values(1)}
  assert set(config.study.networks) == named
  assert (config.data.source == "phantom") == (variant != "full")


def test_there_are_config_files():
  assert len(CONFIGS) >= 3


def test_an_unknown_field_on_the_command_line_names_the_nearest(tmp_path):
  program = tmp_path / "program.py"
  program.write_text(
    "from absl import app\n"
    "from ml_collections import config_flags\n"
    "flag = config_flags.DEFINE_config_file('config')\n"
    "app.run(lambda _: print(flag.value.training.batch_size))\n"
  )

  def run(argument):
    return subprocess.run(
      [
        sys.executable,
        str(program),
        f"--config={ROOT / 'configs' / 'tiny.py'}",
        argument,
      ],
      capture_output=True,
      text=True,
      timeout=120,
      cwd=tmp_path,
      env={"PYTHONPATH": str(ROOT)},
    )

  right = run("--config.training.batch_size=12")
  assert (right.returncode, right.stdout) == (0, "12\n"), right.stderr
  wrong = run("--config.training.batch_sise=12")
  assert wrong.returncode != 0
  assert 'Did you mean "batch_size"' in wrong.stderr


@pytest.mark.parametrize(
  "name", ["benchmark", "review_study", "spider", "study"]
)
def test_an_unknown_variant_is_answered_with_those_there_are(name):
  module = _import(ROOT / "configs" / f"{name}.py")
  with pytest.raises(InputError, match=rf"configs/{name}.py has no .*'fulll'"):
    module.get_config("fulll")
