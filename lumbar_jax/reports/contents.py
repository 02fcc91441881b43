"""What a report says: the facts in a run's folder, as far as they exist."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.anatomy import Scheme, label_counts, map_labels
from lumbar_jax.config import default, flatten
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.splits import Splits
from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.labelling import read_thresholds
from lumbar_jax.evaluation.results import (
  AVERAGED,
  MEAN,
  Results,
  load_counts,
)
from lumbar_jax.files import read_json
from lumbar_jax.reports import slices
from lumbar_jax.reports.predicted import paths_of
from lumbar_jax.runs import Run
from lumbar_jax.training.writers import read_metrics

Rows = list[dict[str, Any]]
# What a cut off or flipped file can make readers raise.
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of a run; what there is none of is empty.

  Attributes:
    histories: {fold: lines of its metrics.jsonl}.
    splits: who is tested on, or None.
    environment: versions, devices, seed, studies.
    per_class: rows of per_class.csv.
    per_study: rows of per_study.csv.
    thresholds: {"fold 0" or "run": [k]}.
    surface: rows of surface.csv.
    results: the counts of counts.npz, or None.
    damages: sentences about files that cannot be used.
  """

  histories: dict[int, list[dict[str, Any]]]
  splits: Splits | None
  environment: dict[str, Any]
  per_class: Rows
  per_study: Rows
  thresholds: dict[str, Any]
  surface: Rows = dataclasses.field(default_factory=list)
  results: Results | None = None
  damages: tuple[str, ...] = ()

  @property
  def folds(self) -> list[str]:
    """Values of the tables' fold column, in order."""
    return list(dict.fromkeys(row["fold"] for row in self.per_class))

  @property
  def shown_fold(self) -> str:
    """The fold whose studies are shown: the averaged scores, if there are."""
    return AVERAGED if AVERAGED in self.folds else MEAN

  @property
  def labellings(self) -> list[str]:
    """The labellings, in order."""
    return list(dict.fromkeys(row["labelling"] for row in self.per_class))

  @property
  def labelling(self) -> str:
    """The labelling of figures that show one: TH, if it was evaluated."""
    return "TH" if "TH" in self.labellings else "MAP"

  @property
  def studies(self) -> list[str]:
    """The evaluated studies, in order of appearance."""
    return list(dict.fromkeys(row["study"] for row in self.per_study))


def gather(run: Run) -> Facts:
  """Reads what a run's folder has so far; damaged files are named in it."""
  read, evaluation = _Reader(run.folder), run.folder / "evaluation"
  histories = {
    fold: read(
      run.fold_folder(fold) / "metrics.jsonl",
      lambda path: read_metrics(path.parent),
      [],
    )
    for fold in run.folds
  }
  per_class, per_study, surface = (
    read(evaluation / f"{name}.csv", tables.read_table, [])
    for name in ("per_class", "per_study", "surface")
  )
  return Facts(
    {fold: lines for fold, lines in histories.items() if lines},
    read(run.folder / "splits.json", lambda path: read_splits(path)[0], None),
    read(run.folder / "environment.json", _read_environment, {}),
    per_class,
    per_study,
    _thresholds(run, read),
    surface,
    read(evaluation / "counts.npz", load_counts, None),
    tuple(read.damages),
  )


class _Reader:
  """Reads files that may be missing or damaged, and keeps what was wrong."""

  def __init__(self, folder: Path):
    """Takes the folder that paths are told within."""
    self._folder = folder
    self.damages: list[str] = []

  def __call__(self, path: Path, read: Callable[[Path], Any], nothing: Any):
    """Returns `read(path)`, or `nothing` of a missing or damaged file."""
    if not path.is_file():
      return nothing
    try:
      return read(path)
    except InputError as error:
      problem = f"{error.problem}. {error.remedy}"
    except _DAMAGES as error:
      problem = f"damaged ({type(error).__name__}: {error})"
    name = path.relative_to(self._folder).as_posix()
    self.damages.append(f"{name}: {problem}")
    logging.warning("%s: %s", path, problem)
    return nothing


def _read_environment(path: Path) -> dict[str, Any]:
  """Reads environment.json; what it lacks is empty."""
  blank = {"versions": {}, "devices": [], "python": "unknown", "studies": {}}
  return blank | read_json(path, ())


def select(rows: Rows, **wanted: str) -> Rows:
  """Returns the rows with these values, for example fold="mean"."""
  return [r for r in rows if all(r[n] == v for n, v in wanted.items())]


def _thresholds(run: Run, read: _Reader) -> dict[str, Any]:
  paths = {f"fold {fold}": run.thresholds_path(fold) for fold in run.folds}
  paths["run"] = run.thresholds_path()
  found = {
    name: read(path, lambda path: read_thresholds(path, run.scheme), None)
    for name, path in paths.items()
  }
  return {name: values for name, values in found.items() if values is not None}


def data_name(run: Run) -> str:
  """Returns in words which data a run is about; phantoms are never hidden."""
  data = run.config.data
  if data.source == "phantom":
    return "synthetic phantom data"
  name = Path(data.root or data.manifest).absolute().name
  return f"the data set {name}" if name else "an unnamed data set"


def changed_settings(run: Run) -> dict[str, Any]:
  """Returns the config's fields that differ from the defaults."""
  usual = flatten(default())
  return {
    name: value
    for name, value in flatten(run.config).items()
    if name not in usual or usual[name] != value
  }


def _read_classes(path: Path, scheme: Scheme, assumed: str) -> np.ndarray:
  """Reads a label map in the scheme's numbers as [n H W] uint8 classes.

  Raises:
    InputError: not a usable volume, or a number that the scheme has not.
  """
  mask = read_volume(path, dtype=None, assume_orientation=assumed)
  table = dict(zip(scheme.indices, range(scheme.num_classes), strict=True))
  unknown = [n for n in label_counts(mask.array) if n not in table]
  if unknown:
    raise InputError(
      f"label {unknown[0]} is not in scheme {scheme.name}",
      "evaluate the run again",
      path=path,
    )
  return map_labels(mask.array, table, path)


def predicted_slices(
  run: Run, facts: Facts, studies: Sequence[PreparedStudy]
) -> tuple[dict[str, list[slices.Case]], list[str]]:
  """Scores the slices of the evaluated studies that were predicted.

  Returns:
    {study: its slices}, and what went wrong, as sentences.
  """
  found, problems = {}, []
  assumed = run.config.data.assume_orientation
  evaluated, paths = set(facts.studies), paths_of(run, studies)
  for study in sorted(studies, key=lambda s: s.name):
    path = paths.get(study.name)
    if study.name not in evaluated or study.native_mask is None or not path:
      continue
    try:
      predicted = _read_classes(path, run.scheme, assumed)
    except InputError as error:
      problems.append(f"{study.name}: {error}")
      continue
    if predicted.shape != study.native_mask.shape:
      problems.append(
        f"{study.name}: the predicted label map {path.name} has the shape "
        f"{predicted.shape}, the truth {study.native_mask.shape}."
      )
      continue
    found[study.name] = slices.cases_of(study, predicted, run.scheme)
  return found, problems


def study_flags(
  run: Run, facts: Facts, studies: Sequence[PreparedStudy]
) -> dict[str, list[str]]:
  """Returns {study: what its preparation remarked}, remarked studies only.

  Without prepared studies the cache's entries are read, those that the run's
  `environment.json` names.
  """
  infos: Iterable[tuple[str, Mapping[str, Any]]]
  if studies:
    infos = [(study.name, study.info) for study in studies]
  else:
    keys = facts.environment.get("studies", {})
    paths = {n: run.cache / f"{n}-{k}" / "info.json" for n, k in keys.items()}
    infos = [(name, _read_info(path)) for name, path in paths.items()]
  return {n: list(i["flags"]) for n, i in sorted(infos) if i.get("flags")}


def _read_info(path: Path) -> dict[str, Any]:
  """Returns what a cache's entry says of a study; nothing of a damaged one."""
  try:
    return dict(read_json(path)["info"])
  except _DAMAGES:  # whoever prepares makes the entry again
    return {}
