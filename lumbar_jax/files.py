"""Files that are whole or absent: atomic writes, JSON, digests."""

import contextlib
import fnmatch
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary file name that becomes `path` if the block succeeds.

  The temporary name keeps the suffixes of `path` (writers look at them), lies
  in the same folder (so that the rename is atomic) and is removed on failure.
  """
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  place = f"{socket.gethostname()}-{os.getpid()}"  # the folder may be shared
  scratch = path.with_name(f".{place}-{path.name}")
  try:
    yield scratch
    os.replace(scratch, path)
  finally:
    scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary folder that becomes `path` if the block succeeds.

  If `path` exists by then (another process was faster), that one is kept.
  """
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
  try:
    yield scratch
    scratch.chmod(0o755)
    try:
      os.rename(scratch, path)
    except OSError:
      if not path.is_dir():
        raise
  finally:
    shutil.rmtree(scratch, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes UTF-8 text atomically."""
  with atomic_path(path) as scratch:
    scratch.write_text(text, encoding="utf-8")


def copy_file(source: str | os.PathLike, path: str | os.PathLike) -> None:
  """Copies a file atomically."""
  with atomic_path(path) as scratch:
    shutil.copyfile(source, scratch)


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes JSON atomically, with sorted keys so that equal is byte-equal."""
  write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike) -> Any:
  """Reads a JSON file."""
  return json.loads(Path(path).read_text(encoding="utf-8"))


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Gives the block's OSErrors a file's name, where they have none.

  A call on an open file does not know what the file is called; the user has to.
  """
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      error.filename = os.fspath(path)
    raise


def find_files(folder: str | os.PathLike, pattern: str) -> list[Path]:
  """Returns the files below a folder whose names match, sorted.

  Links to folders are followed (data sets are often trees of links), each
  folder once, so that a loop of links ends.
  """
  found, seen = [], set()
  for place, folders, names in os.walk(folder, followlinks=True):
    real = os.path.realpath(place)
    if real in seen:
      folders.clear()
      continue
    seen.add(real)
    found += [Path(place, n) for n in fnmatch.filter(names, pattern)]
  return sorted(path for path in found if path.is_file())


def digest(*values: Any) -> str:
  """Returns 16 hex digits that identify JSON-able values."""
  text = json.dumps(values, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: str | os.PathLike) -> str:
  """Returns 16 hex digits of a file's content."""
  with naming(path), open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()[:16]
