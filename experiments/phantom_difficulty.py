"""How much of a run's score could be had from pixel intensities alone?

  python experiments/phantom_difficulty.py --workdir=runs/demo

Trains a gradient-boosted classifier (scikit-learn, from requirements-dev.txt)
on single pixels of the run's training patients, all channels, and scores it on
the run's test patients beside the network. Both at the training resolution's
truth for the classifier, at the scanner's grid for the network.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import numpy as np
from absl import app, flags

from lumbar_jax import metrics, runs, stages
from lumbar_jax.anatomy import IGNORE
from lumbar_jax.evaluation.results import MEAN
from lumbar_jax.evaluation.tables import MEAN_ROWS, read_table

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "a finished run")
_PIXELS = flags.DEFINE_integer("pixels", 200_000, "training pixels")


def pixels(studies) -> tuple[np.ndarray, np.ndarray]:
  """Returns intensities [p c] and classes [p] of the studies' pixels."""
  values = np.concatenate(
    [s.image.reshape(-1, s.image.shape[-1]) for s in studies]
  )
  classes = np.concatenate([s.mask.ravel() for s in studies])
  counted = classes != IGNORE
  return values[counted], classes[counted]


def intensity_iou(run, data) -> dict[str, float]:
  """Returns the classifier's mean foreground IoU on the test patients."""
  from sklearn.ensemble import HistGradientBoostingClassifier

  tested = set(data.splits.test)
  values, classes = pixels([s for s in data.studies if s.patient not in tested])
  rng = np.random.default_rng(0)
  chosen = rng.choice(len(values), min(_PIXELS.value, len(values)), False)
  test_values, truth = pixels(data.of(data.splits.test))
  scores = {}
  for weight in (None, "balanced"):
    model = HistGradientBoostingClassifier(
      max_iter=60, class_weight=weight, random_state=0
    )
    model.fit(values[chosen], classes[chosen])
    counts = metrics.confusion_host(
      truth, model.predict(test_values), run.scheme.num_classes
    )
    iou = metrics.mean(metrics.iou(counts), with_background=False)
    scores[weight or "unweighted"] = float(iou)
  return scores


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  run = runs.load_run(_WORKDIR.value)
  for name, value in intensity_iou(run, stages.material(run)).items():
    print(f"pixel intensities, {name}: mean foreground IoU {value:.3f}")
  rows = read_table(run.folder / "evaluation" / "per_class.csv")
  for row in rows:
    if row["fold"] == MEAN and row["class"] == MEAN_ROWS[0]:
      print(
        f"network, {row['labelling']}: mean foreground IoU {row['iou']:.3f}"
      )


if __name__ == "__main__":
  app.run(main)
