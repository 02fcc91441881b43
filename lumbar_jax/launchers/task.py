"""What a submitted job does: it runs commands and passes on the wish to stop.

Needs nothing but Python's own library, since it is unpickled on other machines
before anything else is there.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STOPPED = 128 + signal.SIGTERM  # a command's exit code after SIGTERM
_GRACE_S = 75  # of the 90 s between the scheduler's signal and the end


class Task:
  """Runs named commands one after the other; each can be run again."""

  def __init__(
    self, commands: list[tuple[str, list[str]]], records: str, place: str
  ):
    """Plans a job.

    Args:
      commands: (name, command line) of each.
      records: folder of what became of them, see `record_path`.
      place: the working folder.
    """
    self.commands, self.records, self.place = commands, records, place
    self._process: subprocess.Popen | None = None
    self._started = 0

  def __call__(self) -> None:
    """Runs the commands; one that fails does not keep the others from it.

    Raises:
      RuntimeError: some failed; their names.
    """
    failed = []
    for number, (name, command) in enumerate(self.commands):
      self._started = number
      code = self._run(name, command)
      if code == STOPPED:  # the scheduler's own signal; it starts this again
        sys.exit(STOPPED)
      if code:
        failed.append(f"{name} (exit code {code})")
    if failed:
      raise RuntimeError(f"failed: {', '.join(failed)}")

  def _run(self, name: str, command: list[str]) -> int:
    print("+", " ".join(command), flush=True)  # noqa: T201
    self._record(name, None)
    self._process = subprocess.Popen(command, cwd=self.place)
    code = self._process.wait()
    self._process = None
    self._record(name, code)
    return code

  def _record(self, name: str, code: int | None) -> None:
    path = record_path(self.records, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{os.getpid()}-{path.name}")
    content = {
      "code": code,
      "host": socket.gethostname(),
      "pid": os.getpid(),
      "time": time.time(),
    }
    scratch.write_text(json.dumps(content))
    os.replace(scratch, path)

  def checkpoint(self):
    """Stops the running command and asks for what is left to be run again.

    submitit calls it when the time is nearly up, or another job has precedence.
    """
    import submitit

    if self._process is not None:
      with contextlib.suppress(ProcessLookupError, ChildProcessError):
        _stop(self._process.pid)  # (it may just have ended)
    left = Task(self.commands[self._started :], self.records, self.place)
    return submitit.helpers.DelayedSubmission(left)


def _stop(pid: int) -> None:
  """Lets a child save its state and end; kills one that takes too long.

  Not by `Popen.wait`, which the signal has interrupted and which holds a lock.
  """
  os.kill(pid, signal.SIGTERM)
  end = time.monotonic() + _GRACE_S
  flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
  while os.waitid(os.P_PID, pid, flags) is None:
    if time.monotonic() > end:
      os.kill(pid, signal.SIGKILL)  # it goes on from an older checkpoint
      return
    time.sleep(0.1)


def record_path(records: str | Path, name: str) -> Path:
  """Returns the file that says what became of a command."""
  return Path(records) / f"{name.replace('/', '__')}.json"
