"""Names of networks, ensembles and methods in a configuration."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lumbar_jax.choices import check_choice, check_number
from lumbar_jax.errors import InputError


def check_names(config: Any) -> None:
  """Checks the lists of the sections ensemble, study and benchmark.

  Raises:
    InputError: a name that does not exist, or one that is there twice.
  """
  # Heavy; reading a config needs none of it.
  from lumbar_jax import models, study_plan
  from lumbar_jax.ensembles import definitions

  names, methods = models.names(), definitions.METHODS
  study, benchmark = config.study, config.benchmark
  check_choice("config.ensemble.method", config.ensemble.method, methods)
  _check_weights(config.ensemble)
  for field in ("networks", "baselines"):
    _check_list(f"config.study.{field}", study[field], names)
  _check_list("config.study.methods", study.methods, methods)
  _check_twice("config.study.ensembles", study.ensembles)
  for entry in study.ensembles:
    for name in study_plan.members_of(entry)[1]:
      check_choice(f"a member in config.study.ensembles {entry!r}", name, names)
  _check_twice("config.study.columns", study.columns)
  if study.reference:
    check_choice("config.study.reference", study.reference, names)
  _check_ablation(study, definitions)
  for field in ("networks", "train_networks"):
    _check_list(f"config.benchmark.{field}", benchmark[field], names)
  for field in ("forward_batches", "train_batches"):
    for size in benchmark[field]:
      check_number(f"a size of config.benchmark.{field}", size, 1, whole=True)
  known = (*names, *definitions.TABLE_4)
  for entry in benchmark.studies:
    name = re.sub(r"x\d+$", "", entry)
    check_choice(f"config.benchmark.studies: {entry!r}", name, known)


def _check_list(
  what: str, values: Sequence[str], allowed: Iterable[str]
) -> None:
  for value in values:
    check_choice(f"a name of {what}", value, allowed)
  _check_twice(what, values)


def _check_twice(what: str, values: Sequence[str]) -> None:
  for value in values:
    if list(values).count(value) > 1:
      raise InputError(f"{what} has {value!r} twice", "name each once")


def _check_weights(ensemble: Any) -> None:
  weights = tuple(ensemble.weights)
  if any(weight < 0 for weight in weights) or (weights and not any(weights)):
    raise InputError(
      f"config.ensemble.weights is {weights!r}",
      "they must not be negative, nor all zero",
    )
  members = tuple(ensemble.members)
  if weights and members and len(weights) != len(members):
    raise InputError(
      f"config.ensemble.weights has {len(weights)} numbers for "
      f"{len(members)} members",
      "give one weight for each member, in their order",
    )


def _check_ablation(study: Any, definitions: Any) -> None:
  """Checks the title of an ensemble, such as E12-NAD; none is fine."""
  title, what = study.ablation, "config.study.ablation"
  if not title:
    return
  name, _, method = title.rpartition("-")
  own = [entry.partition("=")[0] for entry in study.ensembles]
  if name not in (*definitions.TABLE_4, *own):
    raise InputError(
      f"{what} is {title!r}",
      "give an ensemble and its method, such as E12-NAD",
    )
  check_choice(f"the method of {what} {title!r}", method, definitions.METHODS)
