"""The whole chain on real volumes: five patients, coarse and short."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax.evaluation.tables import read_table

ROOT = Path(__file__).resolve().parents[1]
NUM_PATIENTS = 5


def _subset(source: Path, target: Path) -> Path:
  """Links the first patients of a MIDS tree into a folder of our own."""
  patients = sorted(p.name for p in source.glob("sub-*"))[:NUM_PATIENTS]
  for place in ("", "derivatives/manual_masks"):
    (target / place).mkdir(parents=True, exist_ok=True)
    for name in (*patients, "dseg.tsv", "participants.tsv"):
      if (source / place / name).exists():
        os.symlink(source / place / name, target / place / name)
  return target


@pytest.mark.real_data
def test_real_volumes_from_nifti_to_scores_and_masks(real_data, tmp_path):
  root = _subset(real_data / "spider_t2space", tmp_path / "data")
  run = tmp_path / "run"
  result = subprocess.run(
    [
      *(sys.executable, "launch.py", f"--workdir={run}"),
      f"--config={ROOT / 'configs' / 'spider.py'}",
      f"--config.data.root={root}",
      "--config.data.spacing_mm=3.75",
      "--config.data.patch_size=80",
      "--config.data.patch_stride=80",
      "--config.data.num_folds=2",
      "--config.data.test_fraction=0.4",
      "--config.model.width=4",
      "--config.training.num_epochs=6",
      "--config.training.learning_rate=5e-3",
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=500,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  rows = read_table(run / "evaluation" / "per_class.csv")
  scores = {
    row["class"]: row["iou"]
    for row in rows
    if (row["fold"], row["labelling"]) == ("averaged", "TH")
  }
  # Chance (one class everywhere) would be below .1 for the vertebrae.
  assert scores["Vertebra"] > 0.2
  masks = sorted((run / "predictions").rglob("*_dseg.nii.gz"))
  assert len(masks) == 2
  for path in masks:
    patient = path.name.split("_")[0]
    (image,) = (root / patient).rglob("*_T2w.nii.gz")
    mask, volume = nib.load(path), nib.load(image)
    assert mask.shape == volume.shape
    np.testing.assert_array_equal(mask.affine, volume.affine)
    assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 3}
  assert "synthetic" not in (run / "report.html").read_text()
