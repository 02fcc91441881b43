"""Keeps one message of XLA from the user: "Very slow compile? ... file a bug".

XLA's C++ writes it to the standard error, as an error, whenever a program takes
more than two minutes to compile, which wide networks do on a few CPU cores. No
switch hides it alone. While a long compilation runs, a small process of its own
reads what is written there and passes all the rest on: it outlives a crash, so
that no last words are lost.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator

_BEGINS = re.compile(r"slow_operation_alarm\.cc:\d+\]\s*(The operation.*)?$")
_STARS = re.compile(r"\*{8,}$")
_WANTED = "Very slow compile?"
_WAIT_S = 5.0


def without_alarm(lines: Iterable[str]) -> Iterator[str]:
  """Yields lines without the message; anything else comes as it is.

  A line is held back only as long as the message may go on.
  """
  held: list[str] = []
  for line in lines:
    if not held and _BEGINS.search(line.rstrip()):
      held = [line]
    elif held:
      held.append(line)
      if _ended(held):
        if not any(_WANTED in part for part in held):
          yield from held
        held = []
      elif not _may_go_on(line):
        yield from held
        held = []
    else:
      yield line
  yield from held


def _ended(held: list[str]) -> bool:
  """Whether the second row of asterisks has come."""
  return sum(bool(_STARS.match(part.strip())) for part in held) == 2


def _may_go_on(line: str) -> bool:
  """Whether a line can be one of the message's."""
  text = line.strip()
  known = not text or _STARS.match(text) or _WANTED in text
  return bool(known or text.startswith("Compiling module"))


class Filter:
  """Puts the small process between this one and its standard error."""

  def __init__(self):
    """Nothing is filtered yet."""
    self._kept = self._process = None

  def start(self) -> None:
    """Begins; where no process can be started, nothing is filtered."""
    if self._process is not None:
      return
    try:
      self._process = subprocess.Popen(
        [sys.executable, "-I", "-S", os.path.abspath(__file__)],
        stdin=subprocess.PIPE,
        stdout=2,  # this one's standard error
        start_new_session=True,  # Ctrl-C is for this process alone
      )
      self._kept = os.dup(2)
    except OSError:
      return
    os.dup2(self._process.stdin.fileno(), 2)
    self._process.stdin.close()

  def stop(self) -> None:
    """Ends, all that was written passed on."""
    if self._kept is None:
      return
    sys.stderr.flush()
    os.dup2(self._kept, 2)
    os.close(self._kept)
    with contextlib.suppress(subprocess.TimeoutExpired):
      self._process.wait(_WAIT_S)  # (a child process may hold the pipe open)
    self._kept = self._process = None


def main() -> None:
  """Passes the standard input on to the standard output, line by line."""
  sys.stdin.reconfigure(errors="surrogateescape")
  sys.stdout.reconfigure(errors="surrogateescape")
  for line in without_alarm(iter(sys.stdin.readline, "")):
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
  main()
