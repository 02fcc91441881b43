"""Locks that are not there, or that a killed process has left."""

import errno
import fcntl
import os
from unittest import mock

from corpus.entry import Family, flagged, read
from lumbar_jax import locks

LOCKS = Family("locks", commands=())


def _without_locks(w):
  def refuse(*_, **__):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

  for name in ("lockf", "flock"):
    w.around.append(lambda n=name: mock.patch.object(fcntl, n, refuse))

  def lock(run):
    with locks.locked(run.folder):
      pass

  w.then.append(lock)


LOCKS.add(
  "none",
  "a file system that has no locks",
  _without_locks,
  flagged("lock"),
  predict=flagged("lock"),
  training=flagged("lock"),
)


def _left_over(w):
  for folder in (w.output, w.workdir):
    folder.mkdir()
    (folder / ".claims").write_bytes(b"")
    (folder / ".lock").write_text("")
  _without = locks.locked

  def lock(run):
    with _without(run.folder):
      pass

  w.then.append(lock)


LOCKS.add(
  "left_over",
  "locks that a killed process has left",
  _left_over,
  read,
  predict=read,
  training=read,
)
