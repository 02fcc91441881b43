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

from lumbar_jax.data.sources import pairing
from lumbar_jax.data.sources.found import (
  ERROR,
  WARNING,
  Finding,
  Found,
  finding_of,
  read_mask_scheme,
  table_notes,
)
from lumbar_jax.data.sources.pairing import ImageFile, parse
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.files import find_files
from lumbar_jax.formats.tables import read_table

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


def find(data_config, root: str | Path | None = None) -> Found:
  """Lists the studies of a tree.

  Args:
    data_config: the `data` part of a config (root, masks, channels).
    root: folder to read instead of `data_config.root`.

  Raises:
    InputError: no such folder, or nothing in it that looks like a study.
  """
  root = check_root(root or data_config.root)
  findings: list[Finding] = []
  derivative = _derivative(root, data_config.masks, findings)
  tree = _Tree(
    root,
    tuple(data_config.channels),
    _read_participants(root, findings),
    _read_masks(derivative, findings),
    findings,
  )
  studies = []
  for folder in sorted(p for p in root.glob("sub-*") if p.is_dir()):
    for session in (None, *sorted(folder.glob("ses-*"))):
      studies += _session(tree, folder, session)
  if not studies and not any(f.severity == ERROR for f in findings):
    raise _nothing_found(root, tree.channels)
  scheme = None
  if any(study.mask for study in studies):
    scheme = read_mask_scheme(derivative / "dseg.tsv", findings)
  _report_unmatched_masks(tree)
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
  root = Path(root)
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


def _read_participants(root: Path, findings: list) -> dict[str, dict]:
  """Returns {"sub-X": its row of participants.tsv}."""
  path = root / "participants.tsv"
  remedy = "add one with columns participant_id, sex ... to stratify splits"
  if not path.is_file():
    findings.append(Finding(WARNING, "no participants.tsv", remedy, path))
    return {}
  try:
    source = read_table(path)
  except InputError as error:
    findings.append(finding_of(error))
    return {}
  findings += table_notes(source)
  if "participant_id" not in source.header:
    near = did_you_mean("participant_id", source.header)
    findings.append(
      Finding(ERROR, "no column 'participant_id'", near + remedy, path)
    )
    return {}
  table: dict[str, dict] = {}
  for number, row in source.rows:
    identifier = "sub-" + row.pop("participant_id").removeprefix("sub-")
    if identifier in table:
      problem = f"row {number} repeats participant {identifier!r}"
      findings.append(Finding(ERROR, problem, "keep one of its rows", path))
    table.setdefault(identifier, row)
  return table


def _read_masks(
  derivative: Path | None, findings: list
) -> dict[tuple[str, str], list[ImageFile]]:
  """Returns {(patient, session): its masks} by the files' own names."""
  masks: dict[tuple[str, str], list[ImageFile]] = {}
  if derivative is None:
    return masks
  for path in find_files(derivative, "*_dseg.nii*"):
    file = parse(path)
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
    for file in filter(None, map(parse, sorted(anat.glob("*.nii*")))):
      if file.suffix not in tree.channels:
        continue
      if (file.patient, file.session) != (patient, name):
        tree.findings.append(_misplaced(file, patient, name))
      else:
        files.setdefault(file.suffix, []).append(file)
  if not files:
    return []
  # The reference channel first, whatever the alphabet says.
  files = {c: files[c] for c in tree.channels if c in files}
  groups, left_out = pairing.pair(files)
  if left_out:
    tree.findings.append(_left_out(left_out, groups, session or folder))
  return [
    _study(tree, patient, "_".join(filter(None, (name, group.name))), group)
    for group in groups
  ]


def _study(
  tree: _Tree, patient: str, session: str, group: pairing.Group
) -> Study:
  reference = next(iter(group.files.values()))
  candidates = tree.masks.get((patient, reference.session), [])
  masks = pairing.match_masks(candidates, reference, group.keys)
  tree.matched.update(mask.path for mask in masks)
  if len(masks) > 1:
    names = ", ".join(mask.path.name for mask in masks)
    tree.findings.append(
      Finding(
        ERROR,
        f"{len(masks)} masks fit this image: {names}",
        "keep one; put a second reader's into a derivative of their own",
        reference.path,
      )
    )
  metadata = {"participant": tree.participants.get(patient, {})}
  for channel, file in group.files.items():
    metadata[channel] = _read_sidecar(file, tree.findings)
  images = {channel: file.path for channel, file in group.files.items()}
  mask = masks[0].path if len(masks) == 1 else None
  return Study(patient, session, images, mask, metadata)


def _read_sidecar(file: ImageFile, findings: list) -> dict:
  path = file.path.with_name(f"{file.stem}.json")
  if not path.is_file():
    return {}
  try:
    value = json.loads(path.read_text(encoding="utf-8-sig"))
  except ValueError as error:
    problem, value = f"not JSON ({error})", None
  else:
    problem = f"holds a {type(value).__name__} instead of fields"
  if isinstance(value, dict):
    return value
  findings.append(Finding(WARNING, problem, "correct it or take it away", path))
  return {}


def _misplaced(file: ImageFile, patient: str, session: str) -> Finding:
  named = f"{file.patient}/{file.session}".rstrip("/")
  return Finding(
    ERROR,
    f"named as {named!r} but lies in the folder of "
    f"{f'{patient}/{session}'.rstrip('/')!r}",
    "find out whose image it is, and rename or move it",
    file.path,
  )


def _left_out(
  left_out: Sequence[ImageFile], groups: Sequence[pairing.Group], path: Path
) -> Finding:
  taken = [file.path.name for g in groups for file in g.files.values()]
  return Finding(
    WARNING,
    f"left out {', '.join(file.path.name for file in left_out)}; taken: "
    f"{', '.join(taken)}",
    "if another choice is meant, name channels that belong together alike "
    "but for their suffix, or use config.data.source=manifest",
    path,
  )


def _report_unmatched_masks(tree: _Tree) -> None:
  for mask in [m for masks in tree.masks.values() for m in masks]:
    if mask.path not in tree.matched:
      tree.findings.append(
        Finding(
          WARNING,
          "mask without a study: no image of that patient, session, run and "
          f"acquisition has suffix {' or '.join(tree.channels)}",
          "give it the entities of its image's name",
          mask.path,
        )
      )
