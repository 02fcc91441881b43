"""A study's arrays, made from its files on the grid of its reference channel.

The reference is the first of `config.data.channels`. The others are registered
to it; a mask has to lie on its grid as it is.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lumbar_jax.anatomy import Scheme, map_labels
from lumbar_jax.data.checks import (
  as_record,
  check_channels,
  check_image,
  check_mask,
  check_training_grid,
  counts_of,
  flags_of,
)
from lumbar_jax.data.normalisation import normalise
from lumbar_jax.data.registration import register
from lumbar_jax.data.resampling import (
  resize_images,
  resize_labels,
  training_shape,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import Volume, read_volume
from lumbar_jax.timing import stage

CHECKS = 2  # of `info["checks"]`: raise it when the checks find more
_LEAST_COVERAGE = 0.8  # of the reference grid; less is flagged


def mask_table(
  data_config, scheme: Scheme, mask_scheme: Scheme | None
) -> dict[int, int]:
  """Returns {number in the mask file: class}."""
  return scheme.lookup(mask_scheme or scheme, dict(data_config.remap))


@stage("prepare")
def make_arrays(
  study: Study, data_config, scheme: Scheme, mask_scheme: Scheme | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads a study's files and brings them to the training resolution.

  Args and errors as for `prepare.prepare_study`.

  Returns:
    The arrays by name ("image" [n h w c], and with a mask "mask" [n h w] and
    "native_mask" [n H W]), and what is known about them.
  """
  reader = _Reader(study, data_config)
  channels = data_config.channels
  reference = reader.image(channels[0])
  native = reference.array.shape[1:]
  shape = training_shape(
    native,
    reference.spacing_mm[1:],
    data_config.spacing_mm,
    data_config.image_size,
  )
  arrays = {}
  if study.mask is not None:  # before the dear part, so that errors come soon
    table = mask_table(data_config, scheme, mask_scheme)
    arrays["native_mask"] = reader.mask(reference, table)
    arrays["mask"] = resize_labels(arrays["native_mask"], shape)
  others = {c: reader.image(c) for c in channels[1:]}
  images, registration = _all_channels(others, data_config, reference)
  images = [resize_images(image, shape) for image in images]
  arrays["image"] = np.stack(images, axis=-1)
  info = _info(reference, shape, registration)
  return arrays, reader.record(info)


def check_again(
  study: Study,
  data_config,
  scheme: Scheme,
  mask_scheme: Scheme | None,
  info: dict[str, Any],
) -> dict[str, Any] | None:
  """Returns what is known about arrays that were made before the checks were.

  Args and errors as for `make_arrays`.

  Returns:
    `info` with the checks' results; None if the arrays have to be made again,
    since the header means something else than was read then.
  """
  reader = _Reader(study, data_config)
  volumes = [reader.image(channel) for channel in data_config.channels]
  reference = volumes[0]
  if study.mask is not None:
    reader.mask(reference, mask_table(data_config, scheme, mask_scheme))
  same = info["native_shape"] == list(reference.array.shape[1:])
  close = np.allclose(info["spacing_mm"], reference.spacing_mm, rtol=1e-6)
  if not (same and close):
    return None
  return reader.record({**info, "flags": _flags(info["registration"])})


class _Reader:
  """Reads the files of a study, checks them and keeps what is doubtful."""

  def __init__(self, study: Study, data_config):
    check_channels(study, data_config.channels)
    self._study = study
    self._config = data_config
    self._assumed = data_config.assume_orientation
    self._flags: list[str] = []
    self._labels = None

  def image(self, channel: str) -> Volume:
    """Returns a channel.

    Raises:
      InputError: it cannot be used.
    """
    path = self._study.images[channel]
    volume = read_volume(path, assume_orientation=self._assumed)
    findings = check_image(volume, self._study.name)
    if channel == self._config.channels[0]:
      findings += check_training_grid(volume, self._config, self._study.name)
    self._flags += flags_of(findings, channel)
    return volume

  def mask(self, reference: Volume, table: Mapping[int, int]) -> np.ndarray:
    """Returns the truth, [n H W] uint8 classes on the reference's grid.

    Raises:
      InputError: it cannot be used.
    """
    mask = read_volume(
      self._study.mask, dtype=None, assume_orientation=self._assumed
    )
    counts = counts_of(mask)
    findings = check_mask(mask, counts, reference, table, self._study.name)
    self._flags += flags_of(findings, "mask")
    self._labels = as_record(counts)
    return map_labels(mask.array, table, mask.path)

  def record(self, info: dict[str, Any]) -> dict[str, Any]:
    """Adds what the checks found to what is known about arrays."""
    checked = {} if self._labels is None else {"labels": self._labels}
    flags = [*self._flags, *info["flags"]]
    return {**info, **checked, "flags": flags, "checks": CHECKS}


def _info(
  reference: Volume,
  shape: tuple[int, int],
  registration: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
  """Returns what JSON can hold about arrays of `shape` (h, w)."""
  native = reference.array.shape[1:]
  scale = np.divide(native, shape)
  return {
    "native_shape": list(native),
    "spacing_mm": list(reference.spacing_mm),
    "training_spacing_mm": (scale * reference.spacing_mm[1:]).tolist(),
    "registration": registration,
    "flags": _flags(registration),
  }


def _all_channels(others: Mapping[str, Volume], data_config, reference: Volume):
  """Returns each channel [n H W] float32 on the native grid, and records."""
  image = normalise(
    reference.array, data_config.normalisation, path=reference.path
  )
  channels, records = [image], {}
  for channel, volume in others.items():
    result = register(
      reference,
      volume,
      data_config.registration,
      data_config.registration_bound_mm,
    )
    records[channel] = result.record()
    channels.append(
      normalise(
        result.array, data_config.normalisation, result.field, volume.path
      )
    )
  return channels, records


def _flags(registration: Mapping[str, Mapping[str, Any]]) -> list[str]:
  """Returns what doctor and report should say about the study."""
  flags = []
  for channel, record in registration.items():
    if record["verdict"] != "accepted":
      flags.append(f"{channel}: registration {record['verdict']}")
    if record["coverage"] < _LEAST_COVERAGE:
      flags.append(
        f"{channel}: covers {record['coverage']:.0%} of the reference channel"
      )
  return flags
