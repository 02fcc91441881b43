"""What follows the last training, where many jobs have trained a part each.

Whichever of them trains the last part goes on; nobody has to wait for it, and
no scheduler has to know.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging

from lumbar_jax import distributed, records
from lumbar_jax.combine import finished
from lumbar_jax.errors import InputError
from lumbar_jax.files import write_text
from lumbar_jax.locks import locked
from lumbar_jax.records import State
from lumbar_jax.runs import Run

_GOAL = ".evaluating"  # what the process that holds the folder is about to do
_WAIT_S = 5.0
_LOOK_S = 0.5  # far longer than from taking the folder to writing the goal


def is_last(runs: Sequence[Run]) -> bool:
  """Whether all folds of some runs are trained; logs which are not."""
  left = [
    str(run.fold_folder(fold))
    for run in runs
    for fold in run.folds
    if not finished(run, fold, run.config.training.num_epochs)
  ]
  left = distributed.gather(left)[0]
  if left:
    logging.info("left to train: %s; what follows waits", ", ".join(left))
  return not left


@contextlib.contextmanager
def turn(
  folder: Path, shared: bool, state: Callable[[], State]
) -> Iterator[bool]:
  """Yields whether this process is to do what follows the last training.

  Not where the folder's record says that it is done with the present weights,
  nor where another process is about to do the same. One that does something
  else (it knows fewer networks, or older weights) is waited for.

  Args:
    folder: the run's or the study's.
    shared: whether other processes may be about to do the same; otherwise it is
      always done.
    state: returns the present state, see `records`.
  """
  with contextlib.ExitStack() as stack:
    mine = True
    if shared and distributed.is_main():
      mine = _take(folder, state, stack)
    yield distributed.gather(mine)[0]


def _take(
  folder: Path, state: Callable[[], State], stack: contextlib.ExitStack
) -> bool:
  """Takes the folder, if there is anything left to do in it."""
  path, waited, seen = folder / _GOAL, False, False
  while True:
    wanted = records.goal(state())
    try:
      stack.enter_context(locked(folder))
    except InputError:
      if _is_goal(path, wanted):
        # A holder that was killed leaves its goal; the next one replaces it
        # just after it has taken the folder. So it is looked at twice.
        if seen:
          logging.info("%s: another process goes on with it", folder)
          return False
        seen = True
        time.sleep(_LOOK_S)
        continue
      seen = False
      if not waited:
        logging.info(
          "%s: another process evaluates an earlier state of it; this one "
          "waits and goes on after it",
          folder,
        )
      waited = True
      time.sleep(_WAIT_S)
      continue
    write_text(path, wanted)
    stack.callback(path.unlink, missing_ok=True)
    if records.is_done(folder, state()):
      logging.info("%s: evaluated and reported already", folder)
      return False
    if (folder / "report.html").is_file() and not records.read(folder):
      logging.info(
        "%s: its report has no record of what was evaluated (an older version "
        "wrote it, or it was asked for midway): it is evaluated again",
        folder,
      )
    return True


def _is_goal(path: Path, wanted: str) -> bool:
  """Whether a goal file says what is wanted; its holder may remove it."""
  try:
    return path.read_text(encoding="utf-8") == wanted
  except FileNotFoundError:
    return False
