"""Intensity normalisation of one channel of a study.

Paper 000, section 4.1.2: every channel is scaled to zero mean and unit
variance over the volume. Paper 002 does not say; percentiles are the other
usual way. A new way is one function and one row of `METHODS`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lumbar_jax.errors import InputError, did_you_mean


def _moments(sample: np.ndarray) -> tuple[float, float] | None:
  """Returns (mean, deviation) of a sample; None if it is constant."""
  if not sample.size:
    return None
  mean = sample.mean(dtype=np.float64)
  deviation = sample.std(dtype=np.float64)
  if deviation <= 1e-6 * abs(mean):
    return None
  return mean, deviation


def has_contrast(array: np.ndarray) -> bool:
  """Whether an image is anything but constant, up to rounding."""
  return _moments(array) is not None


def _zscore(values: np.ndarray, sample: np.ndarray) -> np.ndarray | None:
  """Returns (values - mean) / deviation of the sample; None if constant."""
  moments = _moments(sample)
  if moments is None:
    return None
  mean, deviation = moments
  return (values.astype(np.float64) - mean) / deviation


_PERCENTILES = (0.5, 99.5)


def _percentile(values: np.ndarray) -> np.ndarray | None:
  """Returns values clipped to two percentiles and scaled to 0 .. 1."""
  low, high = np.percentile(values, _PERCENTILES).tolist()
  if high - low <= 1e-6 * abs(high):
    return None
  return (np.clip(values, low, high).astype(np.float64) - low) / (high - low)


# {name of config.data.normalisation: [values] -> scaled values, or None where
# there is no contrast to scale}
METHODS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
  "volume": lambda values: _zscore(values, values),
  # Scanners blank the air.
  "nonzero": lambda values: _zscore(values, values[values != 0]),
  "percentile": _percentile,
}


def _scaled(
  values: np.ndarray, method: str, path: str | Path | None
) -> np.ndarray:
  """Returns [values] scaled; raises where that cannot be."""
  if method not in METHODS:
    raise InputError(
      f"config.data.normalisation is {method!r}",
      did_you_mean(method, METHODS) + f"allowed: {', '.join(METHODS)}",
    )
  if not values.size:
    raise InputError(
      "none of its voxels lies in the reference channel's field of view",
      "check that both belong to the same session and that their headers are "
      "right, or leave the channel out with --config.data.channels=...",
      path=path,
    )
  scaled = METHODS[method](values)
  if scaled is None:
    raise InputError(
      f"a constant image: its values lie between {values.min():g} and "
      f"{values.max():g}",
      "export the volume again, or leave the study out",
      path=path,
    )
  return scaled


def check_contrast(
  array: np.ndarray, method: str, path: str | Path | None = None
) -> None:
  """Checks that a channel can be scaled, before it is resampled.

  Args:
    array: [n h w] intensities on the channel's own grid.
    method: a name of `METHODS`.
    path: the channel's file, for the error.

  Raises:
    InputError: as `normalise`.
  """
  _scaled(array.ravel(), method, path)


def normalise(
  array: np.ndarray,
  method: str,
  field: np.ndarray | None = None,
  path: str | Path | None = None,
) -> np.ndarray:
  """Scales one channel.

  Args:
    array: [n h w] intensities.
    method: a name of `METHODS`.
    field: [n h w] bool, the channel's field of view; voxels outside it (a
      registered channel has some) are left out of the statistics and get the
      channel's minimum after scaling. None: all voxels are inside.
    path: the channel's file, for the error.

  Returns:
    [n h w] float32.

  Raises:
    InputError: an unknown method, an empty field or a constant image.
  """
  values = array.ravel() if field is None else array[field]
  scaled = _scaled(values, method, path)
  result = np.full(array.shape, scaled.min(), np.float32)
  result[... if field is None else field] = (
    scaled.reshape(array.shape) if field is None else scaled
  )
  return result
