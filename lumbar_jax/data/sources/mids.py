"""MIDS and BIDS trees.

    ROOT/participants.tsv
    ROOT/sub-X[/ses-Y][/mim-mr | /mod-mr]/anat/sub-X[_ses-Y]..._T2w.nii[.gz]
    ROOT/derivatives/MASKS/dseg.tsv
    ROOT/derivatives/MASKS/sub-X[/ses-Y].../sub-X[_ses-Y]..._dseg.nii[.gz]

MIDS (Medical Imaging Data Structure, the databank behind paper 000) is BIDS
with a folder for the modality between session and `anat`. A file's name is a
row of entities (`acq-sag`, `run-2`) and a suffix, the channel or `dseg`.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from lumbar_jax.data.sources import (
  left_out,
  mids_left_out,
  pairing,
  participants,
)
from lumbar_jax.data.sources.found import (
  ERROR,
  WARNING,
  Finding,
  Found,
  read_mask_scheme,
)
from lumbar_jax.data.sources.pairing import ImageFile, parse
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.files import find_files, walk
from lumbar_jax.formats import names
from lumbar_jax.progress import working

_MODALITIES = ("mim-mr", "mod-mr", ".")


@dataclasses.dataclass(frozen=True)
class _Tree:
  """What is read once for all sessions."""

  root: Path
  channels: tuple[str, ...]
  participants: dict[str, dict]
  masks: dict[tuple[str, str], list[ImageFile]]
  findings: list[Finding]
  matched: set[Path] = dataclasses.field(default_factory=set)
  used: set[Path] = dataclasses.field(default_factory=set)


@working("looking for studies")
def find(
  data_config,
  root: str | Path | None = None,
  part: Path | None = None,
) -> Found:
  """Lists the studies of a tree.

  Args:
    data_config: the `data` part of a config (root, masks, channels and
      stratify_by).
    root: folder to read instead of `data_config.root`.
    part: folder in it that is asked for, whose images are accounted for.

  Raises:
    InputError: no such folder, or nothing in it that looks like a study.
  """
  root = check_root(root or data_config.root)
  findings: list[Finding] = []
  derivative = _derivative(root, data_config.masks, findings)
  folders = sorted(p for p in root.glob("sub-*") if p.is_dir())
  tree = _Tree(
    root,
    tuple(data_config.channels),
    participants.read(
      root,
      [folder.name for folder in folders],
      tuple(data_config.stratify_by),
      findings,
    ),
    _read_masks(derivative, findings),
    findings,
  )
  studies = []
  for folder in folders:
    for session in (None, *sorted(folder.glob("ses-*"))):
      studies += _session(tree, folder, session)
  absent = mids_left_out.dangling(root, derivative)
  findings += absent
  if not studies and not any(f.severity == ERROR for f in findings):
    raise _nothing_found(root, tree.channels)
  scheme = None
  if any(study.mask for study in studies):
    scheme = read_mask_scheme(derivative / "dseg.tsv", findings)
  findings += mids_left_out.unmatched(tree.masks, tree.matched, tree.channels)
  seen = {mask.path for files in tree.masks.values() for mask in files}
  seen |= tree.used | {finding.path for finding in absent}
  findings += mids_left_out.report(
    *(root, part or root, derivative, tree.channels, seen)
  )
  findings += mids_left_out.patients_without(
    part or root, folders, studies, findings
  )
  return Found(tuple(studies), scheme, root, tuple(findings))


def check_root(root: str | Path) -> Path:
  """Returns the data set's folder.

  Raises:
    InputError: none is configured, or it is not a folder.
  """
  if not str(root):
    raise InputError(
      "config.data.root is empty", "give --config.data.root=FOLDER"
    )
  root = Path(root).expanduser()
  if not root.is_dir():
    raise InputError(
      "config.data.root is not a folder",
      "give the folder that holds sub-*, and check that its disk is mounted",
      path=root,
    )
  return root


def _nothing_found(root: Path, channels: Sequence[str]) -> InputError:
  pattern = "sub-*[/ses-*][/mim-mr|/mod-mr]/anat/*_"
  names = " or ".join(f"{pattern}{channel}.nii[.gz]" for channel in channels)
  other = next(iter(find_files(root, "*.nii*")), None)
  seen = f" (there is {other.relative_to(root)})" if other else ""
  return InputError(
    f"no study found: looked for {names}{seen}",
    "check config.data.root and config.data.channels, or list files that lie "
    "otherwise in a table with config.data.source=manifest",
    path=root,
  )


def _derivative(root: Path, masks: str, findings: list) -> Path | None:
  """Returns the one folder that truth is read from, if it is there."""
  if not masks:
    return None
  folder = root / "derivatives" / masks
  if folder.is_dir():
    return folder
  there = [p.name for p in sorted(root.glob("derivatives/*")) if p.is_dir()]
  has = f"derivatives has {', '.join(there)}" if there else "no derivatives"
  findings.append(
    Finding(
      WARNING,
      f"config.data.masks is {masks!r}, which is not there, so no study has a "
      f"mask ({has})",
      did_you_mean(masks, there)
      + "name the derivative with the manual masks by --config.data.masks=NAME",
      folder,
    )
  )
  return None


def _read_masks(
  derivative: Path | None, findings: list
) -> dict[tuple[str, str], list[ImageFile]]:
  """Returns {(patient, session): its masks} by the files' own names."""
  masks: dict[tuple[str, str], list[ImageFile]] = {}
  if derivative is None:
    return masks
  for path in walk(derivative):
    is_mask = names.stem_of(path).lower().endswith("_dseg")
    file = parse(path) if is_mask else None
    if file is not None:
      masks.setdefault((file.patient, file.session), []).append(file)
  if not masks:
    findings.append(
      Finding(
        WARNING,
        "no masks in it, so no study has one",
        "name them sub-X[_ses-Y]..._dseg.nii.gz",
        derivative,
      )
    )
  return masks


def _session(tree: _Tree, folder: Path, session: Path | None) -> list[Study]:
  """Returns the studies of one session, or of a patient without sessions."""
  patient, name = folder.name, session.name if session else ""
  files: dict[str, list[ImageFile]] = {}
  for modality in _MODALITIES:
    anat = (session or folder) / modality / "anat"
    for file in filter(None, map(parse, sorted(anat.glob("*")))):
      if file.suffix not in tree.channels or names.looks_like_mask(file.path):
        continue
      tree.used.add(file.path)
      if (file.patient, file.session) != (patient, name):
        tree.findings.append(mids_left_out.misplaced(file, patient, name))
      else:
        files.setdefault(file.suffix, []).append(file)
  if not files:
    return []
  # The reference channel first, whatever the alphabet says.
  files = {c: files[c] for c in tree.channels if c in files}
  groups, rest = pairing.pair(files)
  if rest:
    place = session or folder
    tree.findings.append(mids_left_out.not_taken(rest, groups, place))
  studies = []
  for group in groups:
    session_name = "_".join(filter(None, (name, group.name)))
    studies.append(_study(tree, patient, session_name, group))
  return [study for study in studies if study is not None]


def _study(
  tree: _Tree, patient: str, session: str, group: pairing.Group
) -> Study | None:
  """Returns a group's study, or None (and a finding) without its content."""
  name = names.safe_name("_".join(filter(None, (patient, session))))
  absent = [left_out.unfetched(f.path, name) for f in group.files.values()]
  tree.findings.extend(filter(None, absent))
  reference = next(iter(group.files.values()))
  candidates = tree.masks.get((patient, reference.session), [])
  masks = pairing.match_masks(candidates, reference, group.keys)
  tree.matched.update(mask.path for mask in masks)
  if len(masks) > 1:
    fitting = ", ".join(mask.path.name for mask in masks)
    tree.findings.append(
      Finding(
        ERROR,
        f"{len(masks)} masks fit this image: {fitting}",
        "keep one; put a second reader's into a derivative of their own",
        reference.path,
      )
    )
  metadata = {"participant": tree.participants.get(patient, {})}
  for channel, file in group.files.items():
    metadata[channel] = _read_sidecar(file, tree.findings)
  images = {channel: file.path for channel, file in group.files.items()}
  mask = masks[0].path if len(masks) == 1 else None
  no_mask = left_out.unfetched(mask, name) if mask is not None else None
  if no_mask is not None:
    tree.findings.append(no_mask)
    mask = None
  if any(absent):
    return None
  patient, session = names.safe_name(patient), names.safe_name(session)
  return Study(patient, session, images, mask, metadata)


def _read_sidecar(file: ImageFile, findings: list) -> dict:
  path = file.path.with_name(f"{file.stem}.json")
  if not path.is_file():
    return {}
  try:
    value = json.loads(path.read_text(encoding="utf-8-sig"))
  except (OSError, ValueError, RecursionError) as error:
    problem, value = f"not JSON ({error})", None
  else:
    problem = f"holds a {type(value).__name__} instead of fields"
  if isinstance(value, dict):
    return value
  findings.append(Finding(WARNING, problem, "correct it or take it away", path))
  return {}
