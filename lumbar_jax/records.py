"""What was evaluated, and reported, with which weights.

  evaluation/record.json: {"evaluated": STATE, "reported": STATE}

That a report is there says nothing of what it is a report of: a study can grow,
a run can be trained on, and a report can be asked for midway. So a state is
kept: the digests of each fold's weights and thresholds, of the studies, and of
the settings: how it is evaluated, and what a study compares. Work is done where
both are the present state.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import config as config_lib
from lumbar_jax import distributed
from lumbar_jax.errors import InputError
from lumbar_jax.files import digest, file_digest, read_json, write_json
from lumbar_jax.runs import ENSEMBLE_FILE, Run, load_run
from lumbar_jax.training.identity import best_identity

FILE = Path("evaluation", "record.json")
EVALUATED, REPORTED = "evaluated", "reported"
_ENSEMBLES = "ensembles/"  # of a study, what its ensembles lie below
_SETTINGS = "settings"
_NO_MATTER = ("batch_size",)  # of config.evaluation, for the results

State = dict[str, Any]


def state_of(folder: Path, config: Any, *, study: bool = False) -> State:
  """Returns what an evaluation of a folder would be made of now.

  Args:
    folder: a run's, an ensemble's or a study's.
    config: its own, with the settings that are wanted now.
    study: whether it is a study's.

  Returns:
    {"weights": digests, "thresholds": digests, "data": digest,
    "settings": digest}; nothing is loaded.
  """
  models = _models(config) if study else ["."]
  folds = range(config.data.num_folds)
  found: State = {
    "weights": {m: _weights(folder / m, folds) for m in models},
    "thresholds": {m: _thresholds(folder / m, folds) for m in models},
    "data": _data(folder),
    _SETTINGS: _settings(config, study),
  }
  return json.loads(json.dumps(found))


def _settings(config: Any, study: bool) -> str:
  """Returns the digest of how a folder is evaluated."""
  sections = ("study", "evaluation") if study else ("evaluation",)
  chosen = config_lib.flatten({name: config[name] for name in sections})
  for name in _NO_MATTER:
    del chosen[f"evaluation.{name}"]
  return digest(chosen)


def weights_of(run: Run, folds: Sequence[int]) -> list[str]:
  """Returns a digest of the weights of each fold of a run or an ensemble."""
  return _weights(run.folder, folds)


def reader(run: Run, *, study: bool = False) -> Callable[[], State]:
  """Returns what returns the present state of an opened folder."""
  return functools.partial(state_of, run.folder, run.config, study=study)


def _models(config: Any) -> list[str]:
  """Returns the folders of a study's networks, ensembles and ablations."""
  from lumbar_jax.study_plan import planned  # which reads all networks

  names = list(config.study.networks)
  titles = [ensemble.title for ensemble in planned(config, names)]
  return [f"runs/{n}" for n in names] + [_ENSEMBLES + t for t in titles]


def _weights(folder: Path, folds: Sequence[int]) -> list[str]:
  """Returns a digest a fold; of an ensemble, of its members' and its own."""
  path, places = folder / ENSEMBLE_FILE, [folder]
  if path.is_file():
    places += [
      folder / m["path"] for m in read_json(path, ["members"])["members"]
    ]
  return [
    digest([best_identity(place / f"fold_{fold}") for place in places])
    for fold in folds
  ]


def _thresholds(folder: Path, folds: Sequence[int]) -> list[str]:
  places = [folder / f"fold_{fold}" for fold in folds]
  paths = [place / "thresholds.json" for place in (folder, *places)]
  return [file_digest(path) if path.is_file() else "" for path in paths]


def _data(folder: Path) -> str:
  names = ("environment.json", "splits.json")
  found = [
    read_json(path, ()) if path.is_file() else {}
    for path in (folder / name for name in names)
  ]
  studies, splits = found
  parts = ("test", "folds", "training")
  return digest(studies.get("studies"), [splits.get(part) for part in parts])


def goal(state: State) -> str:
  """Returns the digest of all that is there before what follows a training.

  What follows makes a study's ensembles and tunes thresholds.
  """
  weights = {
    model: digests
    for model, digests in state["weights"].items()
    if not model.startswith(_ENSEMBLES)
  }
  return _evaluated({**state, "weights": weights})


def _evaluated(state: State) -> str:
  """Returns the digest of all of a state that evaluating does not change."""
  return digest({n: v for n, v in state.items() if n != "thresholds"})


def read(folder: Path) -> dict[str, State]:
  """Returns a folder's record; {} where there is none that can be read."""
  try:
    found = read_json(folder / FILE)
  except (OSError, ValueError):  # damaged: evaluated again
    return {}
  whole = isinstance(found, dict) and all(
    isinstance(state, dict) for state in found.values()
  )
  return found if whole else {}


def is_done(folder: Path, state: State, *, any_settings: bool = False) -> bool:
  """Whether a folder is evaluated and reported in its present state.

  Args:
    folder: a run's, an ensemble's or a study's.
    state: the present one.
    any_settings: whether it may have been evaluated with other settings.
  """
  record = read(folder)
  evaluated = record.get(EVALUATED)
  if not (folder / "report.html").is_file() or evaluated is None:
    return False
  same = _made_of(evaluated) == _made_of(state)
  if not any_settings:
    same = evaluated == state
  return same and evaluated == record.get(REPORTED)


def _made_of(state: State) -> State:
  """Returns what of a state does not depend on how it is evaluated."""
  return {name: value for name, value in state.items() if name != _SETTINGS}


@contextlib.contextmanager
def evaluating(folder: Path, state: Callable[[], State]) -> Iterator[None]:
  """Records that the block has evaluated a folder.

  Not where weights have changed meanwhile: it is then evaluated again.
  """
  before = _evaluated(state())
  yield
  if not distributed.is_main():
    return
  after = state()
  if _evaluated(after) != before:
    logging.warning(
      "%s: weights have changed while they were evaluated: evaluate again",
      folder,
    )
    return
  write_json(folder / FILE, {**read(folder), EVALUATED: after})


def reported(folder: Path) -> None:
  """Records that a report was written of what is evaluated."""
  record = read(folder)
  if EVALUATED in record:
    write_json(folder / FILE, {**record, REPORTED: record[EVALUATED]})


def is_outdated(folder: Path, config: Any) -> bool:
  """Whether a run's evaluation is of other weights than it has now."""
  record = read(folder)
  if EVALUATED not in record:
    return False
  return _made_of(record[EVALUATED]) != _made_of(state_of(folder, config))


def is_untuned(
  folder: Path, model: str, folds: Sequence[int], fold: int | None
) -> bool:
  """Whether weights changed after an evaluation, and thresholds did not.

  Args:
    folder: a run's, an ensemble's or a study's, perhaps not evaluated.
    model: "." or, of a study, the model's folder in it.
    folds: whose weights count.
    fold: whose thresholds; None: the model's own.
  """
  old, place = read(folder).get(EVALUATED, {}), folder / model
  try:
    weights = [old["weights"][model][number] for number in folds]
    thresholds = old["thresholds"][model][0 if fold is None else 1 + fold]
  except (KeyError, IndexError, TypeError):  # of another study, or none
    return False
  kept = _thresholds(place, [] if fold is None else [fold])[-1] == thresholds
  return kept and _weights(place, folds) != weights


def describe(folder: Path) -> str:
  """Returns how far the evaluation of a run's or study's folder is."""
  if not (folder / "report.html").is_file():
    return "not evaluated yet"
  if not read(folder):
    return "a report without a record of what was evaluated"
  try:
    config = load_run(folder).config
    study = config.mode == "study"
    state = state_of(folder, config, study=study)
    # A run's config.json keeps the settings that it was begun with.
    done = is_done(folder, state, any_settings=not study)
  except InputError as error:
    return f"not readable ({error})"
  return "evaluated" if done else "evaluated before, not in its present state"
