"""Where studies' files will go, checked before anything is computed.

Names that the file system does not take, two studies of one name, and space.
"""

import collections
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from absl import logging

from lumbar_jax.data.room import grid
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, printable
from lumbar_jax.inference import outputs
from lumbar_jax.inference.jobs import Job
from lumbar_jax.space import check_free, free_bytes, human

_LONGEST_END = "_probseg.nii.gz"
_ON_WINDOWS = set('<>:"|?*\\')  # which cannot take these in a name
# Bytes that a voxel takes when it is packed, and those that a study takes in
# any case.
_MASK, _SCORE, _OVERLAY, _SMALL = 0.05, 2.0, 400_000, 20_000
_LEAST_OVERLAY, _LEAST_SMALL = 30_000, 8_000  # of tiny slices


def refused(job: Job, studies: Mapping[int, Study]) -> dict[int, Exception]:
  """Returns {number of a study: why its files cannot be written}.

  Args:
    job: the output folder.
    studies: {number: study}; those without a reference image are left aside.
  """
  channel = job.run.config.data.channels[0]
  found, places = {}, {}
  for number, study in studies.items():
    if channel not in study.images:
      continue
    try:
      folder, stem = job.target(study)
      error = _check_name(job.output, folder, stem, study.images[channel])
    except Exception as fault:  # one study must not hide the others
      found[number] = fault
      continue
    if error is not None:
      found[number] = error
      continue
    places[number] = folder / stem
  for number, problem in _refused_twins(job.output, studies, places).items():
    found[number] = InputError(
      problem,
      "predict them into folders of their own",
      path=studies[number].images[channel],
    )
  _warn_of_windows(
    str(place.relative_to(job.output))
    for number, place in places.items()
    if number not in found
  )
  return found


def _refused_twins(
  output: Path, studies: Mapping[int, Study], places: Mapping[int, Path]
) -> dict[int, str]:
  """Returns {number: problem} of studies whose files would be the same.

  Names that differ in case or in the form of accents only are one on some
  disks and two on others: the output folder's own is asked.
  """
  alike, found = collections.defaultdict(list), {}
  for number, place in places.items():
    alike[_folded(place)].append(number)
  for numbers in alike.values():
    files = {places[number] for number in numbers}
    seen = _seen_by_disk(output, files) if len(files) > 1 else {}
    takers = collections.defaultdict(list)
    for number in numbers:
      takers[seen.get(places[number])].append(number)
    if len(takers) > 1:
      logging.warning(
        "the names of studies %s differ in case or accents only: they are "
        "several here, but one on disks that do not tell these apart, as many "
        "of Windows and macOS do not",
        _names(studies, numbers),
      )
    for same in takers.values():
      for number in same if len(same) > 1 else ():
        found[number] = (
          f"studies {_names(studies, same)} would both be written to "
          f"{printable(places[number])}_dseg.nii.gz"
        )
  return found


def _names(studies: Mapping[int, Study], numbers: Iterable[int]) -> str:
  return " and ".join(printable(studies[number].name) for number in numbers)


def _folded(path: Path) -> str:
  """Returns the same for all paths that may be one on some disk."""
  return unicodedata.normalize("NFC", str(path)).casefold()


def _seen_by_disk(output: Path, files: Iterable[Path]) -> dict[Path, str]:
  """Returns {file: the same for those that are one where `output` lies}.

  Args:
    output: a folder, in which they are tried in a folder that goes again.
    files: below it; they need not be there. Empty if the disk does not take
      them: nothing then tells them apart.
  """
  found = {}
  try:
    with tempfile.TemporaryDirectory(prefix=".names-", dir=output) as scratch:
      for number, file in enumerate(sorted(files)):
        path = scratch / file.relative_to(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
          path.write_text(str(number), encoding="ascii")
        found[file] = path.read_text(encoding="ascii")
  except OSError:
    return {}
  return found


def _check_name(
  output: Path, folder: Path, stem: str, image: Path
) -> InputError | None:
  """Returns what is wrong with the names of a study's files, or None."""
  parts = (*folder.relative_to(output).parts, stem)
  problem = ""
  if not stem or os.sep in stem or ".." in parts:
    problem = f"{stem!r} is no file's name"
  elif any(unicodedata.category(c) in ("Cc", "Cs") for c in "".join(parts)):
    problem = f"its name {'/'.join(parts)!r} has bytes that are no text"
  elif _is_too_long(output, folder, stem):
    problem = f"the name {stem + _LONGEST_END!r} is too long for {output}"
  if not problem:
    return None
  return InputError(
    f"its results cannot be written: {problem}",
    "rename the file, or give it a shorter name in a manifest",
    path=image,
  )


def _is_too_long(output: Path, folder: Path, stem: str) -> bool:
  names, whole = 255, 4096
  for place in (output, *output.parents):
    if place.is_dir():
      names = os.pathconf(place, "PC_NAME_MAX")
      whole = os.pathconf(place, "PC_PATH_MAX")
      break
  path = os.fsencode(folder.absolute() / f"{stem}{_LONGEST_END}")
  return len(path) >= whole or any(len(n) > names for n in path.split(b"/"))


def _warn_of_windows(names: Iterable[str]) -> None:
  odd = sorted(n for n in names if _ON_WINDOWS & set(n) or n[-1:] in " .")
  if odd:
    logging.warning(
      "%d names, such as %r, cannot be copied to a Windows disk: %s",
      *(len(odd), odd[0], "rename the files if they have to be"),
    )


def likely_bytes(job: Job, study: Study, *, least: bool = False) -> float:
  """Returns about what a study's files will take.

  Args:
    job: says which files.
    study: its image's header says how many voxels; else none are counted.
    least: count what even the smallest pictures take.
  """
  voxels, _ = grid(study.images.get(job.run.config.data.channels[0]))
  small, overlay = _SMALL, _OVERLAY
  if least:
    small, overlay = _LEAST_SMALL, _LEAST_OVERLAY
  size = small + voxels * _MASK + job.overlays * overlay
  if job.probabilities:
    size += voxels * job.run.scheme.num_classes * _SCORE
  return size


def check_space(job: Job, study: Study) -> None:
  """Raises InputError if a study's files will certainly find no room.

  Where they may just fit they are written: a full disk is an error like others.
  """
  check_free(
    job.output,
    likely_bytes(job, study, least=True),
    f"the segmentation of {printable(study.name)}",
    "give another --output",
  )


def warn_of_space(job: Job, studies: Mapping[int, Study]) -> None:
  """Logs a warning if the files of all studies will find no room."""
  free = free_bytes(job.output)
  if free is None or not studies:
    return
  missing = [
    study
    for study in studies.values()
    if not outputs.mask_path(*job.target(study)).is_file()
  ]
  needed = sum(likely_bytes(job, study) for study in missing)
  if needed > free:
    logging.warning(
      "%s: %d studies will take about %s, but only %s are free: those that "
      "find no room will fail",
      *(job.output, len(missing), human(needed), human(free)),
    )
