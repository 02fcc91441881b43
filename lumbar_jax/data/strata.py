"""Dealing patients into a test set and folds, evenly by stratum."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.data.sources.found import EMPTY_CELLS
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import did_you_mean


def strata_of(
  labelled: Sequence[Study], columns: Sequence[str], smallest: int
) -> list[list[str]]:
  """Groups patients by their values in `columns`; rare groups become one."""
  rows: dict[str, Mapping[str, Any]] = {}
  for study in labelled:
    rows.setdefault(study.patient, study.metadata.get("participant", {}))
  there = {column for row in rows.values() for column in row}
  for column in (c for c in columns if c not in there):
    near = did_you_mean(column, there)  # no warning where nothing is alike
    level = logging.WARNING if near else logging.INFO
    logging.log(level, "no column %r to stratify by. %s", column, near)
  groups: dict[tuple, list[str]] = {}
  for patient in sorted(rows):
    cells = [str(rows[patient].get(c, "")) for c in columns if c in there]
    key = tuple("" if cell in EMPTY_CELLS else cell for cell in cells)
    groups.setdefault(key, []).append(patient)
  strata = [groups[key] for key in sorted(groups)]
  rare = [p for group in strata if len(group) < smallest for p in group]
  common = [group for group in strata if len(group) >= smallest]
  return [*common, sorted(rare)] if rare else common


def draw_test(
  strata: Sequence[Sequence[str]], fraction: float, rng: np.random.Generator
) -> list[str]:
  """Draws the test patients, from each stratum by the largest remainder."""
  total = sum(map(len, strata))
  if fraction == 0:
    return []
  count = max(1, round(fraction * total))
  quotas = np.array([count * len(stratum) / total for stratum in strata])
  shares = np.floor(quotas).astype(int)
  by_remainder = np.argsort(shares - quotas, kind="stable")
  shares[by_remainder[: count - shares.sum()]] += 1
  return [
    str(patient)
    for stratum, share in zip(strata, shares, strict=True)
    for patient in rng.permutation(stratum)[:share]
  ]


def deal(
  strata: Sequence[Sequence[str]],
  rest: set[str],
  num_folds: int,
  rng: np.random.Generator,
) -> list[list[str]]:
  """Deals shuffled patients one by one, each stratum where the last ended.

  So folds differ by one patient at most, and so do their parts of a stratum.
  """
  folds: list[list[str]] = [[] for _ in range(num_folds)]
  shuffled = [p for stratum in strata for p in rng.permutation(stratum)]
  for place, patient in enumerate(p for p in shuffled if p in rest):
    folds[place % num_folds].append(str(patient))
  return folds
