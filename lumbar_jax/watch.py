"""Notices within a bounded time that a process of a distributed run is gone.

Each process shows every few seconds that it lives, in the coordinator's store;
one that fails leaves its reason there. A process that vanishes (killed, out of
memory, its machine lost) says nothing: the others see its signs of life stop,
or their common computation breaks, and end with a message that names it.

JAX's own runtime does less: where the coordinator (process 0) vanishes it ends
the other processes itself, at once and with its own words; where another one
does, they may wait in a collective operation until it has missed 100 s of
heartbeats. A small shell that outlives the process adds what to do about it.
"""

import json
import os
import socket
import subprocess
import threading
import time
from typing import Any

from absl import logging

BEAT_S = 2.0  # between two signs of life
LOST_S = 90.0  # without one, while nothing else is wrong
GRACE_S = 8.0  # without one, once something is

_ROOT = "lumbar_jax/"
_ADVICE = (
  "Start all processes again with the same command: training goes on from the "
  "last checkpoint, and what was predicted stays"
)


def _name(index: int, place: str) -> str:
  main = ", the coordinator," if index == 0 else ""
  return f"process {index}{main} ({place})"


class Watch:
  """Shows that this process lives, and looks after the others."""

  def __init__(self, client: Any, index: int, count: int):
    """Starts watching.

    Args:
      client: JAX's connection to the coordinator.
      index: of this process.
      count: of processes.
    """
    self._client, self._index, self._count = client, index, count
    self._place = f"{socket.gethostname()}, pid {os.getpid()}"
    self._stopped = threading.Event()
    self._seen: dict[int, tuple[str, float]] = {}  # beat, when it was new
    self._places: dict[int, str] = {}
    self._guard = start_guard(
      f"{_name(index, self._place)} of {count} ended without a word: it was "
      "killed, or process 0 vanished and JAX ended it (its lines above would "
      f"say so). {_ADVICE}."
    )
    self._client.key_value_set(f"{_ROOT}place/{index}", self._place)
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def stop(self) -> None:
    """Stops watching: all is well."""
    self._stopped.set()
    self._thread.join()
    dismiss(self._guard)

  def publish(self, text: str, code: int) -> None:
    """Tells the others why this process ends, and gives them time to read."""
    self._stopped.set()
    dismiss(self._guard)
    value = json.dumps({"text": text, "code": code})
    try:
      self._client.key_value_set(f"{_ROOT}failed/{self._index}", value)
    except (RuntimeError, ValueError):  # the coordinator is gone, or it is told
      return
    if self._index == 0:  # the store ends with this process
      time.sleep(2 * BEAT_S)

  def find_culprit(self) -> str | None:
    """Returns who broke the common work, or None if nobody else did.

    Takes up to `GRACE_S`.
    """
    start = time.monotonic()
    while time.monotonic() - start < GRACE_S:
      try:
        failed = self._look()
      except (RuntimeError, ValueError):
        return self._vanished(0)
      if failed is not None:
        return failed[0]
      time.sleep(BEAT_S / 4)
    lost = self._lost(GRACE_S - BEAT_S)
    return self._vanished(lost[0]) if lost else None

  def _run(self) -> None:
    """Beats and looks until something is wrong or `stop` is called."""
    beat = 0
    while not self._stopped.wait(BEAT_S):
      beat += 1
      try:
        key = f"{_ROOT}beat/{self._index}"
        self._client.key_value_set(key, str(beat), True)
        failed = self._look()
      except (RuntimeError, ValueError) as error:
        logging.warning("the coordinator does not answer: %s", error)
        continue  # JAX ends this process if it is gone
      lost = self._lost(LOST_S)
      if failed is None and lost:
        failed = self._vanished(lost[0]), 1
      if failed is not None and not self._stopped.is_set():
        self._end(*failed)

  def _end(self, text: str, code: int) -> None:
    logging.error("%s", text)
    logging.flush()
    dismiss(self._guard)
    os._exit(code)

  def _look(self) -> tuple[str, int] | None:
    """Reads the store; returns another process' (reason, exit code)."""
    now, failed = time.monotonic(), None
    for key, value in self._client.key_value_dir_get(_ROOT):
      kind, number = key.removeprefix(_ROOT).split("/")
      number = int(number)
      if kind == "place":
        self._places[number] = value
        self._seen.setdefault(number, ("", now))
      elif kind == "beat" and self._seen.get(number, ("",))[0] != value:
        self._seen[number] = (value, now)
      elif kind == "failed" and number != self._index:
        content = json.loads(value)
        name = _name(number, self._places.get(number, "?"))
        failed = f"{name} ended: {content['text']}", content["code"]
    return failed

  def _lost(self, limit_s: float) -> list[int]:
    """Returns the processes without a sign of life for a while."""
    now = time.monotonic()
    return sorted(
      number
      for number, (_, when) in self._seen.items()
      if number != self._index and now - when > limit_s
    )

  def _vanished(self, number: int) -> str:
    place = self._places.get(number, "?")
    return (
      f"{_name(number, place)} of {self._count} has vanished: killed, out of "
      f"memory, or its machine lost. {_ADVICE}."
    )


def start_guard(text: str) -> subprocess.Popen:
  """Starts a shell that says `text` if this process ends before `dismiss`."""
  return subprocess.Popen(
    ["/bin/sh", "-c", 'read line || printf "%s\\n" "$0" >&2', text],
    stdin=subprocess.PIPE,
    start_new_session=True,
  )


def dismiss(guard: subprocess.Popen) -> None:
  """Sends the shell home in silence."""
  try:
    guard.communicate(b"done\n", timeout=5)
  except (OSError, ValueError, subprocess.TimeoutExpired):
    guard.kill()
