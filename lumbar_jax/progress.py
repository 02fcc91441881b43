"""A progress display with time left: a bar, or log lines where none fits.

Where there is no terminal a line is logged every half minute, whether the work
has come further or not: nobody has to guess whether it still runs.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from absl import logging

from lumbar_jax.timing import working_s

LOG_EVERY_S = 30.0
SILENT_S = 15.0
_POLL_S = 1.0


def duration(seconds: float) -> str:
  """Returns "12 s", "3 min 20 s" or "2 h 5 min"."""
  seconds = round(seconds)
  if seconds < 60:
    return f"{seconds} s"
  if seconds < 3600:
    return f"{seconds // 60} min {seconds % 60} s"
  return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class Pace:
  """Seconds a unit, measured.

  The first unit is often slower than all others (files are read for the first
  time), so it counts only until there is something better.
  """

  def __init__(self, done: float, now: float):
    """Starts at a number of units done, at a time."""
    self._begun = self._first = self._last = (done, now)

  def update(self, done: float, now: float) -> None:
    """Notes the units done at a time."""
    if self._first is self._begun and done > self._begun[0]:
      self._first = (done, now)
    self._last = (done, now)

  def shift(self, units: float) -> None:
    """Counts units that cost nothing, as if they had been done before."""
    marks = [self._begun, self._first, self._last]
    first = self._first is self._begun
    moved = [(done + units, now) for done, now in marks]
    self._begun, self._first, self._last = moved
    if first:
      self._first = self._begun

  @property
  def seconds(self) -> float | None:
    """Seconds a unit; None as long as none is done."""
    for since in (self._first, self._begun):
      units = self._last[0] - since[0]
      if units > 0:
        return (self._last[1] - since[1]) / units
    return None


def time_left(
  units: float, seconds: float | None, after: float = 0.0, whole: str = ""
) -> str:
  """Returns "2 min 0 s left" or "2 min 0 s left (9 min 0 s for all folds)".

  Args:
    units: left of this piece of work.
    seconds: of a unit; None: not known yet.
    after: units of the same kind that follow this piece.
    whole: what all of them are.
  """
  if seconds is None:
    return "time left not known yet"
  text = f"{duration(units * seconds)} left"
  if after and whole:
    text += f" ({duration((units + after) * seconds)} for {whole})"
  return text


@contextlib.contextmanager
def working(title: str) -> Iterator[None]:
  """Says what goes on, where there are no units to count, if it takes long."""
  start, ended = time.monotonic(), threading.Event()

  def keep_on() -> None:
    while not ended.wait(SILENT_S):
      logging.info("%s, %s so far", title, duration(time.monotonic() - start))

  thread = threading.Thread(target=keep_on, name="working", daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()


class Progress:
  """Shows how far a piece of work is; use as a context manager."""

  _bars = None  # one display for all that are open at a time

  def __init__(
    self,
    title: str,
    total: int,
    *,
    start: float = 0.0,
    after: float = 0.0,
    whole: str = "",
    quiet: bool = False,
  ):
    """Starts at `start` of `total` units.

    Args:
      title: what is done, in which units.
      total: units.
      start: units that were done before this process.
      after: units of the same kind that follow in pieces of work of their own.
      whole: what those and these are together, such as "all folds".
      quiet: whether to show nothing.
    """
    self._quiet = quiet
    self._title, self._total, self._done = title, max(total, 1), start
    self._after, self._whole = after, whole
    self._note, self._start = "", time.monotonic()
    self._pace, self._logged = Pace(start, working_s()), self._start
    self._first, self._task, self._owner = start, None, False
    self._display = None
    self._ended, self._lock = threading.Event(), threading.Lock()

  def __enter__(self) -> "Progress":
    if self._quiet:
      return self
    if sys.stderr.isatty():
      self._open_bar()
    else:
      threading.Thread(
        target=self._keep_on, name="progress", daemon=True
      ).start()
    return self

  def __exit__(self, *_) -> None:
    self._ended.set()
    if self._task is not None:
      self._close_bar()
    if self._done > self._first and not self._quiet:
      spent = duration(time.monotonic() - self._start)
      logging.info("%s: done in %s. %s", self._title, spent, self._note)

  @property
  def done(self) -> float:
    """Units done so far."""
    return self._done

  def add(self, units: float = 1, note: str = "") -> None:
    """Counts units that have been done."""
    self.update(self._done + units, note)

  def skip(self, units: float = 1, note: str = "") -> None:
    """Counts units that were done before: they tell nothing of the pace."""
    self._pace.shift(units)
    self.update(self._done + units, note)

  def update(self, done: float, note: str = "") -> None:
    """Sets the units done so far, and a few words to show beside them."""
    self._done, self._note = done, note or self._note
    self._pace.update(done, working_s())
    if self._task is not None:
      self._display.update(
        self._task, completed=done, count=self._count(), note=self._beside()
      )
    elif not self._quiet:
      self._log_if_due(time.monotonic())

  def _count(self) -> str:
    return f"{int(self._done)}/{self._total}"

  def _left(self) -> str:
    left = max(self._total - self._done, 0)
    return time_left(left, self._pace.seconds, self._after, self._whole)

  def _beside(self) -> str:
    return f"{self._left()}  {self._note}"

  def _log_if_due(self, now: float) -> None:
    """Logs where the work is, half a minute after the last time."""
    with self._lock:
      if now - self._logged < LOG_EVERY_S:
        return
      self._logged = now
    logging.info(
      "%s: %d of %d, %s. %s",
      *(self._title, self._done, self._total, self._left(), self._note),
    )

  def _keep_on(self) -> None:
    """Logs while nothing else does; a thread of its own."""
    while not self._ended.wait(_POLL_S):
      self._log_if_due(time.monotonic())

  def _open_bar(self) -> None:
    if Progress._bars is None:
      Progress._bars = _new_bars()
      Progress._bars.start()
      self._owner = True
    self._display = Progress._bars
    self._task = self._display.add_task(
      self._title, total=self._total, completed=self._done,
      count=self._count(), note="",
    )  # fmt: skip

  def _close_bar(self) -> None:
    if self._owner:
      Progress._bars = None
      self._display.stop()
    else:
      self._display.remove_task(self._task)
    self._task = None


@contextlib.contextmanager
def shown(title: str) -> Iterator[Callable[..., None]]:
  """Yields a function (done, total, note="") that shows what it is told.

  For work that counts its units itself; where it never calls, nothing is shown.
  """
  with contextlib.ExitStack() as stack:
    made: list[Progress] = []

    def show(done: int, total: int, note: str = "") -> None:
      if not made:  # (the first unit is done by then)
        one = Progress(title, total, start=done)
        made.append(stack.enter_context(one))
      made[0].update(done, note)

    yield show


def _new_bars():
  """Returns the display of bars, on a terminal of its own.

  (The standard error may be read by another process meanwhile, see
  `compiler_chatter`; a bar is no line.)
  """
  from rich import progress
  from rich.console import Console

  terminal = sys.stderr
  with contextlib.suppress(OSError, ValueError):
    terminal = os.fdopen(os.dup(terminal.fileno()), "w", encoding="utf-8")
  return progress.Progress(
    progress.TextColumn("{task.description}"),
    progress.BarColumn(),
    progress.TextColumn("{task.fields[count]}"),
    progress.TimeElapsedColumn(),
    progress.TextColumn("{task.fields[note]}"),
    console=Console(file=terminal),
  )
