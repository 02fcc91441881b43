"""What a sweep consists of: points, each a run, and the jobs that make it.

  --sweep=model.name=U1,UMD --sweep=seed=0,1

has four points, WORKDIR/U1_seed=0 and so on, and a job for each of their folds.
Without a sweep WORKDIR is the only run.
"""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lumbar_jax import config as config_lib
from lumbar_jax.errors import InputError, did_you_mean

# Flags that say how to launch, or that each job has its own of.
_NOT_FOR_JOBS = (
  *("launcher", "sweep", "resource", "parallel"),
  *("workdir", "mode", "fold", "network"),
)


@dataclasses.dataclass(frozen=True)
class Point:
  """One combination of the swept values.

  Attributes:
    name: of its folder; empty without a sweep.
    folder: its run's.
    values: {config field: its value as text}.
    config: the config with these values.
  """

  name: str
  folder: Path
  values: dict[str, str]
  config: Any

  @property
  def flags(self) -> list[str]:
    """The values as flags."""
    return [f"--config.{name}={value}" for name, value in self.values.items()]


@dataclasses.dataclass(frozen=True)
class Job:
  """One process' work.

  Attributes:
    name: unique in the sweep, such as "UMD_seed=0/fold_1".
    folder: whose checkpoints and metrics tell how far it is.
    report: which is there when all that belongs together is evaluated.
    num_epochs: until it is done.
    command: what to run.
  """

  name: str
  folder: Path
  report: Path
  num_epochs: int
  command: tuple[str, ...]


def parse_axis(text: str) -> tuple[str, list[str]]:
  """Splits "model.name=U1,UMD" into the field and its values.

  Raises:
    InputError: not of that form, or a value that occurs twice.
  """
  name, _, values = text.partition("=")
  found = [value.strip() for value in values.split(",") if value.strip()]
  name = name.strip().removeprefix("config.")
  if not name or not found or len(set(found)) < len(found):
    raise InputError(
      f"--sweep={text}",
      "give a field of the config and different values: "
      "--sweep=model.name=U1,UMD --sweep=seed=0,1",
    )
  return name, found


def _cast(text: str, old: Any, name: str) -> Any:
  """Returns a text as a value of the field's type."""
  try:
    if isinstance(old, bool):
      return {"true": True, "false": False}[text.lower()]
    return type(old)(text) if isinstance(old, int | float | str) else (text,)
  except (KeyError, ValueError):
    kind = type(old).__name__
    raise InputError(
      f"--sweep: config.{name} cannot be {text!r}", f"give a value of {kind}"
    ) from None


def with_value(config: Any, name: str, text: str) -> None:
  """Sets a field of a config by its dotted name.

  Raises:
    InputError: no such field, or a text that is no value of its type.
  """
  known = config_lib.flatten(config)
  if name not in known:
    raise InputError(
      f"--sweep: the config has no field {name!r}",
      did_you_mean(name, known) + "see lumbar_jax/config.py",
    )
  *sections, last = name.split(".")
  node = config
  for section in sections:
    node = node[section]
  node[last] = _cast(text, node[last], name)


def _point_name(values: dict[str, str]) -> str:
  """Returns a folder's name such as UMD_seed=0."""
  parts = [
    value if name == "model.name" else f"{name.rpartition('.')[2]}={value}"
    for name, value in values.items()
  ]
  return re.sub(r"[^\w=.+-]", "-", "_".join(parts))


def points(workdir: Path, config: Any, axes: Sequence[str]) -> list[Point]:
  """Returns the combinations of a sweep's values, each checked.

  All runs share the prepared studies and the phantom of `workdir`, unless the
  config places them elsewhere.

  Raises:
    InputError: a bad axis or value.
  """
  parsed = [parse_axis(axis) for axis in axes]
  names = [name for name, _ in parsed]
  shared = {}
  if parsed and not config.data.cache:
    shared["data.cache"] = str(workdir.absolute() / "cache")
  of_phantom = any(name.startswith("data.phantom.") for name in names)
  if parsed and not config.data.root and config.data.source == "phantom":
    shared |= {} if of_phantom else {"data.root": str(workdir / "phantom")}
  found = []
  for combination in itertools.product(*(values for _, values in parsed)):
    values = dict(zip(names, combination, strict=True))
    own = config.copy_and_resolve_references()
    for name, text in (values | shared).items():
      with_value(own, name, text)
    config_lib.validate(own)
    name = _point_name(values)
    found.append(Point(name, workdir / name, values | shared, own))
  _check_names(found)
  return found


def _check_names(found: Sequence[Point]) -> None:
  """Raises InputError where two points would be trained in one folder."""
  names = [point.name for point in found]
  for point, name in zip(found, names, strict=True):
    if names.count(name) > 1:
      raise InputError(
        f"--sweep: several points would lie in the folder {point.folder}",
        "give values whose letters and digits differ",
      )


def job_flags(arguments: Sequence[str]) -> list[str]:
  """Returns a command line's flags without those that each job has of its own.

  Args:
    arguments: such as `sys.argv[1:]`.
  """
  kept, skip = [], False
  for argument in arguments:
    if skip:
      skip = False
      continue
    name, equals, _ = argument.lstrip("-").partition("=")
    if argument.startswith("-") and name in _NOT_FOR_JOBS:
      skip = not equals
    else:
      kept.append(argument)
  return kept


def run_jobs(found: Sequence[Point], command: Sequence[str]) -> list[Job]:
  """Returns a job for each fold of each point's run.

  Whichever job trains a run's last fold goes on to evaluate the run.

  Args:
    found: the points.
    command: how to start the launcher, and the flags of all jobs.
  """
  return [
    Job(
      f"{point.name}/fold_{fold}".lstrip("/"),
      point.folder / f"fold_{fold}",
      point.folder / "report.html",
      point.config.training.num_epochs,
      (
        *(*command, *point.flags, "--mode=crossval"),
        *(f"--workdir={point.folder}", f"--fold={fold}"),
      ),
    )
    for point in found
    for fold in range(point.config.data.num_folds)
  ]


def study_jobs(workdir: Path, config: Any, command: Sequence[str]) -> list[Job]:
  """Returns a job for each fold of each network of a study.

  Whichever trains the last one goes on with the study's other stages.
  """
  return [
    Job(
      f"{network}/fold_{fold}",
      workdir / "runs" / network / f"fold_{fold}",
      workdir / "report.html",
      config.training.num_epochs,
      (
        *(*command, "--mode=study", f"--workdir={workdir}"),
        *(f"--network={network}", f"--fold={fold}"),
      ),
    )
    for network in config.study.networks
    for fold in range(config.data.num_folds)
  ]


def preparations(
  found: Sequence[Point], command: Sequence[str]
) -> list[tuple[str, ...]]:
  """Returns the commands that prepare the data, once for all that share them.

  Points that differ in what shapes prepared studies have a command each.
  """
  different = {}
  for point in found:
    settings = config_lib.flatten(point.config.data)
    key = tuple(sorted((name, str(value)) for name, value in settings.items()))
    different.setdefault(key, point)
  return [
    (*command, *p.flags, "--mode=prepare", f"--workdir={p.folder}")
    for p in different.values()
  ]
