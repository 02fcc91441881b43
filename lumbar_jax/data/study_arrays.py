"""A study's arrays, made from its files on the grid of its reference channel.

The reference is the first of `config.data.channels`. The others are registered
to it; a mask has to lie on its grid as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax.anatomy import Scheme, map_labels
from lumbar_jax.data.normalisation import normalise
from lumbar_jax.data.registration import register
from lumbar_jax.data.resampling import (
  resize_images,
  resize_labels,
  training_shape,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import GRID_TOLERANCE_MM, Volume, read_volume
from lumbar_jax.errors import InputError
from lumbar_jax.timing import stage

_LEAST_COVERAGE = 0.8  # of the reference grid; less is flagged


def check_channels(study: Study, channels: Sequence[str]) -> None:
  """Checks that a study has every channel.

  Raises:
    InputError: names the patient, the session and the missing channel.
  """
  missing = [c for c in channels if c not in study.images]
  if missing:
    present = [c for c in channels if c in study.images]
    session = f", session {study.session}" if study.session else ""
    remedy = f"add the {missing[0]} file"
    if present:
      remedy += f", or use --config.data.channels={','.join(present)}"
    raise InputError(
      f"patient {study.patient}{session}: "
      f"{' and '.join(present) or 'a study'} without "
      f"{' and '.join(missing)}",
      f"{remedy}, or leave the study out",
    )


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
  check_channels(study, data_config.channels)
  reference = read_volume(study.images[data_config.channels[0]])
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
    arrays["native_mask"] = _read_mask(study.mask, reference, table)
    arrays["mask"] = resize_labels(arrays["native_mask"], shape)
  channels, registration = _read_channels(study, data_config, reference)
  channels = [resize_images(channel, shape) for channel in channels]
  arrays["image"] = np.stack(channels, axis=-1)
  return arrays, _info(reference, shape, registration)


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


def _read_channels(study: Study, data_config, reference: Volume):
  """Returns each channel [n H W] float32 on the native grid, and records."""
  image = normalise(
    reference.array, data_config.normalisation, path=reference.path
  )
  channels, records = [image], {}
  for channel in data_config.channels[1:]:
    image, records[channel] = _other_channel(
      study.images[channel], reference, data_config
    )
    channels.append(image)
  return channels, records


def _other_channel(path: Path, reference: Volume, data_config):
  """Returns a channel [n H W] on the reference's grid, and its record."""
  result = register(
    reference,
    read_volume(path),
    data_config.registration,
    data_config.registration_bound_mm,
  )
  image = normalise(result.array, data_config.normalisation, result.field, path)
  return image, result.record()


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


def _read_mask(path: Path, reference: Volume, table) -> np.ndarray:
  """Reads the truth as [n H W] uint8 classes on the reference's grid."""
  volume = read_volume(path)
  if not volume.same_grid(reference):
    shapes = volume.array.shape, reference.array.shape
    offset = np.abs(volume.affine - reference.affine)[:3, 3].max()
    value = (
      f"its shape is {shapes[0]} and not {shapes[1]} (slices, rows, columns)"
      if shapes[0] != shapes[1]
      else f"its affine differs (origins {offset:.3g} mm apart, "
      f"spacing {_mm(volume)} against {_mm(reference)} mm; "
      f"allowed: {GRID_TOLERANCE_MM:g} mm at any corner)"
    )
    raise InputError(
      f"the mask is not on the grid of {reference.path}: {value}",
      "resample the mask to that image with nearest neighbours, or correct "
      "its header",
      path=path,
    )
  return map_labels(volume.array, table, path)


def _mm(volume: Volume) -> str:
  return " x ".join(f"{s:.4g}" for s in volume.spacing_mm)
