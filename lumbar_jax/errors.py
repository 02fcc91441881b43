"""The one error a user is meant to read: what, where, and what to do."""

import errno
import os
from collections.abc import Collection


class InputError(ValueError):
  """Bad input: a file, a value or a config field that cannot be used.

  The launcher prints it without a traceback; everything else is a bug and
  keeps its traceback.
  """

  def __init__(
    self,
    problem: str,
    remedy: str = "",
    *,
    path: str | os.PathLike | None = None,
  ):
    """Builds the message `PATH: PROBLEM. REMEDY.`.

    Args:
      problem: what is wrong, with the bad value in it.
      remedy: what the user can do, or which values are allowed. (Optional
        because ml_collections builds an error anew from its text alone.)
      path: the file concerned, if there is one.
    """
    self.problem, self.remedy, self.path = problem, remedy, path
    where = f"{printable(path)}: " if path is not None else ""
    advice = f" {remedy.rstrip('.')}." if remedy else ""
    super().__init__(_encodable(f"{where}{problem.rstrip('.')}.{advice}"))


def printable(text: str | os.PathLike) -> str:
  """Returns a text or path that can be written as UTF-8, in a single line.

  A file's name may be any bytes; Python keeps those that are not UTF-8 as
  surrogates, which no log, JSON file or table can take.
  """
  return "".join(
    repr(c)[1:-1] if c < " " or c == "\x7f" else c
    for c in _encodable(os.fspath(text))
  )


def _encodable(text: str) -> str:
  return text.encode("utf-8", "backslashreplace").decode()


def listed(
  names: Collection[str], limit: int = 10, *, by_name: bool = True
) -> str:
  """Returns "a, b, c and 37 more", sorted by name unless told otherwise."""
  shown = sorted(names)[:limit] if by_name else list(names)[:limit]
  more = len(names) - len(shown)
  return ", ".join(shown) + (f" and {more} more" if more else "")


_SPACE = "free some space there, or write to another place"
_OPEN = "raise the limit (`ulimit -n 4096`) and start again"
# {errno: (what happened, what to do)}; all others are said in the system's own
# words.
_OS_ERRORS = {
  errno.ENOSPC: ("no space is left on the disk", _SPACE),
  errno.EDQUOT: ("your share (quota) of the disk is used up", _SPACE),
  errno.EFBIG: ("the file is larger than may be written there", _SPACE),
  errno.ENAMETOOLONG: (
    "the name is longer than the file system takes",
    "give a shorter name, or a folder with a shorter path",
  ),
  errno.EACCES: (
    "permission denied",
    "let yourself read and write there (chmod), or take another place",
  ),
  errno.EPERM: (
    "the system does not permit this",
    "let yourself read and write there (chmod), or take another place",
  ),
  errno.EROFS: (
    "the file system is read-only",
    "write to another place, or mount it for writing",
  ),
  errno.EIO: (
    "the disk or the network failed (input/output error)",
    "look at the disk, copy what is on it, and start again",
  ),
  errno.ESTALE: (
    "the server has this file no more as it was (stale file handle)",
    "start again; if it stays so, mount the folder anew",
  ),
  errno.EMFILE: ("too many open files", _OPEN),
  errno.ENFILE: ("too many open files on this machine", _OPEN),
  errno.ENOENT: ("no such file or folder", "check the path"),
  errno.ENOTDIR: ("a file is where a folder should be", "check the path"),
  errno.EISDIR: ("a folder is where a file should be", "check the path"),
  errno.EEXIST: ("a file is in the way", "move it, or check the path"),
  errno.ELOOP: ("links that point at each other", "mend the links"),
  errno.ENOMEM: (
    "the memory is full",
    "end other programs, or work on a larger machine",
  ),
}
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_SMALLER = (
  "give a smaller config.training.batch_size or config.evaluation.batch_size, "
  "or end other programs"
)


def explain(error: BaseException) -> tuple[str, int] | None:
  """Returns (what to say, exit code) of an error that is no bug, else None."""
  if isinstance(error, InputError):
    return str(error), 2
  if isinstance(error, KeyboardInterrupt):
    text = "stopped; the same command goes on from the last checkpoint"
    return str(error) or text, getattr(error, "code", 130)
  if isinstance(error, OSError):
    return str(_of_the_system(error)), 2
  if isinstance(error, MemoryError) or _is_device_full(error):
    problem = f"the memory is full ({' '.join(str(error).split())[:200]})"
    return str(InputError(problem, _SMALLER)), 2
  return None


def _of_the_system(error: OSError) -> InputError:
  """Returns what an OSError means: the file, what happened, what to do."""
  name = error.filename if error.filename2 is None else error.filename2
  path = os.fsdecode(name) if isinstance(name, str | bytes) else None
  if error.errno is None:  # a library's own words
    text = " ".join(str(error).split()) or type(error).__name__
    return InputError(text, "check that the file is whole", path=path)
  words, remedy = _OS_ERRORS.get(
    error.errno,
    (error.strerror or str(error), "check that it is there and can be written"),
  )
  return InputError(words, remedy, path=path)


def _is_device_full(error: BaseException) -> bool:
  """Whether XLA found no memory (of a GPU, or of the machine)."""
  kinds = {kind.__name__ for kind in type(error).__mro__}
  ours = kinds & {"JaxRuntimeError", "XlaRuntimeError"}
  return bool(ours) and "RESOURCE_EXHAUSTED" in str(error)


def did_you_mean(value: str, allowed) -> str:
  """Returns "did you mean X? " for the nearest allowed value, or ""."""
  import difflib

  folded = {str(a).lower(): str(a) for a in allowed}
  near = difflib.get_close_matches(str(value).lower(), folded, n=1, cutoff=0.5)
  return f"did you mean {folded[near[0]]}? " if near else ""
