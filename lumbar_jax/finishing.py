"""What follows the last training, where many jobs have trained a part each.

Whichever of them trains the last part goes on; nobody has to wait for it, and
no scheduler has to know.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import logging

from lumbar_jax import distributed
from lumbar_jax.combine import finished
from lumbar_jax.errors import InputError
from lumbar_jax.runs import Run, locked


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
def turn(folder: Path, shared: bool) -> Iterator[bool]:
  """Yields whether this process is to do what follows the last training.

  Args:
    folder: the run's or the study's.
    shared: whether other processes may be about to do the same. Then the report
      is taken to say that it is done.
  """
  with contextlib.ExitStack() as stack:
    mine = True
    if shared and distributed.is_main():
      try:
        stack.enter_context(locked(folder))
        mine = not (folder / "report.html").is_file()
      except InputError:
        logging.info("%s: another process goes on with it", folder)
        mine = False
    yield distributed.gather(mine)[0]
