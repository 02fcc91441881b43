"""Logs of what nobody expected: the traceback, the versions, the command.

The console gets one line; whoever mends the fault needs the rest.
"""

import datetime
import shlex
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from lumbar_jax import errors, installed

_folders: tuple[Path, ...] = ()


def log_to(*folders: Path | None) -> None:
  """Says where logs go: into the first of these that is there and takes it.

  Where none does, they go to the system's folder for temporary files.
  """
  global _folders
  _folders = tuple(folder for folder in folders if folder is not None)


def watch_threads() -> None:
  """Lets threads (a library's, that nobody waits for) say their errors so."""
  threading.excepthook = _end_of_thread


def _end_of_thread(args: threading.ExceptHookArgs) -> None:
  if args.exc_value is None or isinstance(args.exc_value, SystemExit):
    return
  name = args.thread.name if args.thread is not None else "a thread"
  known = errors.explain(args.exc_value)
  logging.error("%s", known[0] if known else report(args.exc_value, name))


def report(error: BaseException, what: str = "") -> str:
  """Writes an error's log and returns the line for the console.

  Args:
    error: which no `errors.explain` explains.
    what: failed, such as "study sub-1"; it stands in the log only.
  """
  text = summary(error)
  path = write_log(error, what)
  if path is None:  # then at least here
    return f"{text}\n{_traceback(error)}"
  return f"{text} (not foreseen: the traceback is in {path})"


def summary(error: BaseException) -> str:
  """Returns an error's type and text in one line."""
  words = " ".join(str(error).split())[:300]
  return f"{type(error).__name__}: {words}" if words else type(error).__name__


def write_log(
  error: BaseException, what: str = "", folders: Sequence[Path] | None = None
) -> Path | None:
  """Writes `crash-YYYYMMDD-HHMMSS.log`; returns its path, None if nothing can.

  Args:
    error: with its traceback.
    what: failed.
    folders: instead of those of `log_to`.
  """
  now = datetime.datetime.now()
  content = "\n".join(
    [
      f"time:     {now.isoformat(' ', 'seconds')}",
      f"command:  {shlex.join(sys.argv)}",
      f"failed:   {what or 'the command'}",
      "",
      _versions(),
      "",
      _traceback(error),
    ]
  )
  known = _folders if folders is None else folders
  for folder in (*known, Path(tempfile.gettempdir())):
    if folder.is_dir():
      path = _write(folder, f"crash-{now:%Y%m%d-%H%M%S}", content)
      if path is not None:
        return path
  return None


def _write(folder: Path, stem: str, content: str) -> Path | None:
  """Writes a log under a name that is free."""
  for number in range(100):
    path = folder / (f"{stem}-{number}.log" if number else f"{stem}.log")
    try:
      with open(path, "x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(content)
      return path.absolute()
    except FileExistsError:
      continue  # another process' or another study's of the same second
    except OSError:
      path.unlink(missing_ok=True)
      return None
  return None


def _versions() -> str:
  try:
    return installed.versions()
  except Exception as error:  # nothing here may hide what went wrong first
    return f"versions unknown ({summary(error)})"


def _traceback(error: BaseException) -> str:
  return "".join(traceback.format_exception(error))
