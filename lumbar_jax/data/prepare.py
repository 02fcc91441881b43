"""From a study's files to arrays that patches can be cut from.

    files -> volumes -> registered -> normalised -> training resolution

The arrays lie in a cache folder and are memory-mapped. An entry is found again
by what shaped it: the content of the files and the settings, not their names.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.anatomy import Scheme
from lumbar_jax.data import cache as entries
from lumbar_jax.data.checks import check_channels
from lumbar_jax.data.studies import Study
from lumbar_jax.data.study_arrays import (
  CHECKS,
  check_again,
  make_arrays,
  mask_table,
)
from lumbar_jax.errors import (
  DISK_FULL,
  InputError,
  explain,
  listed,
  printable,
)
from lumbar_jax.files import digest, file_digest
from lumbar_jax.formats.nifti_files import volume_files
from lumbar_jax.timing import stage

VERSION = 2  # raise it when this code, or code it calls, changes its results


@dataclasses.dataclass(frozen=True)
class PreparedStudy:
  """A study ready for training or prediction.

  The training grid covers the same rectangle as the native one, pixel centres
  aligned (see `resampling`): scores are resized back to `native_shape`.

  Attributes:
    name: unique name of the study.
    patient: identifier that splits are made by.
    session: identifier of the session.
    image: [n h w c] float32 at training resolution, channels in the order of
      config.data.channels.
    mask: [n h w] uint8 classes at training resolution, 255 = ignore; or None.
    native_mask: [n H W] uint8 on the reference channel's grid; or None.
    native_shape: (H, W) of the reference channel.
    spacing_mm: native distance of neighbouring (slices, rows, columns).
    info: {"digest", "flags": [text], "paths": {channel or "mask": path},
      "files": as from `file_digests`, of the channels that are used,
      "digest_unassumed": the digest without `assume_orientation`, if it is set,
      "registration": {channel: record}, "training_spacing_mm",
      "labels": [[number in the mask file, voxels]], with a mask}.
  """

  name: str
  patient: str
  session: str
  image: np.ndarray
  mask: np.ndarray | None
  native_mask: np.ndarray | None
  native_shape: tuple[int, int]
  spacing_mm: tuple[float, float, float]
  info: dict[str, Any]


def _paths(study: Study, data_config) -> dict[str, str]:
  paths = {c: str(study.images[c]) for c in data_config.channels}
  return paths | ({"mask": str(study.mask)} if study.mask else {})


def _content_digest(path: str) -> str:
  """Returns 16 hex digits of all of a volume's bytes.

  Raises:
    InputError: no such file.
  """
  if not Path(path).is_file():
    raise InputError("no such file", "check the path", path=path)
  found = [file_digest(file) for file in volume_files(path)]
  return found[0] if len(found) == 1 else digest(found)


def file_digests(study: Study) -> dict[str, str]:
  """Returns {channel or "mask": 16 hex digits of the content of its files}.

  What two studies have in common is told by it, wherever the files lie and
  whatever they are called.

  Raises:
    InputError: a file that is not there.
  """
  paths = dict(study.images) | ({"mask": study.mask} if study.mask else {})
  return {name: _content_digest(str(path)) for name, path in paths.items()}


def _bundle(study: Study, data_config, entry: dict, arrays, info):
  """Builds the PreparedStudy of arrays and info."""
  paths = _paths(study, data_config)
  return PreparedStudy(
    name=study.name,
    patient=study.patient,
    session=study.session,
    image=arrays["image"],
    mask=arrays.get("mask"),
    native_mask=arrays.get("native_mask"),
    native_shape=tuple(info["native_shape"]),
    spacing_mm=tuple(info["spacing_mm"]),
    info={**info, **entry, "paths": paths},
  )


@stage("read")
def entry_digest(
  study: Study, data_config, scheme: Scheme, mask_scheme: Scheme | None = None
) -> str:
  """Returns 16 hex digits of all that shapes a prepared study.

  Raises:
    InputError: a missing channel or file.
  """
  return _entry(study, data_config, scheme, mask_scheme)["digest"]


def _entry(study: Study, data_config, scheme, mask_scheme) -> dict[str, Any]:
  """Returns the digests of a `PreparedStudy.info`."""
  check_channels(study, data_config.channels)
  paths = _paths(study, data_config)
  files = {name: _content_digest(path) for name, path in paths.items()}
  fields = ("registration", "registration_bound_mm", "normalisation")
  settings = {name: data_config[name] for name in (*fields, "spacing_mm")}
  settings["channels"] = list(data_config.channels)
  if data_config.image_size:  # else as it was when there was no such field
    settings["image_size"] = data_config.image_size
  if data_config.assume_orientation:
    settings["assume_orientation"] = data_config.assume_orientation
  if study.mask is not None:
    table = mask_table(data_config, scheme, mask_scheme)
    settings["scheme"] = [scheme.names, sorted(table.items())]
  entry = {"digest": digest(VERSION, files, settings), "files": files}
  if settings.pop("assume_orientation", ""):
    entry["digest_unassumed"] = digest(VERSION, files, settings)
  return entry


def prepare_in_memory(
  study: Study, data_config, scheme: Scheme, mask_scheme: Scheme | None = None
) -> PreparedStudy:
  """Prepares a study without a cache (prediction); the mask may be missing.

  Args and errors as for `prepare_study`.
  """
  with stage("read"):
    entry = _entry(study, data_config, scheme, mask_scheme)
  arrays, info = make_arrays(study, data_config, scheme, mask_scheme)
  return _bundle(study, data_config, entry, arrays, info)


def prepare_study(
  study: Study,
  data_config,
  scheme: Scheme,
  cache: str | os.PathLike,
  mask_scheme: Scheme | None = None,
) -> PreparedStudy:
  """Prepares a study, or finds it prepared.

  Args:
    study: the files.
    data_config: `config.data`.
    scheme: the classes to train on.
    cache: folder of the prepared studies.
    mask_scheme: the scheme that the mask was drawn in; None: `scheme`.

  Returns:
    The study, its arrays memory-mapped, read-only.

  Raises:
    InputError: a missing channel, a file that cannot be used, a mask on
      another grid than the reference channel, an unknown label.
  """
  with stage("read"):
    entry = _entry(study, data_config, scheme, mask_scheme)
  arguments = study, data_config, scheme, mask_scheme
  arrays, info = entries.fetch(
    Path(cache) / f"{study.name}-{entry['digest']}",
    lambda: make_arrays(*arguments),
    lambda info: (
      info if info.get("checks") == CHECKS else check_again(*arguments, info)
    ),
  )
  return _bundle(study, data_config, entry, arrays, info)


def prepare_studies(
  studies: Sequence[Study],
  data_config,
  scheme: Scheme,
  mask_scheme: Scheme | None,
  cache: str | os.PathLike,
  progress: Callable[[int, int, str], None] | None = None,
) -> list[PreparedStudy]:
  """Prepares studies, several at once in threads.

  Args:
    studies: in any order; the result keeps it.
    data_config: `config.data`.
    scheme: the classes to train on.
    mask_scheme: the scheme that the masks were drawn in; None: `scheme`.
    cache: folder of the prepared studies.
    progress: called with (number done, number of studies, name of the last).

  Raises:
    InputError: studies that cannot be used, as for `prepare_study`; each of
      them is logged, and the others are prepared by then.
    OSError: a disk that is full, or may not be written.
  """
  ready, failed = _in_threads(
    lambda s: prepare_study(s, data_config, scheme, cache, mask_scheme),
    studies,
    progress,
  )
  if not failed:
    return ready
  if len(failed) == 1:
    raise _alone(*failed[0])
  for study, error in failed:
    logging.error("study %s: %s", printable(study.name), explain(error)[0])
  names = listed([printable(study.name) for study, _ in failed])
  raise InputError(
    f"{len(failed)} of {len(studies)} studies cannot be used: {names} (see "
    "above)",
    "mend them, or take them out of the data; --mode=doctor says more; what is "
    "prepared is kept",
  )


def _alone(study: Study, error: BaseException) -> InputError:
  """Returns the error of the only study that cannot be used."""
  more = "--mode=doctor lists the problems of all studies"
  if isinstance(error, InputError):
    remedy = f"{error.remedy.rstrip('.')}; {more}"
    return InputError(error.problem, remedy, path=error.path)
  text = explain(error)[0]
  return InputError(f"study {printable(study.name)}: {text}", more)


def _in_threads(work, studies: Sequence[Study], progress):
  """Returns ([work(study)], [(study, error)] of those that cannot be used).

  An error that is not a study's own stops those not yet begun.
  """
  num_threads = max(1, min(os.cpu_count() or 1, len(studies)))
  pool = concurrent.futures.ThreadPoolExecutor(num_threads)
  failed = {}
  try:
    futures = [pool.submit(work, study) for study in studies]
    numbers = {future: number for number, future in enumerate(futures)}
    finished = concurrent.futures.as_completed(futures)
    for done, future in enumerate(finished, start=1):
      number = numbers[future]
      error = future.exception()
      if error is not None:
        if not _is_of_a_study(error):
          error.add_note(f"study {printable(studies[number].name)}")
          raise error
        failed[number] = error
      if progress is not None:
        progress(done, len(studies), studies[number].name)
    ready = [f.result() for f in futures if numbers[f] not in failed]
    return ready, [(studies[n], failed[n]) for n in sorted(failed)]
  finally:
    pool.shutdown(cancel_futures=True)


def _is_of_a_study(error: BaseException) -> bool:
  """Whether other studies can still be prepared."""
  if isinstance(error, OSError):
    return error.errno not in DISK_FULL
  return isinstance(error, InputError | MemoryError)
