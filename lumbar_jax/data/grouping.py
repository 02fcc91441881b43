"""Findings that say the same of many studies, joined to one.

A wrong dseg.tsv makes the same error in every mask; a hundred lines of it hide
all others.
"""

import dataclasses
import re
from collections.abc import Sequence

from lumbar_jax.data.sources.found import Finding

NAMES_SHOWN = 20
_FEW = 5  # different values of one kind: each is shown; more are joined
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_LIST = re.compile(r"#((, | x )#)+")
_PATH = re.compile(r"(\.{0,2}/)[^\s:;,)]+")


@dataclasses.dataclass(frozen=True)
class Group:
  """Findings of one kind.

  Attributes:
    findings: at least one; the first is shown.
    alike: whether they say the same to the letter, but for path and study.
  """

  findings: tuple[Finding, ...]
  alike: bool

  @property
  def first(self) -> Finding:
    """The finding that stands for all."""
    return self.findings[0]

  @property
  def names(self) -> list[str]:
    """What the findings are about: studies, or files that belong to none."""
    return list(
      dict.fromkeys(
        f.study or (f.path.name if f.path is not None else "")
        for f in self.findings
      )
    )


def group(findings: Sequence[Finding]) -> list[Group]:
  """Joins findings that differ in study and path only.

  Where there are many different numbers, such as the places of masks on other
  grids, those that differ in numbers are joined as well.

  Args:
    findings: in the order in which they are to be shown.

  Returns:
    Groups, in the order of the first findings of their kinds.
  """
  kinds: dict[tuple, dict[tuple, list[Finding]]] = {}
  for finding in findings:
    kind = kinds.setdefault(_kind(finding), {})
    kind.setdefault(_said(finding), []).append(finding)
  groups = []
  for kind in kinds.values():
    if len(kind) <= _FEW:
      groups += [Group(tuple(found), True) for found in kind.values()]
    else:
      joined = [finding for found in kind.values() for finding in found]
      groups.append(Group(tuple(joined), False))
  return groups


def _kind(finding: Finding) -> tuple:
  if finding.path is None and not finding.study:
    return (finding.severity, finding.problem, finding.remedy)
  return (finding.severity, *_said(finding, numbers=False))


def _said(finding: Finding, numbers: bool = True) -> tuple[str, str]:
  """Returns problem and remedy without paths and names, or numbers too."""
  found = []
  for text in (finding.problem, finding.remedy):
    if finding.study:
      text = text.replace(finding.study, "STUDY")
    text = _PATH.sub("PATH", text)
    if not numbers:
      text = _LIST.sub("#", _NUMBER.sub("#", text))
    found.append(text)
  return found[0], found[1]


def some(names: Sequence[str], number: int = NAMES_SHOWN) -> str:
  """Returns names with commas; of many the first and how many more."""
  more = len(names) - number
  shown = ", ".join(names[:number])
  return f"{shown} and {more} more" if more > 0 else shown
