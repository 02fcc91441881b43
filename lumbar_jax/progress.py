"""A progress display with time left: a bar, or log lines where none fits."""

import sys
import time

from absl import logging

LOG_EVERY_S = 30.0


def duration(seconds: float) -> str:
  """Returns "12 s", "3 min 20 s" or "2 h 5 min"."""
  seconds = round(seconds)
  if seconds < 60:
    return f"{seconds} s"
  if seconds < 3600:
    return f"{seconds // 60} min {seconds % 60} s"
  return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class Progress:
  """Shows how far a piece of work is; use as a context manager."""

  def __init__(self, title: str, total: int, *, quiet: bool = False):
    """Starts at 0 of `total` units; a quiet one shows nothing."""
    self._quiet = quiet
    self._title, self._total, self._done = title, max(total, 1), 0
    self._note, self._start = "", time.monotonic()
    self._logged = self._start
    self._first = None  # units that were done before this process
    self._bar = self._task = None

  def __enter__(self) -> "Progress":
    if sys.stderr.isatty() and not self._quiet:
      from rich import progress
      from rich.console import Console

      self._bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(elapsed_when_finished=False),
        progress.TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
      )
      self._task = self._bar.add_task(self._title, total=self._total, note="")
      self._bar.start()
    return self

  def __exit__(self, *_) -> None:
    if self._bar is not None:
      self._bar.stop()
    if self._done and not self._quiet:
      spent = duration(time.monotonic() - self._start)
      logging.info("%s: done in %s. %s", self._title, spent, self._note)

  @property
  def done(self) -> int:
    """Units done so far."""
    return self._done

  def update(self, done: int, note: str = "") -> None:
    """Sets the units done so far, and a few words to show beside them."""
    if self._first is None:
      self._first = max(done - 1, 0)
    self._done, self._note = done, note or self._note
    if self._bar is not None:
      self._bar.update(self._task, completed=done, note=self._note)
      return
    now = time.monotonic()
    if self._quiet or now - self._logged < LOG_EVERY_S:
      return
    self._logged = now
    rate = (done - self._first) / (now - self._start)
    left = duration((self._total - done) / rate) if rate > 0 else "unknown"
    logging.info(
      "%s: %d of %d, %s left. %s",
      *(self._title, done, self._total, left, self._note),
    )
