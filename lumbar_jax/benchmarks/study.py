"""A whole study, NIfTI to NIfTI: in a cold process, a second one, a warm one.

Cold: Python starts, no program is compiled yet. Cached: a new process finds the
first one's compiled programs. Warm: the process that predicted it predicts it
again. Stages are those of `timing.stage`; "start" is Python and imports, "load"
the weights.
"""

import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lumbar_jax.benchmarks import fabricate, records
from lumbar_jax.benchmarks.cases import Case
from lumbar_jax.benchmarks.child import call_apart
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.data.studies import Study

FOLDS = re.compile(r"(.+)x(\d+)")


def cases(config: Any) -> Iterator[Case]:
  """Yields a case for each network or ensemble, and type.

  U1: one network; E4: four of one fold; E12x3: twelve, in each of 3 folds.
  """
  for name in config.benchmark.studies:
    for dtype in config.benchmark.dtypes:
      yield Case(f"study/{name}/{dtype}", measure, dict(name=name, dtype=dtype))


def folds_of(name: str) -> tuple[str, int | None]:
  """Returns ("E12", 3) of "E12x3" and ("E12", None) of "E12"."""
  found = FOLDS.fullmatch(name)
  return (found[1], int(found[2])) if found else (name, None)


def predict(
  run: Path,
  fold: int | None,
  study: Study,
  output: Path,
  repeats: int,
  started: float,
) -> dict[str, Any]:
  """Predicts a study in this process, then again; called in a fresh one.

  Args:
    run: folder of the trained run.
    fold: the fold whose networks predict; None: all folds' average.
    study: its files.
    output: where the masks go.
    repeats: further times.
    started: time at which the process was started.

  Returns:
    first (seconds by stage), again (a list of such), peak_mib.
  """
  from lumbar_jax.benchmarks.memory import peak_mib
  from lumbar_jax.inference.predict import predict_studies
  from lumbar_jax.inference.segment import load_scorer
  from lumbar_jax.runs import load_run

  begun = time.time()
  opened = load_run(run)
  scorer = load_scorer(opened, fold)
  loaded = time.time()
  found = []
  for _ in range(repeats + 1):
    (result,) = predict_studies(
      opened, [study], output, fold=fold, scorer=scorer, overwrite=True
    )
    if result.error:
      raise RuntimeError(result.error)
    found.append(dict(result.seconds))
  first = {"start": begun - started, "load": loaded - begun, **found[0]}
  return {"first": first, "again": found[1:], "peak_mib": peak_mib()}


def measure(
  config: Any, scratch: Path, case: str, name: str, dtype: str
) -> list[Record]:
  """Times one study with one network or ensemble."""
  chosen = config.benchmark
  study = fabricate.study(
    scratch / "phantom", chosen.num_slices, chosen.slice_px
  )
  network, folds = folds_of(name)
  own = config.copy_and_resolve_references()
  own.data.num_folds = folds or 2  # the least there can be
  run = fabricate.model(own, scratch / "runs", network, dtype)
  found = {}
  with tempfile.TemporaryDirectory(dir=scratch) as cache:
    for kind, repeats in (("cold", 0), ("cached", chosen.study_repeats)):
      found[kind] = call_apart(
        predict,
        cache=cache,
        run=run.folder,
        fold=None if folds else 0,
        study=study,
        output=scratch / "output",
        repeats=repeats,
        started=0.0,
      )
  warm = _medians(found["cached"]["again"])
  slices = f"{chosen.num_slices} slices of {chosen.slice_px} px"
  note = f"{slices}; phantom, random weights"
  peaks = {kind: result["peak_mib"] for kind, result in found.items()}
  return [
    *(
      records.make(
        f"{case}/{kind}",
        ours_s=sum(result["first"].values()),
        stages=result["first"],
        peak_mib=peaks[kind],
        note=note,
      )
      for kind, result in found.items()
    ),
    records.make(
      f"{case}/warm",
      ours_s=sum(warm.values()),
      stages=warm,
      repeats=chosen.study_repeats,
      peak_mib=peaks["cached"],
      note=note,
    ),
  ]


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
  """Returns each stage's median seconds."""
  names = dict.fromkeys(name for times in found for name in times)
  return {
    name: statistics.median(times.get(name, 0.0) for times in found)
    for name in names
  }
