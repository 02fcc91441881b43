"""Prepared studies on disk: one folder each, whole or absent.

A folder holds `NAME.npy` files, to be memory-mapped, and `info.json`, which
also carries the folder's name and the checksums of each array and of itself. An
entry that is incomplete, damaged or another one's is treated as missing.
"""

import errno
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.files import (
  atomic_folder,
  digest,
  read_json,
  remove_folder,
  write_json,
)

Entry = tuple[dict[str, np.ndarray], dict[str, Any]]
_MISSING = {None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL}
_ATTEMPTS = 5  # two processes may mend the same damaged entry


def _checksum(array: np.ndarray) -> str:
  """Returns the checksum of type, shape and content."""
  start = zlib.crc32(f"{array.dtype.str} {array.shape}".encode())
  content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
  return f"{zlib.crc32(content, start):08x}"


def write(folder: Path, arrays: Mapping[str, np.ndarray], info: dict) -> None:
  """Writes an entry atomically; one that exists by then is kept."""
  sums = {name: _checksum(array) for name, array in arrays.items()}
  with atomic_folder(folder) as scratch:
    for name, array in arrays.items():
      np.save(scratch / f"{name}.npy", array)
    write_json(scratch / "info.json", _record(folder, sums, info))


def _record(
  folder: Path, sums: Mapping[str, str], info: dict[str, Any]
) -> dict[str, Any]:
  info = json.loads(json.dumps(info))  # as it will be read
  return {
    "entry": folder.name,
    "checksums": dict(sums),
    "info": info,
    "info_checksum": digest(info),
  }


def read(folder: Path) -> Entry | None:
  """Returns ({name: read-only memory map}, info), or None if unusable."""
  if not folder.is_dir():
    return None
  try:
    record = read_json(folder / "info.json", ("checksums", "info"))
    arrays = {
      name: np.load(folder / f"{name}.npy", mmap_mode="r")
      for name in record["checksums"]
    }
    for name, array in arrays.items():
      if _checksum(array) != record["checksums"][name]:
        raise ValueError(f"{name}.npy does not match its checksum")
    if record.get("entry", folder.name) != folder.name:  # older: none
      raise ValueError(f"its files are of {record['entry']}")
    # Older entries have no checksum of their info.
    if record.get("info_checksum") not in (None, digest(record["info"])):
      raise ValueError("info.json does not match its checksum")
    return arrays, record["info"]
  except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
    if isinstance(error, OSError) and error.errno not in _MISSING:
      raise  # the disk's fault: a whole entry is not thrown away for that
    logging.warning("%s is damaged (%s), making it again", folder, error)
    return None


def fetch(
  folder: Path,
  make: Callable[[], tuple[Mapping[str, np.ndarray], dict[str, Any]]],
  renew: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda info: info,
) -> Entry:
  """Returns an entry, made first where it is missing or damaged.

  Safe with several processes at once: the worst that can happen is that an
  entry is made twice.

  Args:
    folder: of the entry.
    make: makes its arrays and info.
    renew: from an entry's info to what it should be now; None: the entry has to
      be made again.

  Raises:
    OSError: the folder cannot be written (or something keeps damaging it).
  """
  made = None
  for _ in range(_ATTEMPTS):
    entry = read(folder)
    if entry is not None:
      info = renew(entry[1])
      if info is not None:
        _write_info(folder, entry[1], info)
        return entry[0], info
    remove_folder(folder)
    made = made or make()
    write(folder, *made)
  raise OSError(f"{folder}: written {_ATTEMPTS} times and still unreadable")


def _write_info(folder: Path, old: dict[str, Any], info: dict[str, Any]):
  """Keeps an entry's new info; where it cannot, it is made again next time."""
  if info == old:
    return
  path = folder / "info.json"
  try:
    write_json(path, _record(folder, read_json(path)["checksums"], info))
  except (OSError, ValueError) as error:
    logging.debug("%s is left as it is (%s)", path, error)
