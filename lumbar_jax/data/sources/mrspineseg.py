"""The data set of paper 002, as it is downloaded: MRSpineSeg.

    ROOT/train/MR/Case12.nii.gz
    ROOT/train/Mask/mask_case12.nii.gz
    ROOT/test1/MR/...            (further folders, with Mask or without)

ROOT may be the folder above `train`, or `train` itself. Every image is one
patient's sagittal T2w volume of 12 to 15 slices; the masks have the numbers of
`anatomy.MRSPINESEG`. Images without a mask are studies to predict.

Evidence: folders and label values are those of the challenge's own page (Data
Description, www.spinesegmentation-challenge.com); the files' names are what two
public readers of it expect (PaddleSeg's `prepare_mri_spine_seg.py`, which makes
`mask_case129` of `Case129`; loaders that list `train/Mask/mask_case*.nii.gz`
and capitalise the rest for `train/MR`). Upper and lower case are the same here.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lumbar_jax.anatomy import MRSPINESEG
from lumbar_jax.data.sources import left_out
from lumbar_jax.data.sources.found import ERROR, WARNING, Finding, Found
from lumbar_jax.data.sources.left_out import Reason
from lumbar_jax.data.sources.mids import check_root
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.files import find_files
from lumbar_jax.formats import names
from lumbar_jax.progress import working

TRAIN = "train"
_IMAGE = re.compile(r"case_?(\d+)\.nii(\.gz)?", re.IGNORECASE)
_MASK = re.compile(r"mask_case_?(\d+)\.nii(\.gz)?", re.IGNORECASE)

_Files = dict[int, Path]  # number of the case -> file


@working("looking for studies")
def find(data_config) -> Found:
  """Lists the studies of a downloaded data set.

  Args:
    data_config: the `data` part of a config; only `root` is read.

  Raises:
    InputError: no such folder, or no images in it.
  """
  root = check_root(data_config.root)
  findings: list[Finding] = []
  folders = [f for f in (root, *_subfolders(root)) if _child(f, "MR")]
  studies = [
    study
    for folder in folders
    for study in _studies(folder, _session(folder, root), findings)
  ]
  findings += _unused(root, studies, findings)
  if not studies and not any(f.severity == ERROR for f in findings):
    raise _nothing_found(root)
  return Found(tuple(studies), MRSPINESEG, root, tuple(findings))


def _subfolders(folder: Path) -> list[Path]:
  return sorted(path for path in folder.iterdir() if path.is_dir())


def _child(folder: Path, name: str) -> Path | None:
  """Returns the subfolder of a name, whatever its case."""
  found = [p for p in _subfolders(folder) if p.name.lower() == name.lower()]
  return found[0] if found else None


def _session(folder: Path, root: Path) -> str:
  """Returns "" for the training cases, else the folder's name."""
  known = folder == root or folder.name.lower() == TRAIN
  return "" if known else folder.name


def _studies(
  folder: Path, session: str, findings: list[Finding]
) -> list[Study]:
  """Returns the cases of one folder, each image with its mask if it has one."""
  masks_folder = _child(folder, "Mask")
  images = _numbered(_child(folder, "MR"), _IMAGE, "Case12.nii.gz", findings)
  masks: _Files = {}
  if masks_folder is not None:
    masks = _numbered(masks_folder, _MASK, "mask_case12.nii.gz", findings)
    _report_unmatched(images, masks, findings)
  return [
    Study(f"Case{number}", session, {"T2w": image}, masks.get(number))
    for number, image in images.items()
  ]


def _numbered(
  folder: Path, pattern: re.Pattern, example: str, findings: list[Finding]
) -> _Files:
  """Returns a folder's files by the number of their case."""
  files: _Files = {}
  for path in sorted(folder.iterdir()):
    match = pattern.fullmatch(path.name)
    if match is None:
      if names.is_image(path) and not names.is_hidden(path.name):
        problem = f"left out: its name is not like {example}"
        findings.append(Finding(WARNING, problem, "rename it", path))
      continue
    number = int(match[1])
    absent = left_out.unfetched(path, f"Case{number}")
    if absent is not None:
      findings.append(absent)
      continue
    if number in files:
      problem = f"case {number} is there twice, as {files[number].name} too"
      findings.append(Finding(ERROR, problem, "keep one of them", path))
    files.setdefault(number, path)
  return files


def _unused(
  root: Path, studies: Sequence[Study], findings: Sequence[Finding]
) -> list[Finding]:
  """Reports the images below the root that are not used."""
  used = [p for s in studies for p in (*s.images.values(), s.mask) if p]
  used += [finding.path for finding in findings if finding.path is not None]

  def why(path: Path) -> Reason:
    if names.looks_like_mask(path):
      return left_out.MASKS
    remedy = "move it to MR, or Mask, if it belongs to the data"
    return Reason(WARNING, "neither in MR nor in Mask", remedy)

  return left_out.report(root, used, why)


def _report_unmatched(
  images: Mapping[int, Path], masks: Mapping[int, Path], findings: list[Finding]
) -> None:
  for number in sorted(images.keys() - masks.keys()):
    problem = f"no mask of case {number}, others have one: it is not trained on"
    remedy = f"add mask_case{number}.nii.gz to Mask"
    findings.append(Finding(WARNING, problem, remedy, images[number]))
  for number in sorted(masks.keys() - images.keys()):
    problem = f"a mask of case {number}, whose image is missing"
    remedy = f"add Case{number}.nii.gz to MR"
    findings.append(Finding(WARNING, problem, remedy, masks[number]))


def _nothing_found(root: Path) -> InputError:
  other = next(iter(find_files(root, "*.nii*")), None)
  seen = f" (there is {other.relative_to(root)})" if other else ""
  return InputError(
    f"no study found: looked for train/MR/Case*.nii.gz{seen}",
    "give config.data.root the folder that holds train/MR and train/Mask, or "
    "list files that lie otherwise in a table with config.data.source=manifest",
    path=root,
  )
