"""Metric writers: JSON lines, and TensorBoard beside them."""

import json
from pathlib import Path
from typing import Any

from lumbar_jax.files import write_text


class MetricWriter:
  """Writes one line an epoch to `metrics.jsonl`, and TensorBoard scalars.

  The file is replaced as a whole, so it is never cut in a line.
  """

  def __init__(self, folder: Path, *, first_epoch: int, tensorboard: bool):
    """Opens the folder, dropping lines of epochs that will be run again."""
    self._path = Path(folder) / "metrics.jsonl"
    self._lines = [
      line for line in read_metrics(folder) if line["epoch"] < first_epoch
    ]
    self._board = None
    if tensorboard:
      from tensorboardX import SummaryWriter

      self._board = SummaryWriter(
        str(Path(folder) / "tensorboard"), purge_step=first_epoch
      )

  def write(self, epoch: int, scalars: dict[str, float]) -> None:
    """Adds an epoch's scalars, named like "val/iou/Vert"."""
    self._lines.append({"epoch": epoch, **scalars})
    text = "".join(json.dumps(line) + "\n" for line in self._lines)
    write_text(self._path, text)
    if self._board is not None:
      for name, value in scalars.items():
        self._board.add_scalar(name, value, epoch)

  def close(self) -> None:
    """Flushes TensorBoard."""
    if self._board is not None:
      self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
  """Returns the lines of a fold's `metrics.jsonl`, [] if there is none."""
  path = Path(folder) / "metrics.jsonl"
  if not path.is_file():
    return []
  return [json.loads(line) for line in path.read_text().splitlines() if line]
