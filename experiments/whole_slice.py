"""What whole-slice inference changes, for the fold models of a finished run.

  python experiments/whole_slice.py --workdir=runs/demo [--num_studies=3]

Every fold's network scores the held-out studies in overlapping patches and in
whole slices. Prints a markdown table: the mean foreground IoU of both (MAP, and
TH with the run's own thresholds, which were tuned on patches), the share of
pixels whose TH label is the same, and the seconds of each way.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

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


def both_ways(scorer, study, cut, thresholds, totals):
  """Adds a study's counts and seconds to `totals`; returns equal labels."""
  labels = {}
  for way, size in (("patches", cut["patch_size"]), ("whole", 0)):
    start = time.perf_counter()
    scores = study_scores(
      scorer,
      np.asarray(study.image),
      native_shape=tuple(study.native_shape),
      **cut | {"patch_size": size},
    )
    seconds = time.perf_counter() - start
    entry = totals.setdefault(way, {"seconds": 0.0})
    entry["seconds"] += seconds
    truth = np.asarray(study.native_mask)
    for kind in ("MAP", "TH"):
      found = labels[way, kind] = label(scores, kind, thresholds)
      counts = metrics.confusion_host(truth, found, scores.shape[-1])
      entry[kind] = entry.get(kind, 0) + counts
  return np.mean(labels["patches", "TH"] == labels["whole", "TH"])


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
  for fold, scorer in enumerate(fold_scorers(run)):
    limits = read_thresholds(run.thresholds_path(fold), run.scheme)
    both_ways(scorer, studies[0], cut, limits, {})  # compiles
    totals: dict[str, dict] = {}
    same = [both_ways(scorer, s, cut, limits, totals) for s in studies]
    for way, entry in totals.items():
      iou = [np.nanmean(metrics.iou(entry[kind])[1:]) for kind in ("MAP", "TH")]
      share = f"{np.mean(same):.4f}" if way == "whole" else ""
      print(
        f"| {fold} | {way} | {iou[0]:.4f} | {iou[1]:.4f} | {share} "
        f"| {entry['seconds']:.1f} |",
        flush=True,
      )


if __name__ == "__main__":
  app.run(main)
