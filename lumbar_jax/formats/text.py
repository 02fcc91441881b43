"""Text files of unknown encoding, and files that are no text at all."""

import codecs
import os
import stat
from pathlib import Path

from lumbar_jax.errors import InputError

MAX_BYTES = 16 << 20  # a table of ten thousand studies is smaller
_SAVE = "save it as UTF-8 text, with tabs between the cells"

_MARKS = (  # UTF-32's begins with UTF-16's
  (codecs.BOM_UTF8, "utf-8-sig"),
  (codecs.BOM_UTF32_LE, "utf-32"),
  (codecs.BOM_UTF32_BE, "utf-32"),
  (codecs.BOM_UTF16_LE, "utf-16"),
  (codecs.BOM_UTF16_BE, "utf-16"),
)
_KINDS = (  # place in the file, what stands there, what the file is
  (0, b"PK\x03\x04", "a spreadsheet (.xlsx, .ods) or zip archive"),
  (0, b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls)"),
  (0, b"\x1f\x8b", "a packed file (.gz)"),
  (0, b"%PDF", "a PDF"),
  (0, b"\x89PNG", "a PNG picture"),
  (128, b"DICM", "a DICOM file"),
  (344, b"n+1\0", "a NIfTI image"),
  (344, b"ni1\0", "a NIfTI header"),
)


def read(path: str | Path) -> tuple[str, list[str]]:
  """Reads a text file that a user wrote.

  Returns:
    The text without a byte order mark, and notes on how it was read.

  Raises:
    InputError: no file, one that cannot be read, one that is no text, or one
      of more than `MAX_BYTES`.
  """
  raw = _bytes(path)
  for place, magic, kind in _KINDS:
    if raw[place : place + len(magic)] == magic:
      raise InputError(f"not a text table but {kind}", _SAVE, path=path)
  content, notes = _decoded(raw, path)
  content = content.rstrip("\x1a\0")  # ends of files on old systems
  odd = next((c for c in content if c < " " and c not in "\t\r\n"), None)
  if odd is not None:
    line = content[: content.index(odd)].count("\n") + 1
    raise InputError(
      f"not a text table (character {ord(odd):#04x} in line {line})",
      _SAVE,
      path=path,
    )
  return content, notes


def _bytes(path: str | Path) -> bytes:
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
      raise InputError("not a file", "give a text table", path=path)
    with open(path, "rb") as file:
      raw = file.read(MAX_BYTES + 1)
  except OSError as error:
    raise InputError(
      f"cannot be read ({error.strerror})",
      "check that it is there and that you may read it",
      path=path,
    ) from None
  if len(raw) > MAX_BYTES:
    raise InputError(
      f"a table of more than {MAX_BYTES >> 20} MiB",
      "check that this is the right file, or divide it",
      path=path,
    )
  return raw


def _decoded(raw: bytes, path: str | Path) -> tuple[str, list[str]]:
  """Returns the text and notes; the encoding is told by the bytes."""
  encoding = next((e for mark, e in _MARKS if raw.startswith(mark)), None)
  if encoding is None:
    encoding = _wide(raw) or "utf-8"
  try:
    content = raw.decode(encoding)
  except UnicodeDecodeError as error:
    if encoding != "utf-8":
      raise InputError(
        f"not a text table ({error})", _SAVE, path=path
      ) from None
    note = "it is not UTF-8: read as Windows-1252 (Latin-1), check its accents"
    try:
      return raw.decode("cp1252"), [note]
    except UnicodeDecodeError:
      return raw.decode("latin-1"), [note]
  note = f"its encoding is {encoding.upper()}"
  return content, [] if encoding.startswith("utf-8") else [note]


def _wide(raw: bytes) -> str | None:
  """Returns UTF-16's name where every other byte is 0, as of plain letters."""
  half = len(raw) // 2
  even, odd = raw[0::2].count(0), raw[1::2].count(0)
  if odd > 0.7 * half and even < 0.1 * half:
    return "utf-16-le"
  if even > 0.7 * half and odd < 0.1 * half:
    return "utf-16-be"
  return None
