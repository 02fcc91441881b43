"""Evaluating many models at once, on shared forward passes.

As in `tuning`, models take turns. What is counted is kept study by study, bound
to the weights by a digest.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax import leaks
from lumbar_jax.ensembles.model import Model
from lumbar_jax.ensembles.tuning import all_folds, take_turns
from lumbar_jax.ensembles.weights import Weights, make_pool
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.evaluate import count_slices, patching
from lumbar_jax.evaluation.labelling import read_thresholds
from lumbar_jax.evaluation.results import (
  AVERAGED,
  Results,
  load_counts,
  make_row,
  save_counts,
)
from lumbar_jax.evaluation.statistics import bootstrap_options
from lumbar_jax.files import (
  atomic_path,
  digest,
  read_arrays,
  read_json,
  write_json,
)
from lumbar_jax.progress import Progress

_ANEW = "delete the folder it lies in: the evaluation is then made anew"


@dataclasses.dataclass(frozen=True)
class Part:
  """Studies that some folds are evaluated on.

  Attributes:
    folds: the folds' numbers.
    studies: prepared, with truth.
    averaged: whether the folds' averaged scores are evaluated too.
  """

  folds: tuple[int, ...]
  studies: tuple[Any, ...]
  averaged: bool


def evaluate_models(
  models: Sequence[Model],
  parts: Sequence[Part],
  weights: Weights,
  config: Any,
  *,
  keep: Iterable[str] = (),
  labelling: str = "TH",
) -> dict[str, Results]:
  """Evaluates tuned models and writes each one's `evaluation/`.

  Args:
    models: tuned.
    parts: who is evaluated on what.
    weights: remembers the members' digests.
    config: patching, batching, bootstrap and seed.
    keep: titles of models whose label maps are kept, see `label_map_path`.
    labelling: of those maps.

  Returns:
    {title: counts}.

  Raises:
    InputError: not trained, or thresholds of other weights.
  """
  found = {}
  folds = sorted({fold for part in parts for fold in part.folds})
  for model in models:
    key = digest([all_folds(model, folds, weights), _names(parts)])
    found[model.title] = _Record(
      model, key, labelling if model.title in set(keep) else ""
    )
  total = sum(len(part.studies) for part in parts)
  with Progress(f"evaluating {len(models)} models, studies", total) as progress:
    for part in parts:
      _evaluate_part(list(found.values()), part, weights, config, progress)
  with Progress("intervals and tables, models", len(found)) as progress:
    for title, record in found.items():
      record.finish(config)
      progress.add(1, title)
  return {title: record.results for title, record in found.items()}


def _names(parts: Sequence[Part]) -> list:
  return [[list(p.folds), [s.name for s in p.studies]] for p in parts]


def label_map_path(model: Model, study: str) -> Path:
  """File of a study's label map: "labels" [n H W] uint8."""
  return model.run.folder / "evaluation" / "labels" / f"{study}.npz"


def load_results(model: Model) -> Results:
  """Returns what the evaluation of a model has counted.

  Raises:
    InputError: it is not evaluated, or not on all studies.
  """
  folder = model.run.folder / "evaluation"
  path = folder / "model.json"
  if not path.is_file() or not _read_record(path)["complete"]:
    raise InputError(
      f"{model.title} is not evaluated to the end",
      "run --mode=study --stage=evaluate",
      path=folder,
    )
  return load_counts(folder / "counts.npz")


def load_label_maps(
  model: Model, studies: Sequence[Any], labelling: str
) -> dict[str, np.ndarray]:
  """Returns {study: [n H W] uint8}: the maps of this labelling at hand."""
  record = _read_record(model.run.folder / "evaluation" / "model.json")
  if record["labelling"] != labelling:
    return {}
  paths = {s.name: label_map_path(model, s.name) for s in studies}
  return {
    name: read_arrays(path, "labels", remedy=_ANEW)[0]
    for name, path in paths.items()
    if path.is_file()
  }


def _read_record(path: Path) -> dict[str, Any]:
  return read_json(path, ("model", "labelling", "complete"), _ANEW)


class _Record:
  """One model's counts on disk, as far as they go."""

  def __init__(self, model: Model, key: str, labelling: str):
    """Takes up what an earlier evaluation of the same weights has counted."""
    self.model, self.labelling = model, labelling
    self._run_folder = model.run.folder
    self._folder = self._run_folder / "evaluation"
    self._file = self._folder / "model.json"
    self.results = Results(model.run.scheme)
    self._state = {"model": key, "labelling": labelling, "complete": False}
    if self._file.is_file():
      old = _read_record(self._file)
      same = labelling == old["labelling"]
      if old["model"] == key and (same or (old["complete"] and not labelling)):
        self._state = old
        if (self._folder / "counts.npz").is_file():
          self.results = load_counts(self._folder / "counts.npz")

  def has(self, study: str) -> bool:
    """Whether a study has been counted."""
    return any(row.study == study for row in self.results.rows)

  def add(self, study: Any, counts: dict, labels: np.ndarray | None) -> None:
    """Adds a study's counts and writes them."""
    if labels is not None:
      path = label_map_path(self.model, study.name)
      with atomic_path(path) as scratch:
        np.savez_compressed(scratch, labels=labels)
    if not self.results.rows:  # older counts must not pass for this model's
      (self._folder / "counts.npz").unlink(missing_ok=True)
    write_json(self._file, self._state)
    for kind, slices in counts.items():
      self.results.rows.append(make_row(kind, study, np.stack(slices)))
    save_counts(self._folder / "counts.npz", self.results)

  def finish(self, config: Any) -> None:
    """Writes the tables, unless they are there as they are wanted."""
    wanted = {**bootstrap_options(config), "note": leaks.note(self._run_folder)}
    if self._state["complete"] and self._state.get("tables") == wanted:
      return
    tables.save(self._folder, self.results, **wanted)
    self._state = {**self._state, "complete": True, "tables": wanted}
    write_json(self._file, self._state)


def _evaluate_part(records, part: Part, weights, config, progress) -> None:
  """Counts a part's studies for all models that have not counted them."""
  pool = scorers = None
  models = [r.model for r in records if not all(map(r.has, _study_names(part)))]
  for study in part.studies:
    pending = [record for record in records if not record.has(study.name)]
    if pending and pool is None:
      pool = make_pool(models, part.folds, weights, config.ensemble.batching)
      scorers = {
        model.title: {str(f): model.scorer(pool, f) for f in part.folds}
        for model in models
      }
    walks = [_walk(r, scorers, study, part, weights, config) for r in pending]
    take_turns(walks)
    progress.update(progress.done + 1, study.name)


def _study_names(part: Part) -> list[str]:
  return [study.name for study in part.studies]


def _walk(record, scorers, study, part: Part, weights, config):
  """Counts a study for one model, pausing after each batch."""
  model, counts = record.model, {}
  run, scheme = model.run, model.run.scheme
  limits = {
    str(fold): read_thresholds(
      run.thresholds_path(fold), scheme, weights.of_model(model, fold)
    )
    for fold in part.folds
  }
  if part.averaged:
    whole = all_folds(model, part.folds, weights)
    limits[AVERAGED] = read_thresholds(run.thresholds_path(), scheme, whole)
  shown = AVERAGED if part.averaged else str(part.folds[0])
  labels = None
  if record.labelling:
    labels = np.zeros((len(study.image), *study.native_shape), np.uint8)

  def on_labels(_, number, kind, found):
    if labels is not None and kind == (shown, record.labelling):
      labels[number] = found

  yield from count_slices(
    counts,
    scorers[model.title],
    study,
    limits,
    patching(config),
    on_labels,
  )
  record.add(study, counts, labels)
