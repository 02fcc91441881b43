"""Several processes that work as one, on one machine or on many.

JAX's own runtime is the engine: the processes find each other, their devices
form one mesh, and the folder of a run lies where all of them can read and write
it. Process 0 is the main one: it alone writes metrics, tables and reports.

Everything here can be called in a single process too, where it costs nothing:
there is one process, it is the main one, and nobody has to be waited for. Work
that all processes share has to reach the same calls in the same order.
"""

import collections
import contextlib
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from absl import logging

from lumbar_jax import crashes, logs, watch
from lumbar_jax.errors import InputError, explain

T = TypeVar("T")

CONNECT_TIMEOUT_S = 300
_WAIT_MS = 7 * 24 * 3600 * 1000  # of a barrier: who dies ends it much sooner

_place = (0, 1)  # (this process, number of processes)
_barriers: collections.Counter = collections.Counter()


def index() -> int:
  """The number of this process, from 0."""
  return _place[0]


def count() -> int:
  """How many processes there are."""
  return _place[1]


def is_main() -> bool:
  """Whether this process writes what is written once."""
  return _place[0] == 0


@contextlib.contextmanager
def joined(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> Iterator[None]:
  """Joins the other processes; to be entered before JAX does anything.

  Without arguments the cluster says who is where (SLURM, Open MPI, Kubernetes,
  Cloud TPU). Leaving it waits for the others. If this process or another one
  fails, all of them end: each logs which one it was.

  Args:
    coordinator: HOST:PORT of process 0, a free port.
    num_processes: how many there are.
    process_id: the number of this one.

  Raises:
    InputError: no cluster was found and arguments are missing, or the others
      did not come.
  """
  global _place
  waiting = watch.start_guard(
    "This process found no others: not all of them were started within "
    f"{CONNECT_TIMEOUT_S} s, or HOST:PORT of process 0 "
    f"({coordinator or 'as the cluster says'}) cannot be reached from here."
  )
  try:
    _place = _join(coordinator, num_processes, process_id)
  finally:
    watch.dismiss(waiting)
  logs.mark_process(*_place)
  guard = watch.Watch(_client(), *_place)
  try:
    logging.info("process %d of %d is ready", *_place)
    yield
    barrier("end")
  except BaseException as error:
    _leave(guard, error)
  guard.stop()
  _shutdown()
  _place = (0, 1)


def _join(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> tuple[int, int]:
  """Returns (this process, number of processes)."""
  import jax

  try:
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_id,
      initialization_timeout=CONNECT_TIMEOUT_S,
    )
    return jax.process_index(), jax.process_count()
  except (ValueError, RuntimeError) as error:
    raise InputError(
      f"this process could not join the others ({_first_line(error)})",
      "start it with srun or mpirun, or give every process --coordinator="
      "HOST:PORT (of process 0, a free port), --num_processes=N and "
      "--process_id=0 ... N-1",
    ) from error


def _first_line(error: BaseException) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _shutdown() -> None:
  import jax

  jax.distributed.shutdown()


def _client() -> Any:
  """Returns JAX's connection to the coordinator.

  JAX offers no public barrier that waits on the host (`sync_global_devices`
  keeps the devices busy) and no public key-value store; orbax takes them from
  the same place.
  """
  from jax._src import distributed

  return distributed.global_state.client


def _leave(guard: watch.Watch, error: BaseException) -> None:
  """Ends this process without waiting for any other; never returns.

  An ordinary exit would wait for processes that wait for this one.
  """
  cause = error.__cause__ or error
  known, lost = explain(error), None
  if not isinstance(cause, InputError | OSError | KeyboardInterrupt):
    lost = guard.find_culprit()  # who is lost breaks whatever is under way
  if lost is not None:
    known = lost, 1
  if known is None:
    known = crashes.report(error, f"process {index()}"), 1
  logging.error("%s", known[0])
  logging.flush()
  guard.publish(*known)
  os._exit(known[1])


def barrier(name: str) -> None:
  """Waits until every process has come here."""
  if count() == 1:
    return
  _barriers[name] += 1
  _client().wait_at_barrier(f"{name}:{_barriers[name]}", _WAIT_MS)


@contextlib.contextmanager
def main_first(name: str) -> Iterator[None]:
  """Lets the main process go through the block before the others do.

  For work that makes something at first and finds it made later.
  """
  if not is_main():
    barrier(name)
  yield
  if is_main():
    barrier(name)


def on_main(work: Callable[..., Any], *args: Any, **options: Any) -> None:
  """Calls `work` in the main process; the others wait until it is done."""
  if is_main():
    work(*args, **options)
  barrier(getattr(work, "__qualname__", "main"))


def share(items: Sequence[T]) -> list[T]:
  """Returns this process' part of some items: each has one process."""
  return list(items[index() :: count()])


def gather(value: Any) -> list[Any]:
  """Returns every process' value, in the processes' order, to all of them."""
  if count() == 1:
    return [value]
  from jax.experimental import multihost_utils

  barrier("gather")  # so that devices do not wait for a slow host
  data = np.frombuffer(pickle.dumps(value), np.uint8)
  sizes = np.ravel(multihost_utils.process_allgather(np.int32(len(data))))
  padded = np.zeros(int(sizes.max()), np.uint8)
  padded[: len(data)] = data
  found = multihost_utils.process_allgather(padded)
  return [
    pickle.loads(row[:size].tobytes())
    for row, size in zip(np.asarray(found), sizes, strict=True)
  ]


def gather_items(items: Sequence[T]) -> list[T]:
  """Returns the items of all processes as one list, process by process."""
  return [item for part in gather(list(items)) for item in part]
