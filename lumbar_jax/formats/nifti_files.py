"""The bytes of NIfTI files: one file or a pair, compressed or not.

What a file is, its content tells and not its name. Nothing is allocated for
what a header promises before the file is known to hold it.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lumbar_jax.errors import InputError

HEAD_BYTES = 544  # a header of NIfTI-2 with its extension flag
_TWIN = {".hdr": ".img", ".img": ".hdr"}  # a header and its voxels
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
_BLOCK = 1 << 18
_LARGEST_RATIO = 1032  # of deflate; more cannot come out of a .gz
DAMAGED = "the file is damaged or cut short: copy it again"
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
_FOREIGN = (
  (0, b"version https://git-lfs", "a pointer of git-lfs: content not fetched"),
  (0, b"/annex/objects", "a pointer of git-annex: content not fetched"),
  (128, b"DICM", "a DICOM file"),
  (0, b"NRRD", "an NRRD file"),
  (0, b"PK", "a zip archive"),
  (0, b"\x89PNG", "a PNG picture"),
  (0, b"<", "a page of HTML or XML"),
)


def reason(error: Exception, path: Path) -> str:
  """Returns what a library said, without the path that we say ourselves."""
  said = getattr(error, "strerror", None) or str(error) or type(error).__name__
  return said.replace(str(path), "it").strip()[:120]


def volume_files(path: str | os.PathLike) -> list[Path]:
  """Returns all files that hold a volume: one, or a header and its voxels.

  Args:
    path: the volume; either file of a pair (`.hdr` and `.img`, in any case,
      compressed or not).
  """
  path = Path(path)
  gz = path.suffix if path.suffix.lower() == ".gz" else ""
  stem, suffix = os.path.splitext(path.name.removesuffix(gz))
  twin = _TWIN.get(suffix.lower())
  if twin is None:
    return [path]
  twin = twin.upper() if suffix.isupper() else twin
  other = path.with_name(stem + twin + gz)
  if not other.is_file():  # another mixture of cases
    wanted = other.name.lower()
    others = [p for p in path.parent.iterdir() if p.name.lower() == wanted]
    other = min(others, default=None)
  both = [path, other] if other else [path]
  return sorted(both, key=lambda p: p.name.lower())  # the header first


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
  """Opens a file for reading, unpacked if its content is packed."""
  with open(path, "rb") as file:
    start = file.read(2)
    file.seek(0)
    if start not in _OPENERS:
      yield file
      return
    with _OPENERS[start](file) as unpacked:
      yield unpacked


def read_head(path: Path) -> bytes:
  """Returns the first bytes of a file, unpacked.

  Raises:
    InputError: no such file, or one that cannot be read.
  """
  if path.is_symlink() and not path.exists():
    raise InputError(
      f"a link to {os.readlink(path)}, which is not there: content not fetched",
      "fetch it, for example with git annex get, or copy the file itself",
      path=path,
    )
  if not path.is_file():
    raise InputError("no such file", "check the path", path=path)
  try:
    with opened(path) as file:
      return file.read(HEAD_BYTES)
  except PermissionError as error:
    raise InputError(
      f"it cannot be read ({error.strerror})",
      "give yourself the right to read it",
      path=path,
    ) from None
  except READ_ERRORS as error:
    raise not_nifti(reason(error, path), path) from None


def not_nifti(why: str, path: Path, head: bytes = b"") -> InputError:
  """Returns the error for a file that is no NIfTI file.

  Args:
    why: what is missing.
    path: the file.
    head: its first bytes, which may tell what it is instead.
  """
  for place, mark, kind in _FOREIGN:
    if head[place:].startswith(mark):
      why = kind
  return InputError(
    f"not a readable NIfTI file ({why})",
    "convert the study to NIfTI (.nii or .nii.gz), or copy it again",
    path=path,
  )


def held_bytes(path: Path, needed: int) -> int:
  """Returns how many bytes a file holds, unpacked; reads it to its checksum.

  Args:
    path: the file.
    needed: bytes that its header promises.

  Raises:
    InputError: fewer than needed, or a damaged file.
  """
  held = os.stat(path).st_size
  try:
    with open(path, "rb") as file:
      start = file.read(2)
    if start in _OPENERS:
      most = held * _LARGEST_RATIO if start == b"\x1f\x8b" else needed
      held = most if most < needed else _unpacked_bytes(path)
  except READ_ERRORS as error:
    raise InputError(
      f"its voxels cannot be read ({reason(error, path)})", DAMAGED, path=path
    ) from None
  if held < needed:
    raise InputError(
      f"its voxels cannot be read: its header promises {needed} bytes, and the "
      f"file holds {held} at most",
      DAMAGED,
      path=path,
    )
  return held


def _unpacked_bytes(path: Path) -> int:
  total = 0
  with opened(path) as file:
    while block := file.read(_BLOCK):
      total += len(block)
  return total
