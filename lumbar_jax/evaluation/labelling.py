"""From scores to labels: MAP and TH, and the search for TH's thresholds.

Paper 000 sections 4.3.1 and 4.3.2.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float32, Int64, UInt8

from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.errors import InputError
from lumbar_jax.files import digest, read_json, write_json
from lumbar_jax.timing import stage

LABELLINGS = ("MAP", "TH")
# .05, .10 ... .95 in float32, as the scores are: a score equal to one passes.
CANDIDATES = np.round(np.arange(1, 20) * 0.05, 2).astype(np.float32)
Thresholds = Float32[np.ndarray, "k"]
_CHECKSUM = "checksum"


def label_map(
  scores: Float32[np.ndarray, "... k"],
) -> UInt8[np.ndarray, "..."]:
  """MAP: the class with the highest score, the first of equals.

  Source: paper 000 section 4.3.1.
  """
  return np.argmax(scores, axis=-1).astype(np.uint8)


def label_th(
  scores: Float32[np.ndarray, "... k"], thresholds: Thresholds
) -> UInt8[np.ndarray, "..."]:
  """TH: the highest-scoring class among those that reach their threshold.

  This is the paper's walk through the classes by descending score, done at
  once. The background's threshold is 0 whatever is given, so that it ends the
  walk; where nothing passes, the pixel is background; of equal scores the
  first class wins.

  Args:
    scores: [... k] float32.
    thresholds: [k].

  Source: paper 000 section 4.3.2.
  """
  limits = np.array(thresholds, np.float32)
  limits[0] = 0
  passing = np.where(scores >= limits, scores, -np.inf)
  return np.argmax(passing, axis=-1).astype(np.uint8)


def check_labelling(labelling: str) -> None:
  """Raises InputError unless it is one of `LABELLINGS`."""
  if labelling not in LABELLINGS:
    raise InputError(
      f"unknown labelling: --labelling={labelling!r}",
      f"give one of {', '.join(LABELLINGS)}",
    )


@stage("label")
def label(
  scores: Float32[np.ndarray, "... k"], labelling: str, thresholds: Thresholds
) -> UInt8[np.ndarray, "..."]:
  """Labels pixels by "MAP" (which needs no thresholds) or "TH".

  Raises:
    InputError: another labelling.
  """
  check_labelling(labelling)
  if labelling == "MAP":
    return label_map(scores)
  return label_th(scores, thresholds)


@dataclasses.dataclass(frozen=True)
class ThresholdCounts:
  """Histograms from which every candidate threshold's IoU follows exactly.

  They fill slice by slice and add up over studies and folds (pooled).

  Attributes:
    counts: [k 2 20] pixels by class, whether the truth is that class (0 no,
      1 yes), and the number of candidates that the class's score reaches.
  """

  counts: Int64[np.ndarray, "k 2 20"]

  @classmethod
  def zeros(cls, num_classes: int) -> "ThresholdCounts":
    """Returns empty histograms."""
    shape = (num_classes, 2, len(CANDIDATES) + 1)
    return cls(np.zeros(shape, np.int64))

  def __add__(self, other: "ThresholdCounts") -> "ThresholdCounts":
    return ThresholdCounts(self.counts + other.counts)

  def add(
    self,
    scores: Float32[np.ndarray, "... k"],
    truth: UInt8[np.ndarray, "..."],
  ) -> None:
    """Counts pixels in place; those whose truth is 255 are left out."""
    counted = truth != IGNORE
    scores, truth = scores[counted], truth[counted].astype(np.int64)
    num_classes, _, num_bins = self.counts.shape
    # Most scores reach no candidate: only the others are looked up.
    pixel, column = np.nonzero(scores >= CANDIDATES[0])
    reached = np.searchsorted(CANDIDATES, scores[pixel, column], side="right")
    index = (column * 2 + (truth[pixel] == column)) * num_bins + reached
    found = np.bincount(index, minlength=self.counts.size)
    found = found.reshape(self.counts.shape)
    positives = np.bincount(truth, minlength=num_classes)
    totals = np.stack([len(truth) - positives, positives], axis=1)
    found[:, :, 0] = totals - found.sum(-1)
    self.counts[...] += found

  def iou(self) -> np.ndarray:
    """Returns the one-vs-rest IoU [k 19] of each class at each candidate."""
    reached = np.cumsum(self.counts[..., ::-1], -1)[..., -2::-1]  # [k 2 19]
    truth = self.counts[:, 1].sum(-1)[:, None]
    union = truth + reached[:, 0]
    return reached[:, 1] / np.maximum(union, 1)

  def thresholds(self) -> Thresholds:
    """Returns each class's best candidate, the smallest of equals.

    The background gets 0. A class without truth pixels has IoU 0 at every
    candidate, hence .05.
    """
    best = CANDIDATES[np.argmax(self.iou(), axis=-1)]
    best[0] = 0
    return best

  def absent(self) -> tuple[int, ...]:
    """Returns the target classes without a truth pixel: callers must warn."""
    empty = np.flatnonzero(self.counts[:, 1].sum(-1) == 0)
    return tuple(int(number) for number in empty if number > 0)


def write_thresholds(
  path: str | Path,
  scheme: Scheme,
  thresholds: Thresholds,
  model: str = "",
  **more: Any,
) -> None:
  """Writes `thresholds.json`: the scheme and {class name: threshold}.

  Args:
    path: the file.
    scheme: the k classes.
    thresholds: [k].
    model: digest of the weights whose scores they were tuned on, if known.
    **more: further JSON-able values to keep (`tuned_on`).
  """
  # A float32 prints as the shortest decimal that reads back as itself.
  values = [float(str(np.float32(value))) for value in thresholds]
  content = {
    "scheme": scheme.name,
    "classes": list(scheme.names),
    "thresholds": dict(zip(scheme.names, values, strict=True)),
  }
  content |= more | ({"model": model} if model else {})
  write_json(path, content | {_CHECKSUM: digest(content)})


def read_thresholds_file(path: str | Path) -> dict[str, Any]:
  """Returns what `write_thresholds` wrote, checked but for the scheme.

  A file of an older version, which has no checksum, is read with a warning.

  Raises:
    InputError: not such a file, or edited or damaged since it was written.
  """
  anew = "run --mode=evaluate, which tunes and writes the thresholds anew"
  if not Path(path).is_file():
    raise InputError("no such file", anew, path=path)
  anew = f"delete it and {anew}"
  content = read_json(path, ("classes", "thresholds"), anew)
  checksum = content.pop(_CHECKSUM, None)
  problem = ""
  try:
    values = [float(content["thresholds"][name]) for name in content["classes"]]
    if not all(0 <= value <= 1 for value in values):
      problem = f"thresholds of {values}, which are not from 0 to 1"
  except (KeyError, TypeError, ValueError) as error:
    problem = f"not a thresholds file ({type(error).__name__}: {error})"
  if checksum is not None and checksum != digest(content):
    problem = "the file was edited, or is damaged: its checksum does not match"
  if problem:
    raise InputError(problem, anew, path=path)
  if checksum is None:
    logging.log_first_n(
      logging.WARNING,
      "%s: written by a version that kept no checksum of its thresholds: "
      "changes of them would not be noticed",
      1,
      path,
    )
  return content


def read_thresholds(
  path: str | Path, scheme: Scheme, model: str = ""
) -> Thresholds:
  """Reads `thresholds.json` as [k] float32.

  Args:
    path: the file.
    scheme: the k classes.
    model: digest of the weights that they are wanted for; empty: any.

  Raises:
    InputError: not such a file, edited or damaged, of a scheme with other
      classes, or tuned on another model's scores.
  """
  content = read_thresholds_file(path)
  classes, values = content["classes"], content["thresholds"]
  thresholds = [float(values[name]) for name in classes]
  if tuple(classes) != scheme.names:
    raise InputError(
      f"thresholds of the classes {', '.join(classes)}",
      f"scheme {scheme.name} has the classes {', '.join(scheme.names)}",
      path=path,
    )
  if model and content.get("model", model) != model:
    raise InputError(
      "these thresholds were tuned on the scores of other weights",
      "delete the file and tune anew",
      path=path,
    )
  return np.array(thresholds, np.float32)
