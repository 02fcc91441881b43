"""surface.csv: the surface distances of each study and class."""

import concurrent.futures
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax.anatomy import Scheme
from lumbar_jax.arrays import StudyLabels
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.surface import (
  SurfaceScores,
  summary,
  surface_scores,
)
from lumbar_jax.metrics import nan_mean
from lumbar_jax.progress import Progress

MEAN_OF_CLASSES = "mean of classes"
_MAX_THREADS = 8  # each holds a volume of coordinates, some 100 MB
AVERAGED = ("hd95_mm", "assd_mm", "nsd", "hd95_mm_median", "assd_mm_median")

Rows = list[dict[str, Any]]


def measure(
  studies: Sequence[Any],
  maps: Mapping[str, StudyLabels],
  scheme: Scheme,
  tolerance_mm: float,
  title: str = "measuring surfaces, studies",
) -> Rows:
  """Measures label maps, several studies at once.

  Args:
    studies: prepared, with native truth; those without a map are left out.
    maps: {study: [n H W] predicted classes}.
    scheme: the classes.
    tolerance_mm: of the normalised surface Dice.
    title: of the progress display.

  Returns:
    Rows of surface.csv by study and target class (`tables.SURFACE_COLUMNS`).
  """
  found = [study for study in studies if study.name in maps]

  def scores(study) -> SurfaceScores:
    # The distance transforms run without the interpreter's lock.
    return surface_scores(
      np.asarray(study.native_mask),
      maps[study.name],
      tuple(study.spacing_mm),
      scheme.num_classes,
      tolerance_mm,
    )

  rows: Rows = []
  workers = min(_MAX_THREADS, os.cpu_count() or 1)
  with (
    Progress(title, len(found)) as progress,
    concurrent.futures.ThreadPoolExecutor(workers) as pool,
  ):
    for study, result in zip(found, pool.map(scores, found), strict=True):
      rows += _rows_of(study, result, scheme, tolerance_mm)
      progress.update(progress.done + 1, study.name)
  return rows


def _rows_of(study, scores: SurfaceScores, scheme, tolerance_mm) -> Rows:
  named = {"study": study.name, "patient": study.patient}
  return [
    {**named, "class": name}
    | {n: float(v[number]) for n, v in scores._asdict().items()}
    | {"tolerance_mm": float(tolerance_mm)}
    for number, name in enumerate(scheme.names)
    if number > 0
  ]


def write(folder: str | Path, rows: Rows, note: str = "") -> None:
  """Writes surface.csv, or removes an older one if nothing was measured."""
  path = Path(folder) / "surface.csv"
  if rows:
    tables.write_table(path, tables.SURFACE_COLUMNS, rows, note)
  else:
    path.unlink(missing_ok=True)


def summarise(rows: Rows, scheme: Scheme) -> Rows:
  """Returns `surface.summary` of a table's rows, and the mean of its classes.

  Args:
    rows: at least one, of one model.
    scheme: the classes.
  """
  by_study: dict[str, dict[str, dict[str, Any]]] = {}
  for row in rows:
    by_study.setdefault(row["study"], {})[row["class"]] = row
  classes = summary([_scores(found, scheme) for found in by_study.values()],
                    scheme)  # fmt: skip
  values = np.array([[row[name] for name in AVERAGED] for row in classes])
  last = {"class": MEAN_OF_CLASSES, "num_studies": len(by_study)}
  last |= dict(zip(AVERAGED, map(float, nan_mean(values, 0)), strict=True))
  last["num_missed"] = sum(row["num_missed"] for row in classes)
  return [*classes, last]


def _scores(found: Mapping[str, Mapping[str, Any]], scheme: Scheme):
  """Returns one study's scores again; the background has no row."""
  nothing = dict.fromkeys(SurfaceScores._fields, np.nan)
  return SurfaceScores(
    *(
      np.array([found.get(n, nothing)[field] for n in scheme.names], float)
      for field in SurfaceScores._fields
    )
  )
