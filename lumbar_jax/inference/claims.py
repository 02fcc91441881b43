"""Which process works on which study, where several predict into one folder.

One empty file, `OUTPUT/.claims`, and in it a locked byte for each study that is
being worked on: a lock ends with its process, however that ends, and nothing is
left to be cleared away. Byte locks work on local disks and on NFS, Lustre and
GPFS; where a file system has none, studies may be predicted twice, which costs
time and nothing else (files are written whole).
"""

import contextlib
import errno
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

from absl import logging

_FILE = ".claims"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Claims:
  """The claims on an output folder's studies."""

  def __init__(self, folder: str | Path):
    """Takes claims in `folder`."""
    self._path = Path(folder) / _FILE

  @contextlib.contextmanager
  def hold(self, name: str) -> Iterator[bool]:
    """Yields whether `name` is this process' own for the block.

    Processes exclude each other, threads of one process do not.
    """
    place = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2**62
    with open(self._path, "a+b") as file:
      try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
      except (BlockingIOError, PermissionError):
        yield False
        return
      except OSError as error:
        if error.errno not in _NO_LOCKS:
          raise
        logging.log_first_n(
          logging.WARNING,
          "%s: this file system has no locks (%s); studies may be predicted "
          "twice by processes that do not know of each other",
          1,
          *(self._path, error.strerror),
        )
      yield True  # closing the file ends the lock
