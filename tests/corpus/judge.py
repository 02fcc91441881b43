"""What a command did, and whether that is what must become of an input."""

import dataclasses
import re
from pathlib import Path

from corpus.entry import FLAGGED, LEFT_OUT, NAMED, READ, REFUSED, Expect


@dataclasses.dataclass
class Seen:
  """What a command did.

  Attributes:
    errors, warnings, lines: what it said; `lines` is of any severity.
    logged: errors in the log, which precede the one that ends a command.
    wrong: how the result differs from the good one; empty: not at all.
    made: whether there is a result.
    crash: traceback of an exception that nobody explains.
  """

  errors: list[str] = dataclasses.field(default_factory=list)
  warnings: list[str] = dataclasses.field(default_factory=list)
  lines: list[str] = dataclasses.field(default_factory=list)
  logged: list[str] = dataclasses.field(default_factory=list)
  wrong: str = ""
  made: bool = True
  crash: str = ""


def judge(expect: Expect, seen: Seen, culprit: Path | None) -> tuple[str, str]:
  """Returns (outcome, "") or ("", what is wrong with what was seen)."""
  if seen.crash:
    return "", f"crashed: {seen.crash}"

  def saying(lines):
    return [t for t in lines if re.search(expect.word, t, re.IGNORECASE)]

  if seen.wrong:
    return "", f"wrong result: {seen.wrong} (warnings: {seen.warnings})"
  if seen.errors:
    fitting = saying(seen.errors)
    if REFUSED not in expect.outcomes:
      return "", f"refused: {seen.errors[0]}"
    if not fitting:
      return "", f"refused without {expect.word!r}: {seen.errors}"
    if culprit is not None and not any(_names(t, culprit) for t in fitting):
      return "", f"refused without the name of {culprit.name}: {fitting}"
    return REFUSED, ""
  if NAMED in expect.outcomes:
    if saying([*seen.warnings, *seen.lines]):
      return NAMED, ""
    if READ not in expect.outcomes:
      return "", f"nobody says {expect.word!r}: {seen.lines}"
  if LEFT_OUT in expect.outcomes:
    said = saying(seen.warnings) and not seen.made
    return (LEFT_OUT, "") if said else ("", f"not left out: {seen.warnings}")
  if not seen.made:
    return "", f"no result and no error (lines: {seen.lines})"
  if FLAGGED in expect.outcomes and saying(seen.warnings):
    return FLAGGED, ""
  if READ not in expect.outcomes:
    return "", f"read without {expect.word!r}: {seen.warnings}"
  if seen.warnings:
    return "", f"read, with a warning: {seen.warnings}"
  return READ, ""


def _names(text: str, path: Path) -> bool:
  return path.name in text or repr(path.name)[1:-1] in text
