"""Comparing two ways to do one piece of work: medians of interleaved turns."""

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lumbar_jax.timing import Clock, interleave

LEAST_TURN_S = 0.2  # short work is repeated within a turn


@dataclasses.dataclass(frozen=True)
class Work:
  """A piece of work that a device may do after the call has returned.

  Attributes:
    step: begins it and returns its result.
    wait: called with the last result; returns when all of it is done.
  """

  step: Callable[[], Any]
  wait: Callable[[Any], Any]

  def __call__(self, calls: int = 1) -> Any:
    """Does the work some times over; returns the last result, done."""
    for _ in range(calls):
      result = self.step()
    self.wait(result)
    return result


def compare(
  ours: Work,
  peers: Mapping[str, Work],
  repeats: int,
  *,
  warm_up: int = 1,
  clock: Clock = time.perf_counter,
) -> dict[str, Any]:
  """Times our way beside others, turn by turn.

  Args:
    ours: our way.
    peers: {name: another way}; the quickest by its median is the peer. None:
      our way is timed alone.
    repeats: turns that count.
    warm_up: turns before them.
    clock: returns the time in seconds.

  Returns:
    Fields of a record: ours_s and peer_s (medians of a call), ratio (median of
    ours / peer turn by turn), ratio_range, peer, ways ({name: median}),
    repeats; peer fields are None where there is none.
  """
  alone = interleave({"ours": ours}, 1, warm_up=1, clock=clock)["ours"][0]
  calls = max(1, math.ceil(LEAST_TURN_S / alone)) if alone > 0 else 1
  ways = {"ours": ours, **peers}
  turns = interleave(
    {name: functools.partial(work, calls) for name, work in ways.items()},
    repeats,
    warm_up=warm_up,
    clock=clock,
  )
  seconds = {name: [s / calls for s in found] for name, found in turns.items()}
  return summary(seconds.pop("ours"), seconds)


def summary(
  ours: Sequence[float], peers: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
  """Returns the fields of `compare` of measured seconds, turn by turn.

  Args:
    ours: seconds [repeats].
    peers: {name: seconds [repeats]}.
  """
  medians = {name: statistics.median(found) for name, found in peers.items()}
  fields = {
    "ours_s": statistics.median(ours),
    "repeats": len(ours),
    **dict.fromkeys(("peer_s", "ratio", "ratio_range", "peer")),
  }
  if medians:
    best = min(medians, key=medians.get)
    ratios = [a / b for a, b in zip(ours, peers[best], strict=True)]
    fields |= {
      "peer": best,
      "peer_s": medians[best],
      "ratio": statistics.median(ratios),
      "ratio_range": [min(ratios), max(ratios)],
      "ways": medians,
    }
  return fields
