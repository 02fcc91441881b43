"""Whether what a run will write finds room: asked before anything is made."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from absl import logging

from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.space import check_writable, free_bytes, human

_REMEDY = (
  "free some space there, or give another place: --config.data.cache=FOLDER "
  "for the prepared studies, --workdir for all of the run"
)


def prepared_bytes(study: Study, data_config) -> float:
  """Returns about what a prepared study takes; 0 if its header is unreadable.

  Float32 channels and a uint8 mask at training resolution, and a uint8 mask on
  the native grid; see `prepare.PreparedStudy`.
  """
  try:
    header = nib.load(study.images[data_config.channels[0]]).header
    shape = np.array(header.get_data_shape()[:3], float)
    zooms = np.array(header.get_zooms()[:3], float)
  except Exception:  # whoever reads it for real says what is wrong
    return 0
  voxels, scale = shape.prod(), 1.0
  if data_config.spacing_mm:  # in the plane, across which slices lie apart
    in_plane = np.delete(zooms, np.argmax(zooms))
    scale = in_plane.prod() / data_config.spacing_mm**2
  trained = voxels * min(scale, 1.0)
  return trained * (4 * len(data_config.channels) + 1) + voxels


def check_room(
  studies: Sequence[Study], data_config, cache: Path, workdir: Path
) -> None:
  """Checks that a run's folders can be written and its studies find room.

  Args:
    studies: that will be prepared; those that lie in the cache already are
      counted as done.
    data_config: `config.data`.
    cache: folder of the prepared studies.
    workdir: folder of the run.

  Raises:
    InputError: clearly too little space; where it may just do, that is logged.
    OSError: a folder cannot be written.
  """
  check_writable(workdir)
  entries = Path(cache).iterdir() if Path(cache).is_dir() else ()
  there = {path.name.rpartition("-")[0] for path in entries}
  missing = [study for study in studies if study.name not in there]
  if missing:  # else the cache may be another's, to be read only
    check_writable(cache)
  needed = sum(prepared_bytes(study, data_config) for study in missing)
  free = free_bytes(cache)
  if free is None or needed <= free:
    return
  text = (
    f"preparing {len(missing)} studies needs about {human(needed)}, but only "
    f"{human(free)} are free"
  )
  if needed > 2 * free:  # it is an estimate
    raise InputError(text, _REMEDY, path=cache)
  logging.warning("%s: %s: %s", cache, text, _REMEDY)
