"""Whether what a run will write finds room: asked before anything is made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from lumbar_jax.data.prepare import volume_files
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError
from lumbar_jax.formats.nifti_header import read_raw_header
from lumbar_jax.space import check_writable, free_bytes, human

_PACKED = 1100  # how much smaller gzip can make a file at best
_REMEDY = (
  "free some space there, or give another place: --config.data.cache=FOLDER "
  "for the prepared studies, --workdir for all of the run"
)


def grid(path: Path | None) -> tuple[float, np.ndarray]:
  """Returns (voxels, their sizes [3] in mm) of a header; 0 if it cannot be.

  A damaged header may claim more than a file can hold, however packed.
  """
  try:
    raw = read_raw_header(path)  # nibabel's own reader logs what it mends
    shape = np.array(raw.shape, float)
    zooms = np.abs(np.array(raw.fields["pixdim"][1:4], float))
    zooms = np.where(zooms > 0, zooms, 1)
    size = shape.prod() * raw.dtype.itemsize
    stored = sum(file.stat().st_size for file in volume_files(path))
    if shape.size == 3 and size <= _PACKED * stored:
      return float(shape.prod()), zooms
  except Exception:  # whoever reads it for real says what is wrong
    pass
  return 0.0, np.ones(3)


def prepared_bytes(study: Study, data_config) -> float:
  """Returns about what a prepared study takes; 0 if its header is unreadable.

  Float32 channels and a uint8 mask at training resolution, and a uint8 mask on
  the native grid; see `prepare.PreparedStudy`.
  """
  voxels, zooms = grid(study.images.get(data_config.channels[0]))
  scale = 1.0
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
