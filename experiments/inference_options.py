"""What cheaper inference changes, for the fold models of a finished run.

  python experiments/inference_options.py --workdir=runs/demo [--num_studies=3]

Every fold's network scores the held-out studies in overlapping patches and in
whole slices, in float32 and in bfloat16. Prints a markdown table: the mean
foreground IoU (MAP, and TH with the run's own thresholds, which were tuned on
patches in float32), the share of pixels whose TH label is that of patches in
float32, and the seconds. A CPU emulates bfloat16: its time there means nothing.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import numpy as np
from absl import app, flags

from lumbar_jax import metrics, stages
from lumbar_jax.ensembles.weights import fold_scorers
from lumbar_jax.evaluation.evaluate import patching
from lumbar_jax.evaluation.labelling import label, read_thresholds
from lumbar_jax.evaluation.reconstruction import study_scores
from lumbar_jax.runs import load_run

_WORKDIR = flags.DEFINE_string("workdir", None, "folder of a finished run")
_STUDIES = flags.DEFINE_integer("num_studies", 0, "of the test set; 0: all")

DTYPES = ("float32", "bfloat16")
WAYS = tuple((d, s) for d in DTYPES for s in ("patches", "whole"))


def score(way, scorers, study, cut):
  """Returns a study's scores and the seconds they took."""
  dtype, size = way
  start = time.perf_counter()
  scores = study_scores(
    scorers[dtype],
    np.asarray(study.image),
    native_shape=tuple(study.native_shape),
    **cut | {"patch_size": cut["patch_size"] if size == "patches" else 0},
  )
  return scores, time.perf_counter() - start


def compare(scorers, study, cut, thresholds, totals):
  """Adds a study's counts, seconds and equal labels to `totals` by way."""
  truth, first = np.asarray(study.native_mask), None
  for way in WAYS:
    scores, seconds = score(way, scorers, study, cut)
    entry = totals.setdefault(way, {"seconds": 0.0, "same": []})
    entry["seconds"] += seconds
    for kind in ("MAP", "TH"):
      found = label(scores, kind, thresholds)
      counts = metrics.confusion_host(truth, found, scores.shape[-1])
      entry[kind] = entry.get(kind, 0) + counts
    first = found if first is None else first
    entry["same"].append(np.mean(found == first))


def scorers_of_folds(run):
  """Yields each fold's {dtype: scorer}."""
  found = {}
  for dtype in DTYPES:
    run.config.training.dtype = dtype
    found[dtype] = fold_scorers(run)
  for scorers in zip(*found.values(), strict=True):
    yield dict(zip(DTYPES, scorers, strict=True))


def main(argv: list[str]) -> None:
  if len(argv) > 1 or _WORKDIR.value is None:
    raise app.UsageError("give --workdir=RUN")
  run = load_run(_WORKDIR.value)
  data = stages.material(run)
  studies = data.of(data.splits.test)[: _STUDIES.value or None]
  cut = patching(run.config) | {"batch_size": 1}
  kind = "phantom" if run.config.data.source == "phantom" else "real data"
  print(
    f"{run.title}, {kind}, {len(studies)} test studies, patches of "
    f"{cut['patch_size']}; {jax.devices()[0].device_kind}, jax "
    f"{jax.__version__}\n"
  )
  print("| fold | way | IoU MAP | IoU TH | same TH labels | seconds |")
  print("|---|---|---|---|---|---|", flush=True)
  for fold, scorers in enumerate(scorers_of_folds(run)):
    limits = read_thresholds(run.thresholds_path(fold), run.scheme)
    compare(scorers, studies[0], cut, limits, {})  # compiles
    totals: dict[tuple[str, str], dict] = {}
    for study in studies:
      compare(scorers, study, cut, limits, totals)
    for way, entry in totals.items():
      iou = [np.nanmean(metrics.iou(entry[kind])[1:]) for kind in ("MAP", "TH")]
      print(
        f"| {fold} | {' '.join(way)} | {iou[0]:.4f} | {iou[1]:.4f} "
        f"| {np.mean(entry['same']):.4f} | {entry['seconds']:.1f} |",
        flush=True,
      )


if __name__ == "__main__":
  app.run(main)
