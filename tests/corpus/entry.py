"""What an entry of the corpus is, and the outcomes there are."""

import dataclasses
from collections.abc import Callable

COMMANDS = ("doctor", "predict", "training")
READ, FLAGGED, REFUSED = "read right", "flagged", "refused"
NAMED, LEFT_OUT = "named", "left out"


@dataclasses.dataclass(frozen=True)
class Expect:
  """What must become of an input.

  Attributes:
    outcomes: those that are right, the best first. `READ`: the result is that
      of the good input, without a warning. `FLAGGED`: the same result, with a
      warning. `REFUSED`: an error that names the file. `LEFT_OUT`: no result,
      and a warning. `NAMED`: some line names it, however grave that is.
    word: regular expression that the error, warning or line must match,
      whatever the case.
  """

  outcomes: tuple[str, ...]
  word: str = ""


read = Expect((READ,))


def refused(word: str) -> Expect:
  """An error in words, one of them this."""
  return Expect((REFUSED,), word)


def flagged(word: str) -> Expect:
  """The right result, and a warning with this word."""
  return Expect((FLAGGED,), word)


def named(word: str) -> Expect:
  """Left out or read, but never without a line about it."""
  return Expect((NAMED,), word)


def left_out(word: str) -> Expect:
  """No result, and a warning that says why."""
  return Expect((LEFT_OUT,), word)


def told(word: str) -> Expect:
  """Refused or flagged: the specification leaves open which."""
  return Expect((REFUSED, FLAGGED), word)


def read_or(other: Expect) -> Expect:
  """Read right, or else what `other` says."""
  return Expect((READ, *other.outcomes), other.word)


@dataclasses.dataclass(frozen=True)
class Entry:
  """An input and what must become of it.

  Attributes:
    name: identifies it.
    family: what kind of input it is.
    text: the input in a few words.
    make: spoils a good `World`.
    expected: {command: what must become of it}; a command that the input
      does not concern is not in it.
    kind: how the data lie: "table", "tree" or "folder".
    report: public report of the same fault with another program.
  """

  name: str
  family: str
  text: str
  make: Callable
  expected: dict[str, Expect]
  kind: str = "table"
  report: str = ""


class Family:
  """Collects the entries of one family."""

  def __init__(self, name: str, kind: str = "table", commands=COMMANDS):
    """Begins a family.

    Args:
      name: of the family.
      kind: how the data lie unless an entry says otherwise.
      commands: those that its entries concern.
    """
    self.name, self.kind, self.commands = name, kind, commands
    self.entries: list[Entry] = []

  def add(
    self,
    name: str,
    text: str,
    make: Callable,
    expect: Expect,
    *,
    kind: str = "",
    report: str = "",
    **others: Expect | None,
  ) -> None:
    """Adds an entry.

    Args:
      name: without the family's.
      text: the input in a few words.
      make: spoils a good `World`.
      expect: what must become of it with all commands.
      kind: how the data lie; empty: as in the family.
      report: public report of the same fault.
      **others: {command: another expectation, or None where it does not
        apply}.
    """
    expected = dict.fromkeys(self.commands, expect) | others
    expected = {c: e for c, e in expected.items() if e is not None}
    self.entries.append(
      Entry(
        f"{self.name}/{name}",
        self.name,
        text,
        make,
        expected,
        kind or self.kind,
        report,
      )
    )
