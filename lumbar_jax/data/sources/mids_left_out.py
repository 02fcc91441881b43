"""Why images of a MIDS or BIDS tree are not used."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from lumbar_jax.data.sources import left_out, pairing
from lumbar_jax.data.sources.found import ERROR, INFO, WARNING, Finding
from lumbar_jax.data.sources.left_out import Reason
from lumbar_jax.data.sources.pairing import ImageFile
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import listed
from lumbar_jax.formats import names

# Folders of BIDS that hold something else than anatomical images.
_OTHER_DATA = ("func", "dwi", "fmap", "perf", "pet", "meg", "eeg", "mrs", "beh")
_OTHER_FOLDERS = ("sourcedata", "code", "stimuli", "phenotype")
_FOLDERS = re.compile(r"(ses-[^/]*/)?(mim-mr/|mod-mr/)?anat")
_LAYOUT = "sub-X[/ses-Y][/mim-mr or /mod-mr]/anat"


def report(
  root: Path,
  part: Path,
  masks: Path | None,
  channels: Sequence[str],
  used: Collection[Path],
) -> list[Finding]:
  """Reports the images of a tree, or of a part of it, that are not used.

  Args:
    root: folder of the tree.
    part: the folder in it that is asked for.
    masks: the derivative that truth is read from, if there is one.
    channels: those that images are read of.
    used: files that are used or that a finding names.
  """

  def why(path: Path) -> Reason | None:
    inner = path.relative_to(root).parts
    if masks is not None and masks in path.parents:
      return _in_masks(path)
    if inner[0] == "derivatives":
      return Reason(
        INFO,
        "derivatives that are not read",
        "truth is read from config.data.masks alone",
      )
    if inner[0] in _OTHER_FOLDERS:
      return Reason(INFO, f"below {inner[0]}", "nothing has to be done")
    if not inner[0].startswith("sub-") or len(inner) == 1:
      if names.looks_like_mask(path):  # predictions of ours, for example
        return left_out.MASKS
      return Reason(
        WARNING,
        "not below a folder sub-X",
        "name each patient's folder sub-X, or use a manifest",
      )
    return _of_patient(path, inner[1:-1], channels)

  return left_out.report(part, used, why)


def _in_masks(path: Path) -> Reason:
  stem = names.stem_of(path).lower()
  if stem.endswith("_probseg"):
    return Reason(INFO, "scores, not labels", "nothing has to be done")
  return Reason(
    WARNING,
    "not read as truth: the name is not like sub-X[_ses-Y]..._dseg.nii.gz",
    "rename it if it is a mask",
  )


def _of_patient(
  path: Path, folders: Sequence[str], channels: Sequence[str]
) -> Reason:
  if names.looks_like_mask(path):
    return left_out.MASKS
  if not _FOLDERS.fullmatch("/".join(folders)):
    likely = INFO if set(folders) & set(_OTHER_DATA) else WARNING
    remedy = f"move it to {_LAYOUT} if it is to be used"
    return Reason(likely, f"not in {_LAYOUT}", remedy)
  stem = names.stem_of(path)
  suffix = stem.rsplit("_", 1)[-1]
  if not stem.startswith("sub-") or "_" not in stem:
    remedy = f"name it sub-X[_ses-Y]..._{channels[0]}.nii.gz"
    return Reason(WARNING, "its name is none of BIDS", remedy)
  near = [c for c in channels if c.lower() == suffix.lower()]
  if near:
    remedy = f"did you mean {near[0]}? rename it"
    return Reason(WARNING, f"its suffix is {suffix!r}", remedy)
  allowed = " or ".join(channels)
  return Reason(
    INFO, f"suffix {suffix!r}, not {allowed}", "see config.data.channels"
  )


def patients_without(
  part: Path,
  folders: Iterable[Path],
  studies: Iterable[Study],
  findings: Iterable[Finding],
) -> list[Finding]:
  """Says which patients' folders gave no study, and no error that says why.

  Args:
    part: the folder that is asked for.
    folders: the patients', "sub-X".
    studies: those that were found.
    findings: those so far.
  """
  named = [path for study in studies for path in study.images.values()]
  named += [f.path for f in findings if f.path and f.severity == ERROR]
  inner = {folder for path in named for folder in (path, *path.parents)}
  asked = [f for f in folders if part in (f, *f.parents) or f in part.parents]
  missing = [folder.name for folder in asked if folder not in inner]
  if not missing:
    return []
  problem = f"{len(missing)} patients without an image to use"
  remedy = f"images are looked for in {_LAYOUT}; what is there is said apart"
  return [Finding(WARNING, f"{problem}: {listed(missing)}", remedy, part)]


def dangling(root: Path, masks: Path | None = None) -> list[Finding]:
  """Reports links to folders of patients and sessions that lead nowhere.

  Args:
    root: folder of the tree.
    masks: the derivative that truth is read from, if there is one.
  """
  return [
    finding
    for top in (root, masks)
    if top is not None
    for path in sorted([*top.glob("sub-*"), *top.glob("sub-*/ses-*")])
    if path.is_symlink() and not path.exists() and not names.is_image(path)
    if (finding := left_out.unfetched(path, _study_of(path, top))) is not None
  ]


def _study_of(folder: Path, top: Path) -> str:
  return names.safe_name("_".join(folder.relative_to(top).parts))


def misplaced(file: ImageFile, patient: str, session: str) -> Finding:
  """Returns the error of an image in another patient's or session's folder."""
  named = f"{file.patient}/{file.session}".rstrip("/")
  return Finding(
    ERROR,
    f"named as {named!r} but lies in the folder of "
    f"{f'{patient}/{session}'.rstrip('/')!r}",
    "find out whose image it is, and rename or move it",
    file.path,
  )


def not_taken(
  rest: Sequence[ImageFile], groups: Sequence[pairing.Group], path: Path
) -> Finding:
  """Says which of a session's images do not belong to its studies."""
  taken = [file.path.name for g in groups for file in g.files.values()]
  return Finding(
    WARNING,
    f"left out {', '.join(file.path.name for file in rest)}; taken: "
    f"{', '.join(taken)}",
    "if another choice is meant, name channels that belong together alike "
    "but for their suffix, or use config.data.source=manifest",
    path,
  )


def unmatched(
  masks: Mapping[tuple[str, str], Sequence[ImageFile]],
  matched: Collection[Path],
  channels: Sequence[str],
) -> list[Finding]:
  """Reports the masks that were drawn on no image that is used."""
  return [
    Finding(
      WARNING,
      "mask without a study: no image of that patient, session, run and "
      f"acquisition has suffix {' or '.join(channels)}",
      "give it the entities of its image's name",
      mask.path,
    )
    for files in masks.values()
    for mask in files
    if mask.path not in matched
  ]
