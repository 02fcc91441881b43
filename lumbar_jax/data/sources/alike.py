"""Patients that may be one, and studies of whom there is no truth."""

import re
from collections.abc import Sequence

from lumbar_jax.data.sources.found import INFO, WARNING, Finding
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import listed


def core(identifier: str) -> str:
  """Returns an identifier without what spreadsheets and systems change.

  That is lost zeros (1 for 001), ".0" behind a number, case, and "sub-".
  """
  name = identifier.casefold().removeprefix("sub-").removesuffix(".0")
  return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def check(studies: Sequence[Study]) -> list[Finding]:
  """Says which patients are called so alike that they may be one."""
  groups: dict[str, set[str]] = {}
  for study in studies:
    groups.setdefault(core(study.patient), set()).add(study.patient)
  twins = [" and ".join(sorted(g)) for g in groups.values() if len(g) > 1]
  if not twins:
    return []
  problem = f"patients are called alike: {listed(twins)}"
  remedy = "call one patient by one name, or it may be trained and tested on"
  return [Finding(WARNING, problem, remedy)]


def without_mask(studies: Sequence[Study]) -> list[Finding]:
  """Says which studies have no truth."""
  names = [study.name for study in studies if study.mask is None]
  if not names:
    return []
  problem = f"{len(names)} studies have no mask: {listed(names)}"
  remedy = "they take no part in training and evaluation"
  return [Finding(INFO, problem, remedy)]
