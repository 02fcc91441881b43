"""What a disk has left, and whether a folder can be written: asked first.

Hours of work whose results find no room help nobody.
"""

import os
import shutil
import tempfile
from pathlib import Path

from lumbar_jax.errors import InputError
from lumbar_jax.files import naming

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def check_writable(folder: str | os.PathLike) -> None:
  """Makes a folder and writes a small file into it, which goes again.

  Raises:
    OSError: neither rights nor free space can be told otherwise; it names the
      folder.
  """
  folder = Path(folder)
  with naming(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
      file.write(bytes(4096))
      file.flush()


def free_bytes(path: str | os.PathLike) -> int | None:
  """Returns what may still be written at a path; None where nobody knows.

  Args:
    path: a folder, which need not be there yet.
  """
  place = Path(os.path.abspath(path))
  for folder in (place, *place.parents):
    if folder.is_dir():
      try:
        usage = shutil.disk_usage(folder)
      except OSError:
        return None
      return usage.free if usage.total else None
  return None


def human(size: float) -> str:
  """Returns a number of bytes as a person says it, such as "1.4 GB"."""
  for unit in _UNITS:
    if size < 1000 or unit == _UNITS[-1]:
      break
    size /= 1000
  return f"{size:.3g} {unit}"


def check_free(
  path: str | os.PathLike, needed: float, what: str, remedy: str
) -> None:
  """Raises InputError if less is free than is needed.

  Args:
    path: the folder that will be written to.
    needed: bytes.
    what: needs them.
    remedy: besides freeing some space.
  """
  free = free_bytes(path)
  if free is not None and free < needed:
    raise InputError(
      f"{what} needs about {human(needed)}, but only {human(free)} are free",
      f"free some space there, or {remedy}",
      path=path,
    )
