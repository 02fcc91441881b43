"""Metric writers: JSON lines, and TensorBoard beside them."""

import json
import math
from pathlib import Path
from typing import Any

from lumbar_jax.errors import InputError
from lumbar_jax.files import write_text


class MetricWriter:
  """Writes one line an epoch to `metrics.jsonl`, and TensorBoard scalars.

  The file is replaced as a whole, so it is never cut in a line. NaN (a class
  that is absent) is written as null, which every JSON reader takes.
  """

  def __init__(
    self,
    folder: Path,
    *,
    first_epoch: int,
    tensorboard: bool,
    silent: bool = False,
  ):
    """Opens the folder, dropping lines of epochs that will be run again.

    Args:
      folder: of the fold.
      first_epoch: which will be written first.
      tensorboard: whether to write TensorBoard's files too.
      silent: whether to write nothing: another process does.
    """
    self._silent = silent
    tensorboard = tensorboard and not silent
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
    if not self._silent:
      write_text(self._path, "".join(map(_to_line, self._lines)))
    if self._board is not None:
      for name, value in scalars.items():
        if not math.isnan(value):  # as an absent class is
          self._board.add_scalar(name.replace(" ", "_"), value, epoch)

  def close(self) -> None:
    """Flushes TensorBoard."""
    if self._board is not None:
      self._board.close()


def _to_line(scalars: dict[str, Any]) -> str:
  plain = {
    k: None if isinstance(v, float) and math.isnan(v) else v
    for k, v in scalars.items()
  }
  return json.dumps(plain, allow_nan=False) + "\n"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
  """Returns the lines of a fold's `metrics.jsonl`, [] if there is none.

  What was absent is NaN again.

  Raises:
    InputError: a damaged file.
  """
  path = Path(folder) / "metrics.jsonl"
  if not path.is_file():
    return []
  try:
    text = path.read_bytes().decode()
    lines = [json.loads(line) for line in text.splitlines() if line]
    if not all(isinstance(x, dict) and "epoch" in x for x in lines):
      raise ValueError("a line without an epoch")
  except (ValueError, RecursionError) as error:
    raise InputError(
      f"the file is damaged ({error})",
      "restore it from a copy; without one, delete it: the curves of the "
      "report begin anew then, and no result changes",
      path=path,
    ) from None
  return [
    {k: math.nan if v is None else v for k, v in line.items()} for line in lines
  ]


def summary(scalars: dict[str, float]) -> str:
  """Returns an epoch's main figures in a line."""
  return (
    f"loss {scalars['train/loss']:.3f} / {scalars['val/loss']:.3f}, "
    f"val accuracy {scalars['val/accuracy']:.3f}, "
    f"val IoU {scalars['val/iou']:.3f}"
  )
