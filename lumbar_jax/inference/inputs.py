"""What `--input=PATH` means: from a file, a folder or a table to studies.

    image.nii.gz            one study; a second channel lies beside it
    ROOT with sub-*/...     a MIDS or BIDS tree
    .../sub-X[/ses-Y...]    the studies of a patient or session of such a tree
    FOLDER of NIfTI files   a study each, or a study each pair *_T2w, *_T1w
    table.tsv, table.csv    a manifest

Masks are left aside: prediction never needs truth. Every other image that lies
there and is not predicted is said, with the reason (`sources.left_out`).
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from lumbar_jax.config import CHANNELS
from lumbar_jax.data.sources import left_out, manifest, mids, pairing
from lumbar_jax.data.sources.found import (
  ERROR,
  INFO,
  WARNING,
  Finding,
  Found,
)
from lumbar_jax.data.sources.left_out import Reason
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.files import find_files
from lumbar_jax.formats import names
from lumbar_jax.progress import working

_TABLES = (".tsv", ".csv")
_REMEDY = (
  "give a NIfTI file (.nii, .nii.gz), a folder of them, a MIDS or BIDS tree, "
  "or a manifest (.tsv, .csv); convert DICOM first, for example with dcm2niix"
)


@working("looking for studies")
def find_inputs(
  path: str | Path,
  channels: Sequence[str],
  columns: Sequence[str] = (),
) -> Found:
  """Lists the studies that a path stands for.

  Args:
    path: a file, folder or table, see the module's head.
    channels: those of the run, the reference first.
    columns: the manifest's, as `config.data.columns`; those that it does not
      have are left aside.

  Returns:
    Studies sorted by name, without masks, and the findings; those of severity
    error are studies that could not be listed. A study may lack a channel:
    `require_channels` says so.

  Raises:
    InputError: no such path, nothing there that can be predicted, or a single
      file whose other channel is missing.
  """
  path = Path(os.path.abspath(os.path.expanduser(path)))
  channels = tuple(channels)
  absent = names.unfetched(path)
  if absent:
    raise InputError(absent, names.FETCH, path=path)
  if path.is_dir():
    found = _folder(path, channels)
  elif not path.is_file():
    raise InputError("no such file or folder", "check --input", path=path)
  elif path.suffix.lower() in _TABLES:
    table = SimpleNamespace(manifest=str(path), root="", columns=columns)
    found = manifest.find(table, masks=False)
  elif names.is_image(path):
    study = _single(path, channels)
    require_channels(study, channels)
    found = Found((study,), None, path.parent, _doubtful(path))
  else:
    kind = names.other_format(path)
    told = f" ({kind})" if kind else ""
    problem = f"not a NIfTI file and not a table{told}"
    raise InputError(problem, _REMEDY, path=path)
  studies = [dataclasses.replace(study, mask=None) for study in found.studies]
  studies.sort(key=lambda study: study.name)
  return dataclasses.replace(found, studies=tuple(studies), mask_scheme=None)


def require_channels(study: Study, channels: Sequence[str]) -> None:
  """Checks that a study has what the run was trained on.

  Raises:
    InputError: "T2w without T1w", with the place where it was looked for.
  """
  missing = [c for c in channels if c not in study.images]
  if not missing:
    return
  present = [c for c in channels if c in study.images]
  near = study.images[present[0]] if present else None
  raise InputError(
    f"study {study.name}: {' and '.join(present) or 'images'} without "
    f"{' and '.join(missing)}",
    f"put its {missing[0]} beside it under the same name but for the suffix "
    f"_{missing[0]}, name both in a manifest, or use a run that was trained "
    f"without {missing[0]}",
    path=near,
  )


def split_suffix(path: Path) -> tuple[str, str]:
  """Returns ("sub-X_acq-sag", "T2w") of a name; the suffix may be ""."""
  stem = names.stem_of(path)
  flags = re.IGNORECASE | re.DOTALL
  found = re.fullmatch(rf"(.+)_({'|'.join(CHANNELS)})", stem, flags)
  if not found:
    return stem, ""
  written = {channel.lower(): channel for channel in CHANNELS}
  return found[1], written[found[2].lower()]


def _images(folder: Path) -> list[Path]:
  """Returns a folder's volumes that are not masks by their names."""
  return [
    path
    for path in sorted(folder.iterdir())
    if names.is_image(path)
    and (path.is_file() or not path.exists())  # or a link to nothing
    and not names.is_hidden(path.name)
    and not names.looks_like_mask(path)
  ]


def _doubtful(path: Path) -> tuple[Finding, ...]:
  """Says that a file which was asked for is called like a mask."""
  if not names.looks_like_mask(path):
    return ()
  problem = "its name is that of a mask: it is predicted, as it was asked for"
  return (Finding(WARNING, problem, "check that it is an image", path),)


def _single(path: Path, channels: tuple[str, ...]) -> Study:
  """Returns the study of one file.

  Raises:
    InputError: a name that says another channel, or none where it has to.
  """
  stem, suffix = split_suffix(path)
  if not suffix and len(channels) == 1:
    suffix = channels[0]
  if suffix not in channels:
    raise InputError(
      f"its name says {suffix or 'no channel'}, and the run takes "
      f"{' and '.join(channels)}",
      f"give the {channels[0]} image, named *_{channels[0]}.nii[.gz]",
      path=path,
    )
  images = {suffix: path}
  for channel in channels:
    partner = _partner(path, stem, channel) if channel != suffix else None
    if partner is not None:
      images[channel] = partner
  file = pairing.parse(path)
  if file is None:
    return Study(names.safe_name(stem), "", images)
  patient, session = map(names.safe_name, (file.patient, file.session))
  return Study(patient, session, images)


def _partner(path: Path, stem: str, channel: str) -> Path | None:
  """Returns the file of another channel that belongs to a file.

  The same name but for the suffix; else the only one of that patient and
  session, where BIDS names tell those.
  """
  others = [p for p in _images(path.parent) if split_suffix(p)[1] == channel]
  twins = [p for p in others if split_suffix(p)[0] == stem]
  file = pairing.parse(path)
  if not twins and file is not None:
    parsed = filter(None, map(pairing.parse, others))
    own = file.patient, file.session
    twins = [p.path for p in parsed if (p.patient, p.session) == own]
    twins = twins if len(twins) == 1 else []
  return twins[0] if twins else None


def _folder(path: Path, channels: tuple[str, ...]) -> Found:
  """Lists a tree, a part of one, or a plain folder.

  Raises:
    InputError: nothing there that can be predicted.
  """
  patient = [p for p in (path, *path.parents) if p.name.startswith("sub-")]
  listings = (
    lambda: _tree(path, path, channels),
    *(lambda p=p: _tree(p.parent, path, channels) for p in patient[:1]),
    lambda: _plain(path, channels),
  )
  for listing in listings:
    found = listing()
    if found.studies or any(f.severity == ERROR for f in found.findings):
      return found
  files = find_files(path, "*")
  seen = f"; it holds {files[0].relative_to(path)}" if files else ""
  raise InputError(
    f"no {' or '.join(channels)} image in this folder"
    + (seen if files else ": it is empty"),
    _REMEDY,
    path=path,
  )


def _tree(root: Path, part: Path, channels: tuple[str, ...]) -> Found:
  """Lists the studies of a tree whose images lie in a part of it."""
  places = ("sub-*/anat", "sub-*/*/anat", "sub-*/*/*/anat")  # through links
  if not any(any(root.glob(place)) for place in places):
    return Found((), None, root)
  settings = SimpleNamespace(
    root=str(root), masks="", channels=channels, stratify_by=()
  )
  try:
    found = mids.find(settings, root, part)
  except InputError:  # no study at all: the caller says so in its own words
    return Found((), None, root)

  def inside(path: Path) -> bool:
    return part in (path, *path.parents)

  studies = [s for s in found.studies if any(map(inside, s.images.values()))]
  findings = [
    f
    for f in found.findings
    if f.path is not None
    and inside(f.path)
    and f.path.name != "participants.tsv"
  ]
  return Found(tuple(studies), None, root, tuple(findings))


def _plain(folder: Path, channels: tuple[str, ...]) -> Found:
  """Lists a folder of files: a study each, or one each set of suffixes."""
  images: dict[str, dict[str, Path]] = {}
  findings: list[Finding] = []
  said = set()
  for path in _images(folder):
    written, suffix = split_suffix(path)
    stem = names.safe_name(written)
    suffix = suffix or (channels[0] if len(channels) == 1 else "")
    if suffix and suffix not in channels:
      continue
    said.add(path)
    error = left_out.unfetched(path, stem)
    if error is None and not suffix:
      problem = f"its name says none of {', '.join(channels)}"
      remedy = f"name it *_{channels[0]}.nii.gz, or list it in a manifest"
      error = Finding(ERROR, problem, remedy, path, stem)
    elif error is None:
      twin = images.setdefault(stem, {}).setdefault(suffix, path)
      if twin != path:
        problem = f"the same study and channel as {twin.name}"
        remedy = "keep one of them, or rename it"
        error = Finding(ERROR, problem, remedy, path, stem)
    findings += [error] if error is not None else []
    if stem != written:
      problem = "its name has characters that not every system takes: "
      problem += f"its results are called {stem}"
      findings.append(Finding(WARNING, problem, "rename it", path, stem))
  findings += _unused(folder, channels, said)
  studies = tuple(Study(stem, "", files) for stem, files in images.items())
  return Found(studies, None, folder, tuple(findings))


def _unused(
  folder: Path, channels: tuple[str, ...], said: set[Path]
) -> list[Finding]:
  """Reports what lies in a folder or below it and is not predicted."""

  def why(path: Path) -> Reason:
    if names.looks_like_mask(path):
      return left_out.MASKS
    if path.parent != folder:
      remedy = "give each folder by itself, or list the files in a manifest"
      return Reason(WARNING, "in a folder of their own", remedy)
    remedy = f"the run takes {' and '.join(channels)}"
    return Reason(INFO, f"channel {split_suffix(path)[1]}", remedy)

  return left_out.report(folder, said, why)
