"""One process at a time in a folder."""

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from lumbar_jax.errors import InputError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
  """Holds a folder for this process alone.

  Where the file system has no locks that is said, and the block runs all the
  same: the user has to see that no two processes work on one folder.

  Raises:
    InputError: another process holds it.
  """
  folder.mkdir(parents=True, exist_ok=True)
  with open(folder / ".lock", "w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(
        "another process is training here",
        "wait for it, or give another --workdir",
        path=folder,
      ) from None
    except OSError as error:
      if error.errno not in NO_LOCKS:
        raise
      logging.log_first_n(
        logging.WARNING,
        "%s: this file system has no locks (%s); see to it that no two "
        "processes work on one folder",
        1,
        *(folder, error.strerror),
      )
    yield
