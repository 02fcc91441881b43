"""Where training stands between two steps, in values a checkpoint carries."""

import dataclasses
from typing import Any

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.anatomy import Scheme


@dataclasses.dataclass
class EpochSums:
  """Figures of an epoch so far; JSON-able, so that a checkpoint carries them.

  Attributes:
    loss: sum over pixels of the batches' mean loss.
    num_pixels: pixels that count.
    confusion: [k k] int64.
  """

  loss: float
  num_pixels: float
  confusion: np.ndarray

  @classmethod
  def zeros(cls, num_classes: int) -> "EpochSums":
    """Nothing counted yet."""
    shape = (num_classes, num_classes)
    return cls(0.0, 0.0, np.zeros(shape, np.int64))

  def add(self, sums: Any) -> None:
    """Adds a step's `StepSums`."""
    self.loss += float(sums.loss) * float(sums.num_pixels)
    self.num_pixels += float(sums.num_pixels)
    self.confusion += np.asarray(sums.confusion, np.int64)

  def scalars(self, prefix: str, scheme: Scheme) -> dict[str, float]:
    """Returns {"val/loss": ..., "val/iou/Vert": ...}; absent classes: NaN."""
    iou = metrics.iou(self.confusion)
    named = {
      f"{prefix}/iou/{name}": float(value)
      for name, value in zip(scheme.names, iou, strict=True)
    }
    return {
      f"{prefix}/loss": self.loss / max(self.num_pixels, 1.0),
      f"{prefix}/accuracy": float(metrics.accuracy(self.confusion)),
      f"{prefix}/iou": float(metrics.mean(iou, with_background=False)),
      **named,
    }

  def to_json(self) -> dict[str, Any]:
    """Returns plain numbers."""
    return {
      "loss": self.loss,
      "num_pixels": self.num_pixels,
      "confusion": self.confusion.tolist(),
    }

  @classmethod
  def from_json(cls, value: dict[str, Any]) -> "EpochSums":
    """Reads what `to_json` gave."""
    confusion = np.array(value["confusion"], np.int64)
    return cls(value["loss"], value["num_pixels"], confusion)


@dataclasses.dataclass
class Position:
  """Where training stands between two steps.

  Attributes:
    epoch: the running epoch, from 0.
    iterator: the batch iterator's state within it, or None at its start.
    sums: of the epoch so far.
    best_score: best validation score (`config.training.best_by`) so far, -1
      before the first.
    best_epoch: the epoch that had it.
  """

  epoch: int
  iterator: dict[str, Any] | None
  sums: EpochSums
  best_score: float = -1.0
  best_epoch: int = -1

  def to_json(self) -> dict[str, Any]:
    """Returns plain values."""
    fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    return fields | {"sums": self.sums.to_json()}

  @classmethod
  def from_json(cls, value: dict[str, Any]) -> "Position":
    """Reads what `to_json` gave."""
    value = value | {"sums": EpochSums.from_json(value["sums"])}
    if "best_accuracy" in value:  # as it was when there was no other score
      value["best_score"] = value.pop("best_accuracy")
    return cls(**value)
