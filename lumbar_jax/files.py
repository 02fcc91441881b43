"""Files that are whole or absent: atomic writes, JSON, digests."""

import contextlib
import errno
import fnmatch
import hashlib
import json
import os
import shutil
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax.errors import InputError

# What a damaged .npz file makes numpy and zipfile raise.
ARRAY_ERRORS = (
  *(EOFError, LookupError, TypeError, ValueError, NotImplementedError),
  *(zipfile.BadZipFile, zlib.error, RuntimeError),
)


_NAME_MAX = 255  # bytes of a file's name, on nearly every file system


def _scratch(path: Path) -> Path:
  """Returns the name that a file has until it is whole."""
  place = f"{socket.gethostname()}-{os.getpid()}"  # the folder may be shared
  name = f".{place}-{path.name}"
  if len(os.fsencode(name)) > _NAME_MAX:
    name = f".{place}-{digest(path.name)}{''.join(path.suffixes[-2:])}"
  return path.with_name(name)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary file name that becomes `path` if the block succeeds.

  The temporary name keeps the suffixes of `path` (writers look at them), lies
  in the same folder (so that the rename is atomic) and is removed on failure.

  Raises:
    OSError: names `path`, also where a library's does not.
  """
  path = Path(path)
  scratch = _scratch(path)
  try:
    with naming(path, instead_of=scratch):
      path.parent.mkdir(parents=True, exist_ok=True)
      yield scratch
      os.replace(scratch, path)
  finally:
    with contextlib.suppress(OSError):  # else it would hide the error itself
      scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary folder that becomes `path` if the block succeeds.

  If `path` exists by then (another process was faster), that one is kept.

  Raises:
    OSError: names a file, also where a library's does not.
  """
  path = Path(path)
  with naming(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}-"
    if len(os.fsencode(prefix)) > _NAME_MAX - 8:
      prefix = f".{digest(path.name)}-"
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
  try:
    with naming(path):
      yield scratch
      scratch.chmod(0o755)
      _become(scratch, path)
  finally:
    shutil.rmtree(scratch, ignore_errors=True)


def _become(scratch: Path, path: Path) -> None:
  try:
    os.rename(scratch, path)
  except OSError:
    if not path.is_dir():
      raise


def remove_folder(path: str | os.PathLike) -> None:
  """Removes a folder in one step, so that nobody ever finds half of it.

  A process killed meanwhile leaves a hidden folder beside it at most.
  """
  path = Path(path)
  if not path.is_dir():
    return
  grave = Path(tempfile.mkdtemp(prefix=".removed-", dir=path.parent))
  try:
    path.rename(grave / "folder")
  except FileNotFoundError:
    pass  # another process was faster
  finally:
    shutil.rmtree(grave, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str) -> None:
  r"""Writes UTF-8 text atomically; bytes of names that are none become \xNN."""
  with atomic_path(path) as scratch:
    scratch.write_text(text, encoding="utf-8", errors="backslashreplace")


def copy_file(source: str | os.PathLike, path: str | os.PathLike) -> None:
  """Copies a file atomically."""
  with atomic_path(path) as scratch:
    shutil.copyfile(source, scratch)


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes JSON atomically, with sorted keys so that equal is byte-equal."""
  write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


RESTORE = "restore the file from a copy"


def read_json(
  path: str | os.PathLike,
  fields: Iterable[str] | None = None,
  remedy: str = RESTORE,
) -> Any:
  """Reads a JSON file.

  Args:
    path: the file.
    fields: that it has to have, as an object; None: any value will do.
    remedy: what the user can do if it is damaged.

  Raises:
    InputError: not JSON, or without those fields.
    OSError: it cannot be read.
  """
  with naming(path):
    content = Path(path).read_bytes()
  try:
    value = json.loads(content.decode("utf-8-sig"))
    if fields is None:
      return value
    if not isinstance(value, dict):
      raise ValueError(f"an object was expected, not {type(value).__name__}")
    missing = [name for name in fields if name not in value]
    if missing:
      raise ValueError(f"it has no {', '.join(missing)}")
  except (ValueError, RecursionError) as error:
    raise InputError(
      f"the file is damaged ({error})", remedy, path=path
    ) from None
  return value


def read_arrays(
  path: str | os.PathLike, *names: str, remedy: str
) -> list[np.ndarray]:
  """Reads arrays of an .npz file (no pickles); zip's checksums are compared.

  Args:
    path: the file.
    names: of the arrays.
    remedy: what the user can do if it is damaged.

  Raises:
    InputError: not such a file, a damaged one, or without those arrays.
    OSError: it cannot be read.
  """
  try:
    with naming(path), np.load(path, allow_pickle=False) as file:
      return [file[name] for name in names]
  except (OSError, *ARRAY_ERRORS) as error:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
      raise  # the disk's fault, not the content's
    raise InputError(
      f"the file is damaged ({type(error).__name__}: {error})",
      remedy,
      path=path,
    ) from None


@contextlib.contextmanager
def naming(
  path: str | os.PathLike, instead_of: Path | None = None
) -> Iterator[None]:
  """Gives the block's OSErrors a file's name, where they have none.

  A call on an open file does not know what the file is called; the user has to.

  Args:
    path: the name.
    instead_of: a name that nobody should see.
  """
  try:
    yield
  except OSError as error:
    unknown = error.filename is None and error.errno is not None
    if unknown or str(error.filename) == str(instead_of):
      error.filename = os.fspath(path)
      error.filename2 = None
    raise


def walk(
  folder: str | os.PathLike,
  on_error: Callable[[OSError], None] | None = None,
  on_folder: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
  """Yields the files below a folder, by name, folder by folder.

  Links to folders are followed (data sets are often trees of links), but not
  into a folder that the link itself lies in. Links to nothing are files too.
  Folders whose names begin with a dot are left out.

  Args:
    folder: where to look.
    on_error: called with the error of a folder that cannot be read.
    on_folder: called with each folder below it.
  """

  def ignore(_) -> None:
    pass

  yield from _walk(Path(folder), (), on_error or ignore, on_folder or ignore)


def _walk(
  folder: Path, above: tuple[str, ...], on_error, on_folder
) -> Iterator[Path]:
  real = os.path.realpath(folder)
  if real in above:
    return
  try:
    with os.scandir(folder) as entries:
      entries = sorted(entries, key=lambda entry: entry.name)
  except OSError as error:
    on_error(error)
    return
  folders = []
  for entry in entries:
    if not _is_folder(entry):
      yield folder / entry.name
    elif not entry.name.startswith("."):
      folders.append(folder / entry.name)
  for path in folders:
    on_folder(path)
    yield from _walk(path, (*above, real), on_error, on_folder)


def _is_folder(entry: os.DirEntry) -> bool:
  try:
    return entry.is_dir()
  except OSError:  # a loop of links, or a disk that is gone
    return False


def find_files(folder: str | os.PathLike, pattern: str) -> list[Path]:
  """Returns the files below a folder whose names match in any case, sorted.

  Links are followed as by `walk`.
  """
  pattern = pattern.lower()
  return sorted(
    path
    for path in walk(folder)
    if fnmatch.fnmatchcase(path.name.lower(), pattern) and path.is_file()
  )


def digest(*values: Any) -> str:
  """Returns 16 hex digits that identify JSON-able values."""
  text = json.dumps(values, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: str | os.PathLike) -> str:
  """Returns 16 hex digits of a file's content."""
  with naming(path), open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()[:16]
