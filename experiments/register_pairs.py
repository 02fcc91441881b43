"""Registers T1w to T2w for every study of a MIDS tree, to look at.

Writes `registration.csv` (one row a study) and `pairs_N.png`: checkerboards of
T2w and T1w, before (by the headers) beside after. A line that breaks at a
tile's edge is misaligned. Takes about a second a pair of single slices.

  python experiments/register_pairs.py --root=DATA --output=DIR \
      [--registration=rigid] [--bound_mm=30]
"""

import csv
import io
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed
from lumbar_jax.escaping import cell

installed.require()

import numpy as np
from absl import app, flags, logging

from lumbar_jax.config import default
from lumbar_jax.data.registration import METHODS, register
from lumbar_jax.data.sources import find_studies
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.files import write_text

_ROOT = flags.DEFINE_string("root", None, "A MIDS tree.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder.", required=True)
_METHOD = flags.DEFINE_enum("registration", "affine", METHODS, "What to do.")
_BOUND_MM = flags.DEFINE_float("bound_mm", 15.0, "Refuse to move more.")
_ROWS, _COLUMNS = 4, 2  # pairs on a page
_TILE_MM = 22.0


def _size(volume) -> str:
  return "x".join(map(str, volume.array.shape))


def _spacing(volume) -> str:
  return "x".join(f"{s:.3g}" for s in volume.spacing_mm)


def _row(study, fixed, moving, result, seconds: float) -> dict:
  """Returns the table's row of one study."""
  scales = np.linalg.svd(result.matrix[:3, :3], compute_uv=False)
  return {
    "study": study.name,
    "T2w_matrix": _size(fixed),
    "T1w_matrix": _size(moving),
    "T2w_spacing_mm": _spacing(fixed),
    "T1w_spacing_mm": _spacing(moving),
    "metric_before": f"{result.metric_before:.4f}",
    "metric_after": f"{result.metric_after:.4f}",
    "displacement_mean_mm": f"{result.displacement_mm[0]:.2f}",
    "displacement_max_mm": f"{result.displacement_mm[1]:.2f}",
    "smallest_scale": f"{scales.min():.3f}",
    "largest_scale": f"{scales.max():.3f}",
    "coverage": f"{result.field.mean():.3f}",
    "verdict": result.verdict,
    "seconds": f"{seconds:.2f}",
  }


def _gray(image: np.ndarray) -> np.ndarray:
  """Returns [h w] in 0..1."""
  low, high = np.percentile(image, (1, 99.5))
  return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def checkerboard(first, second, tile: tuple[int, int]) -> np.ndarray:
  """Returns tiles of two [h w] images in turn; tile: (rows, columns)."""
  rows, columns = np.ogrid[: first.shape[0], : first.shape[1]]
  odd = (rows // tile[0] + columns // tile[1]) % 2 == 1
  return np.where(odd, _gray(second), _gray(first))


def _boards(fixed, moving, result) -> list[np.ndarray]:
  """Returns the middle slice's checkerboards, before and after."""
  before = register(fixed, moving, "none")
  middle = len(fixed.array) // 2
  tile = [max(4, round(_TILE_MM / s)) for s in fixed.spacing_mm[1:]]
  return [
    checkerboard(fixed.array[middle], r.array[middle], tile)
    for r in (before, result)
  ]


def _draw(page: list, path: Path) -> None:
  """Draws one page of (title, boards, aspect)."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(
    _ROWS, 2 * _COLUMNS, figsize=(4.2 * 2 * _COLUMNS, 4.2 * _ROWS)
  )
  for axis in axes.flat:
    axis.axis("off")
  for number, (title, boards, aspect) in enumerate(page):
    for side, board in enumerate(boards):
      axis = axes.flat[2 * number + side]
      axis.imshow(board, cmap="gray", aspect=aspect, interpolation="bilinear")
      axis.set_title(title if side else "before", fontsize=8)
  figure.tight_layout(pad=0.3)
  figure.savefig(path, dpi=100)
  plt.close(figure)


def _table(rows: list[dict]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(rows[0])
  writer.writerows([map(cell, row.values()) for row in rows])
  return text.getvalue()


def main(argv) -> None:
  del argv
  config = default()
  config.data.root = _ROOT.value
  output = Path(_OUTPUT.value)
  output.mkdir(parents=True, exist_ok=True)
  rows, page = [], []
  studies = find_studies(config.data).studies
  for number, study in enumerate(studies, start=1):
    fixed, moving = (read_volume(study.images[c]) for c in ("T2w", "T1w"))
    start = time.perf_counter()
    result = register(fixed, moving, _METHOD.value, _BOUND_MM.value)
    seconds = time.perf_counter() - start
    rows.append(_row(study, fixed, moving, result, seconds))
    title = f"{study.name}: {' '.join(result.verdict.split()[:4])} "
    title += f"{result.displacement_mm[0]:.1f} mm"
    _, *spacing = fixed.spacing_mm
    page.append(
      (title, _boards(fixed, moving, result), spacing[0] / spacing[1])
    )
    logging.info("%d/%d %s", number, len(studies), title)
    if len(page) == _ROWS * _COLUMNS or number == len(studies):
      name = f"pairs_{-(-number // (_ROWS * _COLUMNS))}.png"
      _draw(page, output / name)
      page = []
  write_text(output / "registration.csv", _table(rows))


if __name__ == "__main__":
  app.run(main)
