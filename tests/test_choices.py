"""A misspelt or meaningless value is refused where something is built of it."""

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import models
from lumbar_jax.choices import check_choice, check_number
from lumbar_jax.data.phantom import get_preset
from lumbar_jax.data.sources.found import Finding
from lumbar_jax.data.studies import Study
from lumbar_jax.ensembles import stacking
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.errors import InputError
from lumbar_jax.models.auxiliary import AuxiliaryLoss
from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.table import ReviewRow
from lumbar_jax.models.topology import Recipe, Topology
from lumbar_jax.training.losses import cross_entropy
from lumbar_jax.training.optimizers import make_optimizer

STYLES = (LayerStyle(), Recipe(), Topology(), AuxiliaryLoss("edge"))
NETWORKS = {models.module(name): name for name in models.names()}
# What a value of a type cannot be, whatever the field.
BAD = {
  bool: ("yes", 1, None),
  int: (0, -1, 1.5, "2", True, math.nan),
  float: (math.nan, math.inf, -1.0, "0.5"),
  str: ("relo", "", 1, None),
}


def _fields(value):
  """Yields the names and values of fields that a user may set."""
  for field in dataclasses.fields(value):
    if field.name not in ("parent", "name", "source"):
      yield field.name, getattr(value, field.name)


def _cases():
  for built in (*STYLES, *(models.build(n, 3, 32) for n in NETWORKS.values())):
    for name, value in _fields(built):
      for bad in BAD.get(type(value), ()):
        yield pytest.param(
          built, name, bad, id=f"{type(built).__name__}.{name}={bad!r}"
        )


@pytest.mark.parametrize(("built", "name", "bad"), list(_cases()))
def test_no_field_takes_a_value_that_makes_no_sense(built, name, bad):
  change = getattr(built, "clone", None)  # of modules
  change = change or functools.partial(dataclasses.replace, built)
  with pytest.raises(InputError, match=name):
    change(**{name: bad})


@pytest.mark.parametrize(
  ("build", "near"),
  [
    (lambda: Topology(encoder="R"), "'U', 'V', 'Q'"),
    (lambda: Topology(fusion="atention"), "mean attention"),
    (lambda: Topology(fusion="ds3"), "mean ds"),
    (lambda: Topology(activation="prelo"), "mean prelu"),
    (lambda: Topology(optimizer="adm"), "mean adam"),
    (lambda: Topology(multi_kernel_depth=0), "1, 2"),
    (lambda: Topology(up_kernel=4), "2, 3"),
    (lambda: Topology(up_kernel=3.0), r"is 3\.0"),
    (lambda: LayerStyle(dtype="bfloat"), "mean bfloat16"),
    (lambda: LayerStyle(dtype=None), "dtype is None"),
    (lambda: LayerStyle(batchnorm_momentum=1), "between 0 and 1, 1 left out"),
    (lambda: LayerStyle(dtype=jnp.int32), "allowed: 'float32'"),
    (lambda: models.build("DANet", 3, output_stride=16), "32, 8"),
    (lambda: models.build("PSPNet", 3, depth=18), "34, 50, 101"),
    (lambda: models.build("U1", 3, fusion="atention"), "mean attention"),
    (lambda: models.build("U1", 3, dropout=(0.1,)), "takes 3 rates"),
    (lambda: models.build("U1", 3, dropout=(0.1, 0.1, 1.0)), "below 1"),
    (
      lambda: models.build("UMD", 3, width=2, multi_kernel_divisor=4),
      "between 4",
    ),
    (lambda: ReviewRow(network=None), "models/review"),
    (
      lambda: dataclasses.replace(
        models.topology("DANet"), options={"output_strid": 8}
      ),
      "mean output_stride",
    ),
    (lambda: AuxiliaryLoss("edges"), "mean edge"),
    (lambda: Ensemble("E", ("U1", "UD"), "arithmetc"), "mean arithmetic"),
    (lambda: stacking.merge([np.zeros(2)], "B"), "'A', 'C', 'S'"),
    (lambda: make_optimizer("adamm", 1e-3), "mean adam"),
    (lambda: get_preset("dmo"), "mean demo"),
    (lambda: Finding("warn", "a", "b"), "mean warning"),
    (lambda: Study("1", "", {}, split="tset"), "mean test"),
  ],
)
def test_a_misspelt_value_is_no_default(build, near):
  with pytest.raises(InputError, match=near):
    build()


# Fields of a config that may be any text.
FREE = (
  *("data.root", "data.manifest", "data.masks", "data.scheme", "data.cache"),
  *("model.backbone_weights", "training.init_from", "ensemble.name"),
  "benchmark.only",
)
# Lists of any texts; what they name is only known once there are data.
FREE_LISTS = (
  "data.stratify_by",
  "data.columns",
  "ensemble.members",
  "study.columns",
)


def _leaves():
  flat = config_lib.flatten(config_lib.default())
  for field, value in flat.items():
    if isinstance(value, list):
      if field not in FREE_LISTS:
        kind = type(value[0]) if value else float
        bad = math.nan if kind in (int, float) else "uknown"
        yield field, (bad,) if field not in _PAIRS else (bad, 1.0)
    elif isinstance(value, bool):
      yield field, None
    elif isinstance(value, int | float):
      yield field, math.nan
    elif isinstance(value, str) and field not in FREE:
      yield field, "uknown"


_PAIRS = ("augmentation.zoom", "augmentation.ghosts")


@pytest.mark.parametrize(("field", "bad"), list(_leaves()))
def test_no_field_of_a_config_takes_anything(field, bad):
  config = config_lib.default()
  *sections, last = field.split(".")
  node = config
  for section in sections:
    node = node[section]
  with node.ignore_type():
    node[last] = bad
  with pytest.raises(InputError, match=f"config.{field}|{bad!r}"):
    config_lib.validate(config)


def _with(**fields):
  config = config_lib.default()
  config.update_from_flattened_dict(
    {name.replace("__", "."): value for name, value in fields.items()}
  )
  return config


@pytest.mark.parametrize(
  ("fields", "remedy"),
  [
    ({"training__class_weights": (1.0, 2.0)}, "give 12 numbers"),
    ({"training__class_weights": (0.0,) * 12}, "not all 0"),
    (
      {
        "training__class_weights": (1.0,) * 12,
        "training__cross_entropy": 0.0,
        "training__dice": 1.0,
      },
      "of the cross-entropy alone",
    ),
    (
      {"data__num_folds": 1, "data__validation_fraction": 0.0},
      r"validation_fraction=0\.2",
    ),
    ({"data__patch_stride": 257}, "stride from 1 to 256"),
    (
      {"model__name": "PSANet", "evaluation__whole_slice": True},
      "overlapping patches",
    ),
    (
      {"model__name": "TransUNet", "evaluation__whole_slice": True},
      "overlapping patches",
    ),
    (
      {
        "data__source": "phantom",
        "data__phantom__preset": "tiny",
        "data__phantom__num_unlabelled": 8,
      },
      "two patients",
    ),
    ({"study__networks": ("U1", "U1")}, "once"),
    ({"study__ablation": "E21-NAD"}, "E12-NAD"),
    ({"study__ablation": "E12-NDA"}, "did you mean N.D"),
    ({"ensemble__weights": (0.0, 0.0)}, "all zero"),
    (
      {"ensemble__weights": (1.0, 1.0), "ensemble__members": ("a", "b", "c")},
      "each member",
    ),
    ({"benchmark__studies": ("E12x",)}, "mean E12"),
    ({"benchmark__forward_batches": (0,)}, "between 1"),
  ],
)
def test_fields_that_contradict_each_other_are_refused(fields, remedy):
  config = _with(**fields)
  with pytest.raises(InputError, match=remedy):
    config_lib.validate(config)


def test_whole_slices_of_one_size_are_what_the_network_takes():
  config = _with(model__name="PSANet", evaluation__whole_slice=True)
  config.data.update(image_size=64, patch_size=64, patch_stride=64)
  config_lib.validate(config)


def test_class_weights_are_one_for_each_class():
  logits, labels = jnp.zeros((1, 2, 2, 3)), jnp.zeros((1, 2, 2), jnp.int32)
  with pytest.raises(ValueError, match="2 class weights for 3 classes"):
    cross_entropy(logits, labels, (1.0, 2.0))


def test_choices_and_numbers():
  check_choice("a", 1, (1, 2))
  check_choice("a", True, (False, True))
  check_choice("a", np.int64(2), (1, 2))
  for bad in (True, 1.0):
    with pytest.raises(InputError, match=f"a is {bad}"):
      check_choice("a", bad, (1, 2))
  check_number("n", np.float32(0.5), 0, 1)
  check_number("n", np.int64(3), 1, whole=True)
  with pytest.raises(InputError, match="between 0 and 1, 0 left out"):
    check_number("n", 0.0, 0, 1, above=True)
