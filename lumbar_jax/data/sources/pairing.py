"""Which files of a session belong together, by their BIDS names."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from lumbar_jax.formats import names

# Entities that a mask has of its own, beside those of its image.
_OF_MASKS = ("desc", "space", "label", "seg", "res", "mod")


@dataclasses.dataclass(frozen=True)
class ImageFile:
  """A NIfTI file and what its name says.

  Attributes:
    path: the file.
    patient: "sub-X".
    session: "ses-Y", or "" where the name has none.
    entities: the other `key-value` parts of the name.
    suffix: what follows the last underscore: T2w, T1w, dseg.
  """

  path: Path
  patient: str
  session: str
  entities: Mapping[str, str]
  suffix: str

  @property
  def stem(self) -> str:
    """The name without its extension."""
    return names.stem_of(self.path)


@dataclasses.dataclass(frozen=True)
class Group:
  """Files of one study.

  Attributes:
    name: what tells it from the session's other studies ("run-2"), or "".
    files: {channel: file}.
    keys: the entities in `name`.
  """

  name: str
  files: Mapping[str, ImageFile]
  keys: tuple[str, ...] = ()


def parse(path: Path) -> ImageFile | None:
  """Reads a file's name; None for one that is no BIDS image.

  A link to content that is not there is an image too.
  """
  if not path.name.startswith("sub-") or not names.is_image(path):
    return None
  if path.exists() and not path.is_file():  # a folder, a pipe
    return None
  *parts, suffix = names.stem_of(path).split("_")
  entities = dict(part.split("-", 1) for part in parts if "-" in part)
  patient = f"sub-{entities.pop('sub', '')}"
  session = f"ses-{entities.pop('ses')}" if "ses" in entities else ""
  return ImageFile(path, patient, session, entities, suffix)


def _plane_rank(file: ImageFile) -> int:
  """Returns 0 for sagittal, 1 for a plane not named, 2 for another one."""
  words = [file.entities.get(key, "").lower() for key in ("acq", "vp")]
  if any("sag" in word for word in words):
    return 0
  other = any(w.startswith(p) for w in words for p in ("ax", "tra", "cor"))
  return 2 if other else 1


def pair(
  files: Mapping[str, Sequence[ImageFile]],
) -> tuple[list[Group], list[ImageFile]]:
  """Makes studies of a session's files.

  Sagittal acquisitions go before others. Several that are left make a study
  each where all channels have the same entities; if none do, the first file
  of each channel makes the one study.

  Args:
    files: {channel: its files}, none empty.

  Returns:
    At least one group, and the files left out.
  """
  kept = {}
  for channel, candidates in files.items():
    best = min(map(_plane_rank, candidates))
    kept[channel] = [f for f in candidates if _plane_rank(f) == best]
  sets: dict[tuple, dict[str, ImageFile]] = {}
  for channel, candidates in kept.items():
    for file in candidates:
      key = tuple(sorted(file.entities.items()))
      sets.setdefault(key, {}).setdefault(channel, file)
  complete = {k: s for k, s in sets.items() if len(s) == len(kept)}
  if all(len(candidates) == 1 for candidates in kept.values()) or not complete:
    groups = [Group("", {c: candidates[0] for c, candidates in kept.items()})]
  else:
    groups = _named(complete)
  used = {file.path for group in groups for file in group.files.values()}
  everything = [f for candidates in files.values() for f in candidates]
  return groups, [file for file in everything if file.path not in used]


def _named(sets: Mapping[tuple, Mapping[str, ImageFile]]) -> list[Group]:
  """Names each set by the entities in which they differ."""
  tables = [dict(key) for key in sets]
  names = sorted({name for table in tables for name in table})
  keys = tuple(n for n in names if len({t.get(n) for t in tables}) > 1)
  groups = []
  for table, files in zip(tables, sets.values(), strict=True):
    parts = [f"{key}-{table[key]}" for key in keys if key in table]
    groups.append(Group("_".join(parts), files, keys))
  return groups


def match_masks(
  masks: Sequence[ImageFile], image: ImageFile, keys: Sequence[str]
) -> list[ImageFile]:
  """Returns the masks that were drawn on an image.

  Args:
    masks: those of the image's patient and session.
    image: the study's reference image.
    keys: entities that tell the session's studies apart; a mask must have the
      same ones. Others it may leave out but not contradict.

  Returns:
    None, one, or several that fit equally well.
  """
  fitting = []
  for mask in masks:
    own = {k: v for k, v in mask.entities.items() if k not in _OF_MASKS}
    agrees = all(image.entities.get(k) == v for k, v in own.items())
    distinct = all(own.get(k) == image.entities.get(k) for k in keys)
    drawn_on = mask.entities.get("mod", image.suffix)
    if agrees and distinct and drawn_on == image.suffix:
      fitting.append((len(own), mask))
  most = max((count for count, _ in fitting), default=0)
  return [mask for count, mask in fitting if count == most]
