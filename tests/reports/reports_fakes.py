"""A small run's folder, filled by hand."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax import config as config_lib
from lumbar_jax import metrics, runs
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.volumes import read_volume, write_volume
from lumbar_jax.environment import record_environment
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.labelling import write_thresholds
from lumbar_jax.evaluation.results import Results, Row
from lumbar_jax.files import write_json, write_text

SHAPE = (5, 24, 20)  # slices, rows, columns on the native grid


def fake_run(
  folder: Path, *, scheme="spider", source="mids", root="/data/Spines"
) -> runs.Run:
  """Returns a run of two folds and one channel."""
  config = config_lib.default()
  config.data.update(source=source, root=root, scheme=scheme, num_folds=2)
  config.data.channels = ("T2w",)
  config.training.num_epochs = 3
  return runs.open_run(folder, config)


def truth_of(number: int, num_classes: int) -> np.ndarray:
  """Returns a mask of stripes, one a class, that differs by study."""
  rows = (np.arange(SHAPE[1]) + number) * num_classes // SHAPE[1]
  return np.broadcast_to((rows % num_classes)[:, None], SHAPE).astype(np.uint8)


def fake_study(name: str, truth: np.ndarray, flags=()) -> PreparedStudy:
  """Returns a study whose picture is half as fine as its mask."""
  patient, session = name.rsplit("_", 1)
  half = truth[:, ::2, ::2, None].astype(np.float32)
  image = f"/data/{patient}/{session}/anat/{name}_acq-sag_T2w.nii.gz"
  info = {"flags": list(flags), "digest": f"digest of {name}"}
  info["paths"] = {"T2w": image}
  spacing = (4.0, 0.5, 1.0)
  shape = truth.shape[1:]
  return PreparedStudy(
    name, patient, session, half, None, truth, shape, spacing, info
  )


def write_prediction(run: runs.Run, study, labels: np.ndarray) -> Path:
  """Writes a label map [n h w] as RUN/predictions/sub-X/ses-Y/anat/...

  With the part of its sidecar that says what it was made from.
  """
  scratch = run.folder / "grid.nii.gz"
  affine = np.diag([4.0, 0.5, 1.0, 1.0])[[0, 2, 1, 3]]
  affine[1:3] *= -1  # stored as (right, inferior, posterior)
  nib.save(nib.Nifti1Image(np.zeros(labels.shape), affine), scratch)
  folder = run.folder / "predictions" / study.patient / study.session / "anat"
  path = folder / f"{study.patient}_{study.session}_acq-sag_dseg.nii.gz"
  write_volume(path, labels, read_volume(scratch))
  sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
  write_json(sidecar, {"InputDigest": study.info["digest"]})
  scratch.unlink()
  return path


def write_history(run: runs.Run, fold: int, accuracies) -> None:
  """Writes a fold's metrics.jsonl: these accuracies, 25 s an epoch."""
  lines = [
    {"epoch": epoch}
    | {f"{part}/loss": 1 / (epoch + 1) for part in ("train", "val")}
    | {"train/accuracy": 0.5, "train/iou": 0.4, "time_s": 25.0}
    | {"val/accuracy": accuracy, "val/iou": accuracy / 2}
    for epoch, accuracy in enumerate(accuracies)
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  write_text(run.fold_folder(fold) / "metrics.jsonl", text)


def write_evaluation(run: runs.Run, studies, folds) -> Results:
  """Writes evaluation tables in which each fold errs in its own way."""
  size, rows = run.scheme.num_classes, []
  for place, fold in enumerate(folds):
    for shift, labelling in enumerate(("MAP", "TH"), start=1):
      for study in studies:
        wrong = np.roll(study.native_mask, place + shift, axis=1)
        counts = metrics.confusion_host(study.native_mask, wrong, size)
        rows.append(Row(fold, labelling, study.name, study.patient, counts))
  results = Results(run.scheme, rows)
  tables.save(run.folder / "evaluation", results, num_samples=40)
  return results


def write_rest(run: runs.Run, studies) -> None:
  """Writes splits, environment and thresholds."""
  test = sorted({study.patient for study in studies})
  folds = [["sub-90"], ["sub-91", "sub-92"]]
  splits = {"test": test, "folds": folds, "unlabelled": [], "settings": {}}
  write_json(run.folder / "splits.json", splits)
  record_environment(run, {s.name: s.info["digest"] for s in studies})
  for fold in (0, 1, None):
    values = np.linspace(0.05, 0.95, run.scheme.num_classes)
    write_thresholds(run.thresholds_path(fold), run.scheme, values)
