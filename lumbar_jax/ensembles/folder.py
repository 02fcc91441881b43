"""An ensemble's folder: a run's folder whose networks are other runs'.

ensemble.json  config.json  dseg.tsv  splits.json  environment.json
fold_0..N/{checkpoints/ (stacking), metrics.jsonl, thresholds.json}
thresholds.json  evaluation/  predictions/

Members are named by a path relative to the folder and by digests of their
weights, so that folder and members can be moved together and a member that was
trained anew is noticed.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax.ensembles.definitions import Ensemble, check
from lumbar_jax.ensembles.fitting import check_members
from lumbar_jax.errors import InputError
from lumbar_jax.files import copy_file, read_json, write_json
from lumbar_jax.runs import ENSEMBLE_FILE, Run, begin_run, load_run

# Fields of config.data that say where the data lie and how to read them.
WHERE = ("root", "manifest", "columns", "cache", "assume_orientation")


@dataclasses.dataclass(frozen=True)
class Member:
  """A finished run that takes part.

  Attributes:
    name: by which ensembles name it: its topology, or its folder's name.
    run: the run.
  """

  name: str
  run: Run


def open_members(folders: Sequence[str | Path]) -> tuple[Member, ...]:
  """Opens runs as members; a topology that occurs twice goes by folder names.

  Raises:
    InputError: not a run's folder, an ensemble, or members that do not fit
      together.
  """
  runs = [load_run(folder) for folder in folders]
  for run in runs:
    if (run.folder / ENSEMBLE_FILE).is_file():
      raise InputError(
        "an ensemble cannot be a member of another one",
        "name its members instead",
        path=run.folder,
      )
  names = _names(runs)
  members = tuple(Member(*pair) for pair in zip(names, runs, strict=True))
  check_members(members)
  return members


def _names(runs: Sequence[Run]) -> list[str]:
  """Returns topologies; where two are alike, the ends of their paths."""
  topologies = [run.config.model.name for run in runs]
  parts = [run.folder.absolute().parts for run in runs]
  for depth in range(max(map(len, parts))):
    names = [
      "_".join(path[-depth:])
      if depth and topologies.count(topology) > 1
      else topology
      for topology, path in zip(topologies, parts, strict=True)
    ]
    if len(set(names)) == len(names):
      break
  return names


def create(
  folder: str | Path,
  ensemble: Ensemble,
  members: Sequence[Member],
  config: Any,
  settings: Mapping[str, Any],
  digests: Mapping[str, Sequence[str]],
) -> Run:
  """Makes an ensemble's folder, or opens it if it is the same ensemble's.

  Args:
    folder: where.
    ensemble: its definition.
    members: in the order of `ensemble.members`.
    config: what its folder records; of a member, with `config.ensemble`.
    settings: `config.ensemble` fields that shape a meta-learner.
    digests: {member: digest of its weights, fold by fold}.

  Raises:
    InputError: the folder was made for another ensemble or other weights.
  """
  folder = Path(folder)
  content = {
    "name": ensemble.name,
    "method": ensemble.method,
    "weights": list(ensemble.weights),
    "left_out": ensemble.left_out,
    "settings": dict(settings) if ensemble.is_stacking else {},
    "members": [
      {
        "name": member.name,
        "path": os.path.relpath(member.run.folder, folder),
        "weights": list(digests[member.name]),
      }
      for member in members
    ],
  }
  path = folder / ENSEMBLE_FILE
  if path.is_file():
    old = _read_record(path)
    _check_same(old, content, path)
    if old["settings"] != content["settings"]:
      write_json(path, content)
  else:
    _check_unused(folder)
    write_json(path, content)
  if not (folder / "config.json").is_file():  # which comes last
    _fill(folder, members[0].run, config)
  return _with_free_fields(load_run(folder), config)


def _fill(folder: Path, first: Run, config: Any) -> None:
  """Writes what makes a folder a run's, the config last.

  A process killed before it is done again by the same command.
  """
  copy_file(first.folder / "splits.json", folder / "splits.json")
  # What the member was allowed to see, the ensemble is asked for again.
  environment = read_json(first.folder / "environment.json", ["studies"])
  environment["shared_allowed"] = False
  write_json(folder / "environment.json", environment)
  config = config.copy_and_resolve_references()
  config.mode, config.model.name = "ensemble", first.config.model.name
  config.training.init_from = config.model.backbone_weights = ""
  begin_run(Run(folder, config, first.scheme))


def _check_unused(folder: Path) -> None:
  """Raises InputError if a folder is another's, or has its networks."""
  if (folder / "config.json").is_file():
    raise InputError(
      "this folder is a run's or a study's, not an ensemble's",
      "give another --workdir for the ensemble",
      path=folder,
    )
  if any(folder.glob("fold_*/checkpoints")):  # of what, nobody knows
    raise InputError(
      f"this folder has trained folds, but no {ENSEMBLE_FILE}",
      "restore the file from a copy, or delete the folder, so that the "
      "ensemble is made again",
      path=folder,
    )


def _with_free_fields(run: Run, config: Any) -> Run:
  """Returns a run with a config's fields that do not shape results."""
  for name in (*WHERE, "num_workers"):
    run.config.data[name] = config.data[name]
  allowed = config.training.allow_shared_patients
  run.config.training.allow_shared_patients = allowed
  run.config.evaluation, run.config.ensemble = (
    config.evaluation,
    config.ensemble,
  )
  return run


def _check_same(old: dict, new: dict, path: Path) -> None:
  """Raises InputError where a folder was made for something else."""
  if _only_more_epochs(old["settings"], new["settings"]):
    logging.info(
      "%s: its meta-learners were begun with %d epochs, from now on %d: they "
      "go on from their latest checkpoints",
      *(path.parent, old["settings"]["num_epochs"]),
      new["settings"]["num_epochs"],
    )
    old = {**old, "settings": new["settings"]}
  for name in ("name", "method", "weights", "left_out", "settings"):
    if old[name] != new[name]:
      raise InputError(
        f"this folder was begun with {name} {old[name]}, not {new[name]}",
        "give another --workdir, or delete this one",
        path=path,
      )
  names = [[m["name"] for m in content["members"]] for content in (old, new)]
  if names[0] != names[1]:
    raise InputError(
      f"this folder was begun with the members {', '.join(names[0])}, not "
      f"{', '.join(names[1])}",
      "give another --workdir, or delete this one",
      path=path,
    )
  for before, now in zip(old["members"], new["members"], strict=True):
    if before["weights"] != now["weights"]:
      raise_retrained(now["name"], path)


def _only_more_epochs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
  """Whether a meta-learner is only to be trained for longer."""
  name = "num_epochs"
  return old.get(name, 0) < new.get(name, 0) and {**old, name: 0} == {
    **new,
    name: 0,
  }


def outdated(folder: Path, digests: Mapping[str, Sequence[str]]) -> bool:
  """Whether an ensemble was made of other weights than its members have now.

  Args:
    folder: perhaps not made yet.
    digests: {member: digest of its weights, fold by fold}.
  """
  path = folder / ENSEMBLE_FILE
  return path.is_file() and any(
    entry["weights"] != list(digests.get(entry["name"], entry["weights"]))
    for entry in read_json(path, ["members"])["members"]
  )


def raise_retrained(name: str, path: Path) -> None:
  """Raises the error of a member whose weights have changed."""
  raise InputError(
    f"member {name} was trained anew since this ensemble was made",
    "delete the ensemble's folder and make it again (a study makes its own "
    "again with --stage=stack)",
    path=path,
  )


def _read_record(path: Path) -> dict[str, Any]:
  """Returns the content of ensemble.json."""
  fields = "name", "method", "weights", "left_out", "settings", "members"
  return read_json(
    path,
    fields,
    "restore the file from a copy, or delete the ensemble's folder and make it "
    "again",
  )


def read(folder: Path) -> tuple[Ensemble, tuple[Member, ...], dict[str, Any]]:
  """Returns (ensemble, members, content of ensemble.json) of a folder.

  Raises:
    InputError: a member is not where the file says, or does not fit.
  """
  path = folder / ENSEMBLE_FILE
  content = _read_record(path)
  members = []
  for entry in content["members"]:
    place = Path(os.path.normpath(folder / entry["path"]))
    if not (place / "config.json").is_file():
      raise InputError(
        f"member {entry['name']} is not at {place}",
        "move members and ensemble together, or restore it",
        path=path,
      )
    members.append(Member(entry["name"], load_run(place)))
  check_members(members)
  ensemble = check(
    Ensemble(
      content["name"],
      tuple(member.name for member in members),
      content["method"],
      tuple(content["weights"]),
      content["left_out"],
    )
  )
  return ensemble, tuple(members), content
