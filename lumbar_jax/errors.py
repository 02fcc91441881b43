"""The one error a user is meant to read: what, where, and what to do."""

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


def explain(error: BaseException) -> tuple[str, int] | None:
  """Returns (what to say, exit code) of an error that is no bug, else None."""
  if isinstance(error, InputError):
    return str(error), 2
  if isinstance(error, KeyboardInterrupt):
    text = "stopped; the same command goes on from the last checkpoint"
    return str(error) or text, getattr(error, "code", 130)
  if isinstance(error, OSError) and error.filename is not None:
    what = f"{error.filename}: {error.strerror}"
    return f"{what}. Check that it is there and can be written.", 2
  return None


def did_you_mean(value: str, allowed) -> str:
  """Returns "did you mean X? " for the nearest allowed value, or ""."""
  import difflib

  folded = {str(a).lower(): str(a) for a in allowed}
  near = difflib.get_close_matches(str(value).lower(), folded, n=1, cutoff=0.5)
  return f"did you mean {folded[near[0]]}? " if near else ""
