"""Patients that may be one, and studies of whom there is no truth."""

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path

from lumbar_jax.data.sources.found import ERROR, INFO, WARNING, Finding
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import listed
from lumbar_jax.files import file_digest

_PART = 1 << 16  # bytes in the middle of a file: few files share them


def core(identifier: str) -> str:
  """Returns an identifier without what spreadsheets and systems change.

  That is lost zeros (1 for 001), ".0" behind a number, case, "sub-", accents
  as one character or two, and characters that are not seen.
  """
  seen = [c for c in identifier if unicodedata.category(c) != "Cf"]
  name = unicodedata.normalize("NFKC", "".join(seen)).casefold()
  name = name.strip().removeprefix("sub-").removesuffix(".0")
  return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def check(studies: Sequence[Study]) -> list[Finding]:
  """Says which patients are called so alike that they may be one."""
  groups: dict[str, set[str]] = {}
  for study in studies:
    groups.setdefault(core(study.patient), set()).add(study.patient)
  twins = [_together(g) for g in groups.values() if len(g) > 1]
  if not twins:
    return []
  problem = f"patients are called alike: {listed(twins)}"
  remedy = "call one patient by one name, or it may be trained and tested on"
  return [Finding(WARNING, problem, remedy)]


def _together(group: Collection[str]) -> str:
  """Returns the names of a group; codes where they may look the same."""
  shown = [name if name.isascii() else ascii(name) for name in sorted(group)]
  return " and ".join(shown)


def without_mask(studies: Sequence[Study]) -> list[Finding]:
  """Says which studies have no truth."""
  names = [study.name for study in studies if study.mask is None]
  if not names:
    return []
  problem = f"{len(names)} studies have no mask: {listed(names)}"
  remedy = "they take no part in training and evaluation"
  return [Finding(INFO, problem, remedy)]


def copies(
  studies: Sequence[Study],
  leaks: Callable[[set[str]], bool] = lambda _: False,
  reference: str = "",
) -> list[Finding]:
  """Says which patients share an image: one may be trained on, one tested.

  Args:
    studies: of the data set.
    leaks: tells whether some of these patients are trained on and others of
      them tested: an error where it is the image of channel `reference`.
    reference: the channel that patients are told apart by.
  """
  owners = {}
  for study in studies:
    for channel, path in study.images.items():
      owners.setdefault(path, (study, channel))
  groups = [list(owners)]
  for key in (os.path.getsize, _middle, file_digest):  # the dear one last
    groups = [part for group in groups for part in _split(group, key)]
    groups = [g for g in groups if len({owners[p][0].patient for p in g}) > 1]
  parts = {ERROR: [], WARNING: []}
  for group in groups:
    same = {s.patient for s, c in map(owners.get, group) if c == reference}
    parts[ERROR if leaks(same) else WARNING].append(group)
  remedy = "keep one: if one is trained on, the other one's test says nothing"
  findings = []
  for severity, found in parts.items():
    shared = [" and ".join(owners[path][0].name for path in g) for g in found]
    problem = f"the same image under several patients: {listed(shared)}"
    if found:
      findings.append(Finding(severity, problem, remedy, found[0][0]))
  return findings


def _split(
  paths: Sequence[Path], key: Callable[[Path], Hashable]
) -> list[list[Path]]:
  """Returns the files in groups of one key; those without one alone."""
  groups: dict[Hashable, list[Path]] = {}
  for path in paths:
    try:
      groups.setdefault(key(path), []).append(path)
    except OSError:  # whoever reads the file says so
      continue
  return list(groups.values())


def _middle(path: Path) -> bytes:
  with open(path, "rb") as file:
    file.seek(max(0, os.path.getsize(path) // 2 - _PART // 2))
    return file.read(_PART)
