"""What the name and the first bytes of a file say about it."""

import os
import re
import zlib
from pathlib import Path

NIFTI = (".nii.gz", ".nii")
_PAIR = (".img", ".hdr")  # voxels and header, each a file of its own
_HEADER_BYTES = 348  # of NIfTI-1
_PACKED_BYTES = 4096  # hold a packed header
_POINTER_BYTES = 1024  # what stands for content elsewhere is a line or three

_WORD = (
  r"(?i:d?segs?|probseg|segm|segmented|segmentations?|label(?:s|maps?)?|masks?"
  r"|pred|predictions?|ground-?truth)"
)
# `p1_T2w_seg-manual`, `mask_case1`, `p1_labels-disc`, `p1_maskL5`, `masks01`;
# not `Segovia` or `SEGOVIA`
_MASK = re.compile(
  _WORD + r"(?:[0-9-].*|(?<=[a-z])[A-Z].*|[A-Za-z][0-9]+(?:-.*)?)?"
)
_MASK_ENDS = re.compile(
  r".*-(?:d?segs?|probseg|segmentations?|label(?:s|maps?)?|masks?)",
  re.IGNORECASE,
)
_FIRST_NO_MASK = re.compile(r"pred.*", re.IGNORECASE)
# Words that may be part of a patient's name too count at the end alone.
_MASK_AT_END = re.compile(
  r"(?!sub-[^_]*$).*[_. -](?:gt|msk|rois?|annot(?:ation|ations|ated)?|manual"
  r"|(?:ground[_ -]?)?truth)[_-]?[0-9]*",
  re.IGNORECASE | re.DOTALL,
)

_OTHER = {
  ".dcm": "DICOM",
  ".ima": "DICOM",
  ".mha": "MetaImage",
  ".mhd": "MetaImage",
  ".nrrd": "NRRD",
  ".nhdr": "NRRD",
  ".mgz": "FreeSurfer",
  ".mgh": "FreeSurfer",
  ".mnc": "MINC",
  ".par": "Philips PAR/REC",
  ".tif": "TIFF",
  ".tiff": "TIFF",
  ".zip": "a zip archive",
  ".7z": "a 7z archive",
  ".rar": "a rar archive",
  ".tar": "a tar archive",
  ".tgz": "a tar archive",
  ".img.gz": "a packed pair",
  ".hdr.gz": "a packed pair",
  ".nii.bz2": "packed otherwise than by gzip",
  ".nii.xz": "packed otherwise than by gzip",
  ".nii.zst": "packed otherwise than by gzip",
  ".nii.zip": "a zip archive",
  ".gz": "packed, but no .nii.gz",
}
_NO_IMAGES = (
  *(".json", ".tsv", ".csv", ".txt", ".md", ".bval", ".bvec", ".png"),
  *(".jpg", ".jpeg", ".svg", ".html", ".pdf", ".log", ".yaml", ".yml"),
  *(".md5", ".sha1", ".sha256", ".sha512", ".xlsx", ".docx", ".py", ".sh"),
  *(".tsv.gz", ".json.gz", ".csv.gz", ".txt.gz"),
)


def is_nifti(path: str | Path) -> bool:
  """Whether a name ends in .nii or .nii.gz, whatever the case."""
  return os.path.basename(path).lower().endswith(NIFTI)


def is_image(path: str | Path) -> bool:
  """Whether a name is that of a NIfTI volume: of one file, or a pair's .img.

  A pair is called by its .img; the .hdr has to lie beside it.
  """
  path = Path(path)
  return is_nifti(path) or (
    path.suffix.lower() == ".img" and twin_of(path) is not None
  )


def twin_of(path: Path) -> Path | None:
  """Returns the other file of an .img and .hdr pair, whatever the case."""
  if path.suffix.lower() not in _PAIR:
    return None
  wanted = ".hdr" if path.suffix.lower() == ".img" else ".img"
  for suffix in (wanted, wanted.upper(), wanted.capitalize()):
    twin = path.with_suffix(suffix)
    if os.path.lexists(twin):
      return twin
  return None


def stem_of(path: str | Path) -> str:
  """Returns a file's name without .nii, .nii.gz, .img or .hdr in any case."""
  name = os.path.basename(path)
  for ending in (*NIFTI, *_PAIR):
    if name.lower().endswith(ending):
      return name[: -len(ending)]
  return name


def is_hidden(name: str) -> bool:
  """Whether a system hides a file; ._NAME is what macOS keeps beside NAME."""
  return name.startswith(".")


def looks_like_mask(path: str | Path) -> bool:
  """Whether a file's name says that it holds labels and no image."""
  stem = stem_of(path)
  words = first, *others = re.split(r"[_. ]", stem)
  if _MASK.fullmatch(first) and not _FIRST_NO_MASK.fullmatch(first):
    return True
  if any(_MASK_ENDS.fullmatch(word) for word in words):
    return True
  if _MASK_AT_END.fullmatch(stem):
    return True
  return any(_MASK.fullmatch(word) for word in others)


def other_format(path: Path) -> str:
  """Returns what image format or archive a file is that is no NIfTI, or "".

  Files without an extension may be DICOM: their first bytes tell.
  """
  name = path.name.lower()
  if is_nifti(name) or is_other_data(name):
    return ""
  if path.suffix.lower() in _PAIR and twin_of(path) is None:
    missing = "header (.hdr)" if name.endswith(".img") else "voxels (.img)"
    return f"half of a pair, without its {missing}"
  endings = "".join(path.suffixes[-2:]).lower(), path.suffix.lower()
  for ending in endings:
    if ending in _OTHER:
      return _OTHER[ending]
  if not path.suffix or path.suffix[1:].isdecimal():
    return "DICOM" if _begins(path, 132)[128:] == b"DICM" else ""
  return ""


def is_other_data(path: str | Path) -> bool:
  """Whether a name says that a file holds text, a table or a picture."""
  return os.path.basename(path).lower().endswith(_NO_IMAGES)


def is_misnamed(path: Path) -> bool:
  """Whether a file may be NIfTI though its name does not end in .nii[.gz].

  `a.nii.gz.1`, `a.nii.gz.part`, `a.nii ` (a space), or a NIfTI file without an
  extension. Other names are not opened.
  """
  name = path.name.lower()
  if is_nifti(name) or is_other_data(name):
    return False
  if re.search(r"\.nii(\.gz)?(?![a-z0-9])", name):
    return True
  return not path.suffix and _begins_as_nifti(path)


def _begins_as_nifti(path: Path) -> bool:
  head = _begins(path, _PACKED_BYTES)
  if head.startswith(b"\x1f\x8b"):
    try:
      head = zlib.decompressobj(wbits=31).decompress(head, _HEADER_BYTES)
    except zlib.error:
      return False
  single = head[344:348] in (b"n+1\0", b"ni1\0")
  return single or head[4:8] in (b"n+2\0", b"ni2\0")


def unfetched(path: Path) -> str:
  """Returns why the content of a file is not here, or "".

  Data sets in git-annex (DataLad) or Git LFS have links or lines of text in
  the place of files whose content was not fetched. Of a pair, both files have
  to be here.
  """
  twin = twin_of(path)
  return _unfetched(path) or (_unfetched(twin) if twin is not None else "")


def _unfetched(path: Path) -> str:
  if path.is_symlink() and not path.exists():
    target = os.readlink(path)
    told = " (git-annex: content not fetched)" if "annex" in target else ""
    return f"a link to {target}, which is not there{told}"
  head = _begins(path, _POINTER_BYTES)
  if head.startswith(b"version https://git-lfs"):
    return "a pointer of Git LFS: content not fetched"
  if re.match(rb"[^\n]{0,200}/annex/objects/", head):
    return "a pointer of git-annex: content not fetched"
  return ""


FETCH = (
  "fetch the content (datalad get, git annex get, git lfs pull), mount the "
  "disk that the link leads to, or take the file away"
)


def _begins(path: Path, count: int) -> bytes:
  """Returns the first bytes of a file, none where it cannot be read."""
  try:
    if not path.is_file():
      return b""
    with open(path, "rb") as file:
      return file.read(count)
  except OSError:  # whoever needs the content says so
    return b""


def safe_name(text: str) -> str:
  """Returns a name that any file system, log and table takes.

  Bytes that are not UTF-8 and control characters become x and two digits.
  """
  return re.sub(r"[\udc80-\udcff\x00-\x1f\x7f]", _hexadecimal, text)


def _hexadecimal(match: re.Match) -> str:
  return f"x{ord(match[0]) & 0xFF:02x}"
