"""What the fields of a configuration may be."""

import dataclasses
import math
from typing import Any

import ml_collections

from lumbar_jax import anatomy
from lumbar_jax.choices import check_choice, check_number
from lumbar_jax.config import (
  CHANNELS,
  DTYPES,
  MODES,
  PEER_WAYS,
  PRESETS,
  SOURCES,
  flatten,
)
from lumbar_jax.config_names import check_names
from lumbar_jax.config_types import check_types
from lumbar_jax.errors import InputError
from lumbar_jax.formats.orientation import check_orientation


@dataclasses.dataclass(frozen=True)
class _Rule:
  field: str
  allowed: tuple | None = None
  low: float | None = None
  high: float | None = None
  below: bool = False

  def check(self, flat: dict[str, Any]) -> None:
    value, what = flat[self.field], f"config.{self.field}"
    if self.allowed is not None:
      check_choice(what, value, self.allowed)
      return
    high = math.inf if self.high is None else self.high
    check_number(what, value, self.low, high, below=self.below)


_RULES = (
  _Rule("mode", allowed=MODES),
  _Rule("data.source", allowed=SOURCES),
  _Rule("data.phantom.num_patients", low=0),
  _Rule("data.phantom.num_unlabelled", low=0),
  _Rule("data.registration", allowed=("affine", "rigid", "none")),
  _Rule("data.phantom.preset", allowed=PRESETS),
  _Rule("data.registration_bound_mm", low=0),
  _Rule("data.normalisation", allowed=("volume", "nonzero", "percentile")),
  _Rule("data.spacing_mm", low=0),
  _Rule("data.image_size", low=0),
  _Rule("data.patch_size", low=16),
  _Rule("data.patch_stride", low=1),
  _Rule("data.test_fraction", low=0, high=0.9),
  _Rule("data.num_folds", low=1),
  _Rule("data.validation_fraction", low=0, high=0.9),
  _Rule("data.num_workers", low=0),
  _Rule("augmentation.rotation_deg", low=0, high=180),
  _Rule("augmentation.shift", low=0, high=1),
  _Rule("augmentation.flip", low=0, high=1),
  _Rule("augmentation.noise", low=0),
  _Rule("augmentation.blur_mm", low=0),
  _Rule("augmentation.motions", low=0, high=20),
  _Rule("augmentation.motion_deg", low=0, high=180),
  _Rule("augmentation.motion_mm", low=0),
  _Rule("augmentation.ghost_restore", low=0, high=1),
  _Rule("augmentation.artefact_probability", low=0, high=1),
  _Rule("model.width", low=1),
  _Rule("model.activation", allowed=("", "relu", "prelu")),
  _Rule("model.batchnorm_momentum", low=0, high=1, below=True),
  _Rule("training.num_epochs", low=1),
  _Rule("training.batch_size", low=1),
  _Rule("training.optimizer", allowed=("", "adam", "rmsprop", "adadelta")),
  _Rule("training.learning_rate", low=0),
  _Rule("training.dtype", allowed=DTYPES),
  _Rule("training.cross_entropy", low=0),
  _Rule("training.dice", low=0),
  _Rule("training.dice_smoothing", low=1e-12),
  _Rule("training.structure", low=0),
  _Rule("training.auxiliary", low=0),
  _Rule("training.best_by", allowed=("accuracy", "iou")),
  _Rule("training.checkpoint_every_steps", low=0),
  _Rule("evaluation.batch_size", low=1),
  _Rule("evaluation.num_bootstrap", low=0),
  _Rule("evaluation.surface_tolerance_mm", low=0),
  _Rule("ensemble.hidden", low=1),
  _Rule("ensemble.num_epochs", low=1),
  _Rule("ensemble.optimizer", allowed=("adam", "rmsprop", "adadelta")),
  _Rule("ensemble.learning_rate", low=1e-12),
  _Rule("ensemble.batching", allowed=("auto", "loop", "map", "vmap")),
  _Rule("study.labelling", allowed=("TH", "MAP")),
  _Rule("study.num_pictures", low=0),
  _Rule("benchmark.num_members", low=2),
  _Rule("benchmark.num_slices", low=1),
  _Rule("benchmark.slice_px", low=16),
  _Rule("benchmark.num_studies", low=2),
  _Rule("benchmark.num_steps", low=1),
  _Rule("benchmark.repeats", low=1),
  _Rule("benchmark.study_repeats", low=1),
)


def _check_network(config: ml_collections.ConfigDict) -> None:
  """Checks what depends on the network: its name, patch size and dropout."""
  from lumbar_jax import models  # heavy; reading a config needs none of it

  name, size = config.model.name, config.data.patch_size
  network = models.module(name)
  multiple = network.size_multiple
  if size % multiple:
    raise InputError(
      f"config.data.patch_size is {size}",
      f"patches of {name} must be a multiple of {multiple} wide, "
      f"for example {max(multiple, round(size / multiple) * multiple)}",
    )
  rates, places = tuple(config.model.dropout), len(network.dropout)
  if (any(rates) and len(rates) != places) or not all(
    0 <= rate < 1 for rate in rates
  ):
    raise InputError(
      f"config.model.dropout is {rates!r}",
      f"{name} takes {places} rates from 0 to below 1",
    )


def _check_augmentation(config: ml_collections.ConfigDict) -> None:
  """Checks the fields that are ranges."""
  low, high = config.zoom
  if not 0 < low <= high:
    raise InputError(
      f"config.augmentation.zoom is {(low, high)!r}",
      "give (smallest, largest) with 0 < smallest <= largest",
    )
  few, many = config.ghosts
  if not (many == few == 0 or 1 <= few <= many):
    raise InputError(
      f"config.augmentation.ghosts is {(few, many)!r}",
      "give (fewest, most) with 1 <= fewest <= most, or (0, 0) for none",
    )
  low, high = config.ghost_intensity
  if not 0 <= low <= high <= 1:
    raise InputError(
      f"config.augmentation.ghost_intensity is {(low, high)!r}",
      "give (least, most) with 0 <= least <= most <= 1",
    )


def _check_each(flat: dict[str, Any], field: str, allowed: tuple) -> None:
  """Checks each value of a field that has several."""
  for value in flat[field]:
    _Rule(field, allowed=allowed).check({field: value})


def _check_columns(data: ml_collections.ConfigDict) -> None:
  """Checks what the manifest's columns are said to be called."""
  from lumbar_jax.data.sources import manifest_columns

  manifest_columns.parse(data.columns)
  if data.columns and data.source != "manifest":
    raise InputError(
      f"config.data.columns is {tuple(data.columns)!r}, but config.data.source "
      f"is {data.source!r}",
      "only a manifest has columns of one's own names: give "
      "--config.data.source=manifest",
    )


def check(config: ml_collections.ConfigDict) -> None:
  """Checks values that the types cannot; what `config.validate` does.

  Raises:
    InputError: names the field, its value and what is allowed.
  """
  flat = flatten(config)
  check_types(flat)
  for rule in _RULES:
    rule.check(flat)
  _check_network(config)
  data = config.data
  check_orientation(data.assume_orientation, "config.data.assume_orientation")
  _check_each(flat, "data.channels", CHANNELS)
  _check_each(flat, "benchmark.dtypes", DTYPES)
  _check_each(flat, "benchmark.peer_ways", PEER_WAYS)
  if not data.channels or len(set(data.channels)) < len(data.channels):
    raise InputError(
      f"config.data.channels is {tuple(data.channels)!r}",
      "give one or two different channels, the reference grid first",
    )
  _check_columns(data)
  if data.spacing_mm:  # 0: the images' own
    check_number("config.data.spacing_mm", data.spacing_mm, 0.05, 30)
  if data.spacing_mm and data.image_size:
    raise InputError(
      f"config.data.image_size is {data.image_size} and "
      f"config.data.spacing_mm {data.spacing_mm:g}",
      "give one of them: both say what resolution to train at",
    )
  _check_augmentation(config.augmentation)
  check_names(config)
  _check_parts(config)
  _check_training(config)
  check_whole_slice(config)


def _check_parts(config: ml_collections.ConfigDict) -> None:
  """Checks how slices are cut and patients are divided."""
  data = config.data
  if data.patch_stride > data.patch_size:
    raise InputError(
      f"config.data.patch_stride is {data.patch_stride}, and "
      f"config.data.patch_size {data.patch_size}",
      f"give a stride from 1 to {data.patch_size}, or some pixels lie in no "
      "patch",
    )
  if data.num_folds == 1 and not data.validation_fraction:
    raise InputError(
      "config.data.validation_fraction is 0.0 with config.data.num_folds 1",
      "give --config.data.validation_fraction=0.2: without validation patients "
      "no epoch is the best, and no threshold can be tuned",
    )
  if data.source == "phantom":
    _check_phantom(data.phantom)


def _check_phantom(phantom: ml_collections.ConfigDict) -> None:
  from lumbar_jax.data.phantom.presets import get_preset

  preset = get_preset(phantom.preset)
  patients = phantom.num_patients or preset.num_patients
  if phantom.num_unlabelled >= patients:
    raise InputError(
      f"config.data.phantom.num_unlabelled is {phantom.num_unlabelled} of "
      f"{patients} patients",
      "leave at least two patients with masks",
    )


def _check_training(config: ml_collections.ConfigDict) -> None:
  """Checks what training starts from, and its losses."""
  training = config.training
  if training.init_from and config.model.backbone_weights:
    raise InputError(
      "config.training.init_from and config.model.backbone_weights are both "
      "given",
      "leave one of them empty",
    )
  losses = ("cross_entropy", "dice", "structure")
  if not any(training[name] for name in losses):
    raise InputError(
      "config.training.cross_entropy, dice and structure are all 0",
      "give one of them a positive weight",
    )
  weights = tuple(training.class_weights)
  if not weights:
    return
  if not training.cross_entropy:
    raise InputError(
      f"config.training.class_weights is {weights!r}, and "
      "config.training.cross_entropy 0",
      "class weights are of the cross-entropy alone: leave them empty, or give "
      "it a positive weight",
    )
  names = anatomy.load_scheme(config.data.scheme).names
  if len(weights) != len(names) or min(weights) < 0 or not any(weights):
    raise InputError(
      f"config.training.class_weights is {weights!r}",
      f"give {len(names)} numbers from 0 on, not all 0, for {', '.join(names)}",
    )


def check_whole_slice(
  config: ml_collections.ConfigDict, name: str = ""
) -> None:
  """Checks that a network can take whole slices where they are asked for.

  Args:
    config: a run's or an ensemble's.
    name: the network, or an ensemble's member; empty: the config's.

  Raises:
    InputError: its parameters are of patches of one size alone.
  """
  from lumbar_jax import models

  data, name = config.data, name or config.model.name
  if not config.evaluation.whole_slice or not models.fixes_size(name):
    return
  if data.image_size != data.patch_size:
    raise InputError(
      f"config.evaluation.whole_slice (--whole_slice) with {name}, whose "
      f"parameters are of patches of {data.patch_size} x {data.patch_size}",
      "leave it out: slices are then covered by overlapping patches",
    )
