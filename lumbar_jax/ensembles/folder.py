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

from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.ensembles.definitions import Ensemble, check
from lumbar_jax.errors import InputError
from lumbar_jax.files import copy_file, read_json, write_json
from lumbar_jax.runs import ENSEMBLE_FILE, Run, begin_run, load_run

# What has to be the same in all members, or their scores cannot be combined.
SHARED_FIELDS = (
  *("data.channels", "data.registration", "data.registration_bound_mm"),
  *("data.normalisation", "data.spacing_mm", "data.image_size"),
  *("data.patch_size", "data.patch_stride", "data.num_folds"),
)


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


def _field(run: Run, name: str) -> Any:
  value = run.config
  for part in name.split("."):
    value = value[part]
  return value


def check_members(members: Sequence[Member]) -> None:
  """Checks that scores of the members can be combined.

  Raises:
    InputError: other classes, channels, preparation, patches or patients'
      division; it names the two members and what differs.
  """
  first = members[0]
  for other in members[1:]:
    pairs = {"classes": (first.run.scheme.names, other.run.scheme.names)}
    for name in SHARED_FIELDS:
      pairs[f"config.{name}"] = (
        _field(first.run, name),
        _field(other.run, name),
      )
    pairs["division of the patients (splits.json)"] = (
      _division(first.run),
      _division(other.run),
    )
    pairs["data (environment.json)"] = (_data(first.run), _data(other.run))
    for what, (ours, theirs) in pairs.items():
      if ours != theirs:
        raise InputError(
          f"members {first.name} and {other.name} differ in {what}: "
          f"{_short(ours)} and {_short(theirs)}",
          "combine runs of one data set, prepared and divided alike",
          path=other.run.folder,
        )


def _division(run: Run):
  splits, _ = read_splits(run.folder / "splits.json")
  return splits.test, splits.folds


def _data(run: Run) -> dict[str, str]:
  """Returns the digests of what a run was trained on."""
  path = run.folder / "environment.json"
  if not path.is_file():
    return {}
  return read_json(path, ["studies"])["studies"]


def _short(value: Any) -> str:
  text = str(value)
  return text if len(text) < 80 else text[:77] + "..."


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
    _check_same(_read_record(path), content, path)
    return _with_free_fields(load_run(folder), config)
  _check_unused(folder)
  first = members[0].run
  config = config.copy_and_resolve_references()
  config.mode, config.model.name = "ensemble", first.config.model.name
  for name in ("splits.json", "environment.json"):
    copy_file(first.folder / name, folder / name)
  write_json(path, content)
  begin_run(Run(folder, config, first.scheme))
  return _with_free_fields(load_run(folder), config)


def _check_unused(folder: Path) -> None:
  """Raises InputError if a folder is a run's or a study's."""
  if (folder / "config.json").is_file():
    raise InputError(
      "this folder is a run's or a study's, not an ensemble's",
      "give another --workdir for the ensemble",
      path=folder,
    )


def _with_free_fields(run: Run, config: Any) -> Run:
  """Returns a run with a config's fields that do not shape results."""
  for name in ("root", "manifest", "cache", "num_workers"):
    run.config.data[name] = config.data[name]
  run.config.evaluation, run.config.ensemble = (
    config.evaluation,
    config.ensemble,
  )
  return run


def _check_same(old: dict, new: dict, path: Path) -> None:
  """Raises InputError where a folder was made for something else."""
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


def raise_retrained(name: str, path: Path) -> None:
  """Raises the error of a member whose weights have changed."""
  raise InputError(
    f"member {name} was trained anew since this ensemble was made",
    "delete the ensemble's folder and make it again",
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
