"""A run's folder: everything that a later mode needs, movable as a whole.

config.json  dseg.tsv  splits.json  environment.json  thresholds.json
origins.json (of a run that starts from other weights)
fold_0..N/{checkpoints/, metrics.jsonl, thresholds.json}
evaluation/{per_class.csv, per_study.csv, confusion.csv, surface.csv}
predictions/  report.html  crash-YYYYMMDD-HHMMSS.log (of an unforeseen error)
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections
from absl import logging

from lumbar_jax import anatomy
from lumbar_jax import config as config_lib
from lumbar_jax.anatomy import Scheme
from lumbar_jax.errors import InputError
from lumbar_jax.files import RESTORE, read_json, write_json

ENSEMBLE_FILE = "ensemble.json"  # makes a folder an ensemble's
NEW_FOLDER = "give another --workdir, or delete this one to start afresh"


@dataclasses.dataclass(frozen=True)
class Run:
  """An opened run.

  Attributes:
    folder: the workdir.
    config: the configuration it was begun with.
    scheme: its label scheme.
  """

  folder: Path
  config: ml_collections.ConfigDict
  scheme: Scheme

  @property
  def folds(self) -> range:
    """The folds' numbers."""
    return range(self.config.data.num_folds)

  @property
  def cache(self) -> Path:
    """Folder of the prepared studies."""
    return Path(self.config.data.cache or self.folder / "cache")

  @property
  def title(self) -> str:
    """The network's name, or an ensemble's such as E12-NAD."""
    path = self.folder / ENSEMBLE_FILE
    if not path.is_file():
      return self.config.model.name
    content = read_json(path, ("name", "method", "left_out"))
    suffix = f"-without-{content['left_out']}" if content["left_out"] else ""
    return f"{content['name']}-{content['method']}{suffix}"

  def fold_folder(self, fold: int) -> Path:
    """Folder of one fold."""
    return self.folder / f"fold_{fold}"

  def thresholds_path(self, fold: int | None = None) -> Path:
    """File of a fold's thresholds, or (None) of the run's own."""
    folder = self.folder if fold is None else self.fold_folder(fold)
    return folder / "thresholds.json"

  def check_fold(self, fold: int) -> int:
    """Returns the fold's number.

    Raises:
      InputError: the run has no such fold.
    """
    if fold not in self.folds:
      raise InputError(
        f"--fold={fold}: this run has folds 0 to {len(self.folds) - 1}",
        "give one of them",
        path=self.folder,
      )
    return fold


def _plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Returns the config as JSON gives it back (tuples as lists)."""
  return json.loads(json.dumps(config.to_dict()))


def _from_plain(values: Mapping[str, Any], path: Path):
  """Returns a config of recorded values; lists become tuples again.

  Raises:
    InputError: a field that this version does not know.
  """
  config = config_lib.default()

  def fill(node, recorded, prefix):
    for name, value in recorded.items():
      if name not in node:
        raise InputError(
          f"field {prefix}{name!r} is unknown to this version",
          "use the version of lumbar_jax that wrote this folder",
          path=path,
        )
      known = isinstance(node[name], ml_collections.ConfigDict)
      if known and name != "remap":
        if not isinstance(value, dict):
          raise InputError(
            f"the file is damaged ({prefix}{name} is {value!r})",
            RESTORE,
            path=path,
          )
        fill(node[name], value, f"{prefix}{name}.")
      else:
        node[name] = tuple(value) if isinstance(value, list) else value

  with config.ignore_type():
    fill(config, values, "")
  return config


def _check_same(old: Mapping[str, Any], new: Mapping[str, Any], path: Path):
  """Raises InputError where a field that shapes results differs."""
  for name in sorted(old.keys() | new.keys()):
    if old.get(name) != new.get(name):
      raise InputError(
        f"this folder was begun with config.{name} = {old.get(name)!r}, "
        f"not {new.get(name)!r}",
        NEW_FOLDER,
        path=path,
      )


def _check_config(folder: Path, recorded: Any, config: Any) -> None:
  """Raises InputError unless a folder may be continued with a config."""
  from lumbar_jax import origins  # which reads runs

  old, new = (_jsonable(config_lib.shaping(c)) for c in (recorded, config))
  for name in (*config_lib.BY_CONTENT, config_lib.EPOCHS):
    del old[name], new[name]
  _check_same(old, new, folder / "config.json")
  origins.check(folder, recorded, config)
  if recorded.training.num_epochs != config.training.num_epochs:
    _check_epochs(folder, config)


def _check_epochs(folder: Path, config: Any) -> None:
  """Raises InputError where a fold has more epochs than are wanted."""
  from lumbar_jax.training.checkpoints import epochs_done  # slow to import

  wanted = config.training.num_epochs
  for fold in range(config.data.num_folds):
    done = epochs_done(folder / f"fold_{fold}" / "checkpoints")
    if done > wanted:
      raise InputError(
        f"fold {fold} has been trained for {done} epochs, and "
        f"config.training.num_epochs is {wanted}: none can be taken back",
        f"give --config.training.num_epochs={done} or more, or another "
        "--workdir",
        path=folder,
      )


def _check_classes(path: Path, scheme: Scheme) -> None:
  """Raises InputError where a folder was begun with other classes."""
  stored = anatomy.read_dseg_tsv(path, recorded=True)
  if stored.names != scheme.names:
    raise InputError(
      f"this folder was begun with classes {', '.join(stored.names)}, not "
      f"{', '.join(scheme.names)}",
      NEW_FOLDER,
      path=path,
    )
  if stored.indices != scheme.indices:
    raise InputError(
      f"this folder's classes were begun with the numbers {stored.indices}, "
      f"not {scheme.indices}",
      NEW_FOLDER,
      path=path,
    )
  if stored.ignored != scheme.ignored:
    raise InputError(
      f"this folder was begun with {stored.ignored or 'no numbers'} to be "
      f"ignored, not {scheme.ignored or 'none'}",
      NEW_FOLDER,
      path=path,
    )


def open_run(
  folder: str | Path, config: ml_collections.ConfigDict, *, write: bool = True
) -> Run:
  """Opens a run's folder for a config.

  Args:
    folder: the workdir.
    config: the configuration.
    write: whether to begin a new folder at once; otherwise `begin_run` does,
      once the data are known to be usable.

  Raises:
    InputError: a bad config value, or a folder that was begun with a config
      that differs in a field that shapes results.
  """
  config_lib.validate(config)
  folder = Path(folder)
  scheme = anatomy.load_scheme(config.data.scheme)
  path = folder / "config.json"
  if path.is_file():
    recorded = _from_plain(read_json(path, ["data"]), path)
    _check_config(folder, recorded, config)
    _check_classes(folder / "dseg.tsv", scheme)
  run = Run(folder, config, scheme)
  if write:
    begin_run(run)
  return run


def begin_run(run: Run) -> None:
  """Writes the config and the classes, unless the folder has them already.

  Raises:
    InputError: weights that the run is to start from are not there.
  """
  from lumbar_jax import origins  # which reads runs

  path = run.folder / "config.json"
  if not path.is_file():
    origins.record(run.folder, run.config)
    anatomy.write_dseg_tsv(run.folder / "dseg.tsv", run.scheme)
    write_json(path, _plain(run.config))


def record_config(run: Run) -> None:
  """Writes the config again: what does not shape results may differ."""
  write_json(run.folder / "config.json", _plain(run.config))


def record_epochs(run: Run) -> None:
  """Writes the number of epochs that a run is trained for from now on.

  Nothing else that shapes results may differ. No recipe has a schedule that
  depends on their number: a run that goes on from its latest checkpoints ends
  bit for bit as if it had been begun with the larger one.
  """
  path = run.folder / "config.json"
  content, wanted = (
    read_json(path, ["training"]),
    run.config.training.num_epochs,
  )
  before = content["training"]["num_epochs"]
  if before != wanted:
    logging.info(
      "%s: begun with %d epochs, from now on %d: folds go on from their latest "
      "checkpoints (no learning rate depends on the number of epochs), and "
      "thresholds, evaluation and report are made anew",
      *(run.folder, before, wanted),
    )
    content["training"]["num_epochs"] = wanted
    write_json(path, content)


def _jsonable(flat: Mapping[str, Any]) -> dict[str, Any]:
  return json.loads(json.dumps(dict(flat)))


def load_run(folder: str | Path) -> Run:
  """Opens a run's folder as it is.

  Raises:
    InputError: not a run's folder.
  """
  folder = Path(folder)
  path = folder / "config.json"
  if not path.is_file():
    raise InputError(
      "not a run's folder: it has no config.json",
      "give the --workdir of a finished crossval or train run",
      path=folder,
    )
  config = _from_plain(read_json(path, ["data"]), path)
  name = config.data.scheme
  stored = anatomy.read_dseg_tsv(folder / "dseg.tsv", recorded=True)
  known = anatomy.SCHEMES.get(name)
  scheme = known if known and known.names == stored.names else stored
  if not known:  # a dseg.tsv of the user's: called after its own folder
    scheme = dataclasses.replace(stored, name=Path(name).parent.name)
  return Run(folder, config, scheme)
