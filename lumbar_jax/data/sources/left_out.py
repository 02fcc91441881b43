"""What lies in a data set's folder and is not used, with the reason.

Found and left out together are what lies there: a patient never vanishes
without a word. Files of one reason make one finding, however many they are.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from lumbar_jax.data.sources.found import ERROR, INFO, WARNING, Finding
from lumbar_jax.errors import listed, printable
from lumbar_jax.files import walk
from lumbar_jax.formats import names

MOST_FILES = 200_000  # looked at; a folder of more is hardly a data set
_NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Reason:
  """Why a file is left out.

  Attributes:
    severity: how likely it is a mistake.
    problem: what is the matter.
    remedy: what the user can do.
  """

  severity: str
  problem: str
  remedy: str


_HIDDEN = Reason(
  INFO, "hidden, as macOS and others keep them", "nothing has to be done"
)
_FOLDER = Reason(
  WARNING, "a folder, called like an image", "give its files by their names"
)
_NO_FILE = Reason(
  WARNING, "a pipe or device, no file", "write its content to a file"
)
_MISNAMED = Reason(
  WARNING,
  "NIfTI as it seems, but the name does not end in .nii or .nii.gz",
  "name it *.nii or *.nii.gz if it is whole, or take it away",
)
MASKS = Reason(
  INFO,
  "masks by their names",
  "rename those that are images; truth is read from where "
  "config.data.masks or a manifest says",
)


def report(
  folder: Path,
  used: Collection[Path],
  why: Callable[[Path], Reason | None],
) -> list[Finding]:
  """Reports all images below a folder that are not used.

  Args:
    folder: where the data set lies, or the part of it that is asked for.
    used: files that are, or that another finding names.
    why: the source's reason for a NIfTI file that it does not use; None where
      it has said so already.

  Returns:
    A finding for each reason.
  """
  used = {Path(path) for path in used}
  findings: list[Finding] = []

  def unreadable(error: OSError) -> None:
    problem = f"this folder cannot be read ({error.strerror})"
    remedy = "ask for the right to read it, or check its disk"
    path = Path(error.filename)
    findings.append(Finding(ERROR, problem, remedy, path, path.name))

  groups: dict[Reason, list[str]] = {}

  def leave_out(path: Path, reason: Reason | None) -> None:
    if reason is not None:
      name = printable(path.relative_to(folder))
      groups.setdefault(reason, []).append(name)

  def called_like_image(path: Path) -> None:
    leave_out(path, _FOLDER if names.is_nifti(path) else None)

  files = walk(folder, unreadable, called_like_image)
  for path in itertools.islice(files, MOST_FILES):
    leave_out(path, None if path in used else _reason(path, why))
  if next(files, None) is not None:
    problem = f"more than {MOST_FILES} files: the others were not looked at"
    findings.append(Finding(WARNING, problem, "give a narrower folder", folder))
  return [*findings, *_findings(folder, groups.items())]


def _reason(path: Path, why) -> Reason | None:
  """Returns why an image is left out; None for what is no image."""
  image = names.is_image(path)
  if names.is_hidden(path.name):
    return _HIDDEN if image else None
  if path.suffix.lower() == ".hdr" and names.twin_of(path) is not None:
    return None  # its .img is looked at
  if not image:
    return _no_nifti(path)
  if path.exists() and not path.is_file():
    return _NO_FILE
  return why(path)


def _no_nifti(path: Path) -> Reason | None:
  other = names.is_other_data(path)
  if path.is_symlink() and not path.exists() and not other:
    problem = "links to nothing"
    return Reason(WARNING, problem, "mount the disk that they lead to")
  kind = names.other_format(path)
  if not kind:
    return _MISNAMED if names.is_misnamed(path) else None
  return Reason(
    WARNING,
    f"no NIfTI ({kind})",
    "convert them first, for example by dcm2niix or SimpleITK, or unpack them",
  )


def _findings(
  folder: Path, groups: Iterable[tuple[Reason, list[str]]]
) -> list[Finding]:
  return [
    Finding(
      reason.severity,
      f"left out {len(files)} file{'s' if len(files) > 1 else ''} "
      f"({reason.problem}): {listed(files, _NAMES_SHOWN)}",
      reason.remedy,
      folder,
    )
    for reason, files in groups
  ]


def unfetched(
  path: Path, study: str, what: str = "its content is not here"
) -> Finding | None:
  """Returns the error of a file whose content was not fetched, or None."""
  reason = names.unfetched(path)
  if not reason:
    return None
  return Finding(ERROR, f"{what}: {reason}", names.FETCH, path, study)
