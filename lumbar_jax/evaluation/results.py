"""What an evaluation found: the confusion counts of every study.

`evaluation/counts.npz` holds them, so that any number can be computed again.
"""

import dataclasses
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.anatomy import Scheme, scheme_from_names
from lumbar_jax.arrays import Counts
from lumbar_jax.errors import InputError
from lumbar_jax.files import atomic_path

# What the .npz format, a zip file, raises where bytes are missing or flipped.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError)
AVERAGED = "averaged"  # the fold models' averaged scores
MEAN = "mean"  # the mean of the fold models' metrics: paper 000's number


@dataclasses.dataclass(frozen=True)
class Row:
  """The counts of one study under one fold's model and labelling.

  Attributes:
    fold: the fold's number as text, or "averaged".
    labelling: "MAP" or "TH".
    study: its name.
    patient: whose it is.
    counts: [k k] of all its slices.
    slices: [n k 3] `metrics.tallies` of each slice, or None (older files).
  """

  fold: str
  labelling: str
  study: str
  patient: str
  counts: Counts
  slices: np.ndarray | None = None


def make_row(kind: tuple[str, str], study: Any, slices: np.ndarray) -> Row:
  """Returns a study's row.

  Args:
    kind: (fold, labelling).
    study: its name and patient are read.
    slices: [n k k] counts of each slice.
  """
  parts = metrics.tallies(slices)
  return Row(*kind, study.name, study.patient, slices.sum(0), parts)


@dataclasses.dataclass
class Results:
  """All counts of an evaluation.

  Attributes:
    scheme: the classes, k of them.
    rows: any order; folds need not have evaluated the same studies.
  """

  scheme: Scheme
  rows: list[Row] = dataclasses.field(default_factory=list)

  @property
  def folds(self) -> list[str]:
    """The single fold models, in order of appearance."""
    names = dict.fromkeys(row.fold for row in self.rows)
    return [name for name in names if name != AVERAGED]

  @property
  def labellings(self) -> list[str]:
    """The labellings, in order of appearance."""
    return list(dict.fromkeys(row.labelling for row in self.rows))

  @property
  def reported_folds(self) -> list[str]:
    """The values of the tables' fold column: folds, mean, averaged."""
    found = any(row.fold == AVERAGED for row in self.rows)
    mean = [MEAN] if self.folds else []
    return [*self.folds, *mean, *([AVERAGED] if found else [])]

  def select(self, fold: str, labelling: str) -> list[Row]:
    """Returns a fold's rows; "mean" selects those of every fold model."""
    folds = self.folds if fold == MEAN else [fold]
    return [
      row
      for row in self.rows
      if row.fold in folds and row.labelling == labelling
    ]


def save_counts(path: str | Path, results: Results) -> None:
  """Writes the raw counts (.npz, no pickles)."""
  scheme, rows = results.scheme, results.rows
  size = scheme.num_classes
  text = {
    name: np.array([getattr(row, name) for row in rows], str)
    for name in ("fold", "labelling", "study", "patient")
  }
  counts = [np.asarray(row.counts, np.int64) for row in rows]
  none = np.zeros((0, size, 3), np.int64)
  parts = [none if row.slices is None else row.slices for row in rows]
  with atomic_path(path) as scratch:
    np.savez_compressed(
      scratch,
      counts=np.array(counts, np.int64).reshape(-1, size, size),
      num_slices=np.array([len(part) for part in parts], np.int64),
      slices=np.concatenate([none, *parts]),
      scheme=np.array(scheme.name),
      names=np.array(scheme.names),
      colors=np.array([s.color for s in scheme.structures]),
      **text,
    )


def load_counts(path: str | Path) -> Results:
  """Reads `counts.npz`.

  Raises:
    InputError: no such file, or a damaged one.
  """
  if not Path(path).is_file():
    raise InputError("no such file", "run --mode=evaluate first", path=path)
  try:
    return _load_counts(path)
  except (OSError, EOFError, ValueError, KeyError, *_ZIP_ERRORS) as error:
    raise InputError(
      f"damaged counts ({type(error).__name__}: {error})",
      "delete the file and run --mode=evaluate again",
      path=path,
    ) from error


def _load_counts(path: str | Path) -> Results:
  with np.load(path, allow_pickle=False) as file:
    columns = [file[n].tolist() for n in ("fold", "labelling", "study")]
    columns += [file["patient"].tolist(), list(file["counts"])]
    columns.append(_slices(file))
    names, colors = file["names"].tolist(), file["colors"].tolist()
    scheme = scheme_from_names(str(file["scheme"]), names, colors)
  return Results(scheme, [Row(*row) for row in zip(*columns, strict=True)])


def _slices(file) -> list[np.ndarray | None]:
  """Returns each row's tallies by slice, None where they were not kept."""
  if "slices" not in file:
    return [None] * len(file["counts"])
  ends = np.cumsum(file["num_slices"])
  return [
    part if len(part) else None
    for part in np.split(file["slices"], ends)[: len(ends)]
  ]
