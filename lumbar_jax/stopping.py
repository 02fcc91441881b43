"""SIGTERM: a batch system's (or a person's) wish that the work ends soon.

While a network is trained the wish is kept until the running step is done, the
state is saved, and the process ends; at any other time it ends at once, since
all that is done lies on disk already. Processes that train together agree on
the step after which all of them stop, whichever of them was told.
"""

import contextlib
import signal
from collections.abc import Iterator

STOPPED = 128 + signal.SIGTERM  # the exit code

_wanted = False
_deferred = 0  # by how many
_asked = 0  # how often processes have asked each other


class Stopped(KeyboardInterrupt):
  """The process was told to end; what it did is saved.

  No `Exception`: where one bad study must not end the work, this has to.
  """

  code = STOPPED


def listen() -> None:
  """Takes SIGTERM from now on."""
  signal.signal(signal.SIGTERM, _take)


def _take(*_) -> None:
  global _wanted
  _wanted = True
  if not _deferred:
    raise Stopped("stopped by SIGTERM; the same command goes on from here")


@contextlib.contextmanager
def deferred() -> Iterator[None]:
  """Keeps the wish for `wanted` to tell."""
  global _deferred
  _deferred += 1
  try:
    yield
  finally:
    _deferred -= 1


def wanted(*, together: bool) -> bool:
  """Whether to save and stop now; to be asked after each step.

  Args:
    together: whether the step was one of all processes. They then get the same
      answer at the same step, soon after one of them was told.
  """
  global _asked, _wanted
  if together and not _wanted:
    from jax.experimental import multihost_utils

    _asked += 1
    _wanted = multihost_utils.reached_preemption_sync_point(_asked)
  return _wanted
