"""Tuning and evaluating many models at once, on shared forward passes.

Models go through a study slice by slice in turns, so that each network is
computed once a batch however many ensembles it is in. What is done is kept:
thresholds fold by fold, counts study by study, both bound to the weights by a
digest.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.ensembles.model import Model, Weights, make_pool
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.evaluate import count_slices, threshold_slices
from lumbar_jax.evaluation.labelling import (
  ThresholdCounts,
  read_thresholds,
  write_thresholds,
)
from lumbar_jax.evaluation.results import (
  AVERAGED,
  Results,
  Row,
  load_counts,
  save_counts,
)
from lumbar_jax.files import atomic_path, digest, read_json, write_json
from lumbar_jax.progress import Progress

_COUNTS = "threshold_counts.npz"


def take_turns(walks: Sequence[Iterator[None]]) -> None:
  """Advances walks of equal length step by step, all of them to their end."""
  for _ in zip(*walks, strict=True):
    pass


# --- thresholds ---


def tune_models(
  models: Sequence[Model],
  folds: Sequence[int],
  validation: Callable[[int], Sequence[Any]],
  weights: Weights,
  config: Any,
) -> None:
  """Tunes TH's thresholds of models, fold by fold and pooled.

  Args:
    models: trained.
    folds: all their folds.
    validation: fold -> the prepared studies that it is validated on.
    weights: remembers the members' digests.
    config: patching and batching.

  Raises:
    InputError: a fold of a member or a meta-learner is not trained.
  """
  with Progress("tuning thresholds, folds", len(folds)) as progress:
    for fold in folds:
      pending = [m for m in models if not _is_tuned(m, fold, weights)]
      if pending:
        _tune_fold(pending, fold, validation(fold), weights, config)
      progress.update(fold + 1)
  for model in models:
    counts = pooled_counts(model, folds)
    scheme, model_digest = model.run.scheme, all_folds(model, folds, weights)
    path = model.run.thresholds_path()
    write_thresholds(path, scheme, counts.thresholds(), model_digest)


def all_folds(model: Model, folds: Sequence[int], weights: Weights) -> str:
  """Returns the digest of a model's weights in several folds."""
  return digest([weights.of_model(model, fold) for fold in folds])


def _is_tuned(model: Model, fold: int, weights: Weights) -> bool:
  path = model.run.thresholds_path(fold)
  counts = model.run.fold_folder(fold) / _COUNTS
  if not path.is_file() or not counts.is_file():
    return False
  return read_json(path).get("model") == weights.of_model(model, fold)


def _tune_fold(models, fold, studies, weights, config) -> None:
  """Tunes one fold of several models."""
  pool = make_pool(models, [fold], weights, config.ensemble.batching)
  scheme = models[0].run.scheme
  counts = [ThresholdCounts.zeros(scheme.num_classes) for _ in models]
  scorers = [model.scorer(pool, fold) for model in models]
  title = f"fold {fold}, {len(models)} models, validation studies"
  with Progress(title, len(studies)) as progress:
    for done, study in enumerate(studies, start=1):
      take_turns(
        [
          threshold_slices(found, scorer, study, patching(config))
          for found, scorer in zip(counts, scorers, strict=True)
        ]
      )
      progress.update(done, study.name)
  for number in counts[0].absent():
    logging.warning(
      "fold %d: no validation pixel is %s; its threshold is .05",
      *(fold, scheme.names[number]),
    )
  for model, found in zip(models, counts, strict=True):
    folder = model.run.fold_folder(fold)
    with atomic_path(folder / _COUNTS) as scratch:
      np.savez_compressed(scratch, counts=found.counts)
    write_thresholds(
      model.run.thresholds_path(fold),
      *(scheme, found.thresholds(), weights.of_model(model, fold)),
    )


def pooled_counts(model: Model, folds: Sequence[int]) -> ThresholdCounts:
  """Returns a tuned model's threshold counts, folds added up."""
  total = ThresholdCounts.zeros(model.run.scheme.num_classes)
  for fold in folds:
    with np.load(model.run.fold_folder(fold) / _COUNTS) as file:
      total = total + ThresholdCounts(file["counts"])
  return total


def validation_iou(model: Model, folds: Sequence[int]) -> float:
  """Returns the mean one-vs-rest IoU at the thresholds, on validation pixels.

  What models may be chosen by: no test patient has a part in it.
  """
  counts = pooled_counts(model, folds)
  best = counts.iou().max(axis=-1)[1:]
  present = counts.counts[1:, 1].sum(-1) > 0
  return float(best[present].mean())


def patching(config: Any) -> dict[str, int]:
  """Returns how slices are cut and batched."""
  return {
    "patch_size": config.data.patch_size,
    "patch_stride": config.data.patch_stride,
    "batch_size": config.evaluation.batch_size,
  }


# --- evaluation ---


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
  for record in found.values():
    record.finish(config)
  return {title: record.results for title, record in found.items()}


def _names(parts: Sequence[Part]) -> list:
  return [[list(p.folds), [s.name for s in p.studies]] for p in parts]


def label_map_path(model: Model, study: str) -> Path:
  """File of a study's label map: "labels" [n H W] uint8."""
  return model.run.folder / "evaluation" / "labels" / f"{study}.npz"


class _Record:
  """One model's counts on disk, as far as they go."""

  def __init__(self, model: Model, key: str, labelling: str):
    """Takes up what an earlier evaluation of the same weights has counted."""
    self.model, self.labelling = model, labelling
    self._folder = model.run.folder / "evaluation"
    self._file, self._key = self._folder / "model.json", key
    self.results = Results(model.run.scheme)
    self._state = {"model": key, "labelling": labelling, "complete": False}
    if self._file.is_file():
      old = read_json(self._file)
      if old["model"] == key and labelling in ("", old["labelling"]):
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
    for (fold, kind), matrix in counts.items():
      row = Row(fold, kind, study.name, study.patient, matrix)
      self.results.rows.append(row)
    save_counts(self._folder / "counts.npz", self.results)

  def finish(self, config: Any) -> None:
    """Writes the tables, unless they are there."""
    if self._state["complete"]:
      return
    tables.save(
      self._folder,
      self.results,
      num_samples=config.evaluation.num_bootstrap,
      seed=config.seed,
    )
    self._state = {**self._state, "complete": True}
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
  """Counts a study for one model, pausing after each slice."""
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
