"""Measuring time: stage by stage in a piece of work, or several ways in turns.

A function says which stage it is (`@stage("read")`); whoever wants to know
where the time goes collects:

    with collect() as seconds:
      work()
    seconds  # {"read": 0.2, "network": 5.1, "other": 0.1}
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

Clock = Callable[[], float]
OTHER = "other"

_compiling_s = 0.0  # that this process has spent on it


def note_compiling(seconds: float) -> None:
  """Adds the time that a program took to compile."""
  global _compiling_s
  _compiling_s += seconds


def working_s() -> float:
  """Returns a clock that stands still for what was spent on compiling.

  In seconds; differences alone have a meaning. Work that goes on has a pace by
  it that its first, slow step does not spoil.
  """
  return time.monotonic() - _compiling_s


class _Stages:
  """Seconds by stage; while a stage is open, those around it stand still."""

  def __init__(self, clock: Clock):
    self.seconds: dict[str, float] = {}
    self._clock, self._open = clock, [OTHER]
    self._since = clock()

  def charge(self) -> None:
    """Adds the time since the last call to the innermost open stage."""
    now, name = self._clock(), self._open[-1]
    self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
    self._since = now

  def enter(self, name: str) -> None:
    """Opens a stage."""
    self.charge()
    self._open.append(name)

  def leave(self) -> None:
    """Closes the innermost stage."""
    self.charge()
    self._open.pop()


_COLLECTING: ContextVar[_Stages | None] = ContextVar("stages", default=None)


@contextlib.contextmanager
def collect(clock: Clock = time.perf_counter) -> Iterator[dict[str, float]]:
  """Yields {stage: seconds}, complete when the block ends.

  The stages are those of this thread; time outside of them is "other", so that
  the sum is the whole block's. What a device computes while the host does
  something else counts where the host waits for it.
  """
  stages = _Stages(clock)
  token = _COLLECTING.set(stages)
  try:
    yield stages.seconds
  finally:
    stages.charge()
    _COLLECTING.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
  """Counts the block, or the function it decorates, as a stage.

  A stage inside another one is taken off the outer one's time. Without
  `collect` around it nothing is measured.
  """
  stages = _COLLECTING.get()
  if stages is None:
    yield
    return
  stages.enter(name)
  try:
    yield
  finally:
    stages.leave()


def interleave(
  ways: Mapping[str, Callable[[], Any]],
  repeats: int,
  *,
  warm_up: int = 1,
  clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
  """Returns each way's seconds [repeats], measured turn by turn.

  In a turn each way is called once, in order: what else the machine does falls
  on all of them, and the quotients of one turn can be trusted where seconds
  cannot.

  Args:
    ways: functions that return when their work is done (not only begun).
    repeats: turns that count.
    warm_up: turns before them, which compile and fill caches.
    clock: returns the time in seconds.
  """
  times: dict[str, list[float]] = {name: [] for name in ways}
  for turn in range(warm_up + repeats):
    for name, work in ways.items():
      start = clock()
      work()
      took = clock() - start
      if turn >= warm_up:
        times[name].append(took)
  return times
