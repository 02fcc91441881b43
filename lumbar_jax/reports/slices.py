"""Slices of evaluated studies: how good each is, and which ones to show."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lumbar_jax import metrics
from lumbar_jax.anatomy import IGNORE, Scheme
from lumbar_jax.arrays import StudyLabels
from lumbar_jax.data.prepare import PreparedStudy

ENOUGH = 0.5  # of the foreground of the study's fullest slice
WORDS = ("best", "median", "worst")


@dataclasses.dataclass(frozen=True)
class Case:
  """One slice of a held-out study.

  Attributes:
    study: the prepared study.
    number: of the slice, from 0, left to right.
    truth: [H W] uint8 classes, 255 = ignore.
    predicted: [H W] uint8 classes.
    dice: mean Dice over the foreground classes of this slice, NaN without.
    foreground: number of pixels whose truth is a target class.
  """

  study: PreparedStudy
  number: int
  truth: np.ndarray
  predicted: np.ndarray
  dice: float
  foreground: int


def cases_of(
  study: PreparedStudy, predicted: StudyLabels, scheme: Scheme
) -> list[Case]:
  """Scores every slice of a study.

  Args:
    study: with its truth.
    predicted: [n H W] classes on the native grid.
    scheme: the classes.

  Raises:
    ValueError: the prediction is not on the truth's grid.
  """
  cases = []
  for number, pair in enumerate(zip(study.native_mask, predicted, strict=True)):
    counts = metrics.confusion_host(*pair, scheme.num_classes)
    dice = float(metrics.mean(metrics.dice(counts), with_background=False))
    foreground = int(counts[1:].sum())
    cases.append(Case(study, number, *pair, dice, foreground))
  return cases


def telling(cases: Sequence[Case]) -> Case:
  """Returns the slice of a study with the most classes in its truth.

  Of equals the one nearest to the middle of the volume.
  """
  middle = (len(cases) - 1) / 2

  def rank(case: Case) -> tuple[int, float]:
    present = set(np.unique(case.truth).tolist()) - {IGNORE}
    return len(present), -abs(case.number - middle)

  return max(cases, key=rank)


def choose(studies: Sequence[Sequence[Case]]) -> dict[str, Case]:
  """Chooses the best, median and worst slice by mean foreground Dice.

  Only slices with at least half the foreground of their study's fullest one
  take part: where hardly anything is to be found, Dice says little.

  Args:
    studies: the slices of each study.

  Returns:
    {"best": ..., "median": ..., "worst": ...}; of an even number the lower
    median; fewer entries where there are fewer slices, none where no slice
    has any foreground.
  """
  ranked = []
  for cases in studies:
    enough = max(1.0, ENOUGH * max(case.foreground for case in cases))
    ranked += [case for case in cases if case.foreground >= enough]
  ranked.sort(key=lambda case: -case.dice)
  last = len(ranked) - 1
  places = {"best": 0, "median": (last + 1) // 2, "worst": last}
  words = {0: (), 1: ("best",), 2: ("best", "worst")}.get(len(ranked), WORDS)
  return {word: ranked[places[word]] for word in words}


def title(case: Case) -> str:
  """Returns "sub-001_ses-01, slice 5 of 9, Dice 0.912"."""
  place = f"slice {case.number + 1} of {len(case.study.image)}"
  return f"{case.study.name}, {place}, Dice {case.dice:.3f}"
