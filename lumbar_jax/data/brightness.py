"""Brightness, contrast and noise of a data set's images, and who stands out.

A study that was exported at another scale, is nearly black or drowns in noise
is read without complaint, normalised, and spoils training or a score. Each
channel's studies are compared with each other, by robust z-scores.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from lumbar_jax.arrays import StudyImages
from lumbar_jax.data.sources.found import WARNING, Finding

FEWEST = 8  # studies of a channel; of fewer no one stands out
_LIMIT = 6.0  # robust z-score
_FACTOR = 2.0  # times the median: less is no clear outlier, however alike all
_NUM_SLICES = 5  # in which noise is measured
_EVERY = 4  # row and column, of which percentiles are taken
_NAMES_SHOWN = 8
_TO_DEVIATION = 1.4826  # of a normal distribution, from the median deviation


@dataclasses.dataclass(frozen=True)
class Brightness:
  """What an image's grey values are like.

  Attributes:
    brightness: median of what is brighter than the image's mean (the body).
    contrast: 5th to 95th percentile of that part, relative to its median.
    noise: standard deviation of the noise, relative to its median.
  """

  brightness: float
  contrast: float
  noise: float


MEASURES = tuple(field.name for field in dataclasses.fields(Brightness))


def measure(array: StudyImages) -> Brightness:
  """Returns the measures of a volume [n h w]; NaN where there is no body."""
  sparse = array[:, ::_EVERY, ::_EVERY]
  body = sparse[sparse > sparse.mean()]
  if not body.size:
    return Brightness(np.nan, np.nan, np.nan)
  low, middle, high = np.percentile(body, (5, 50, 95)).tolist()
  if middle <= 0:
    return Brightness(np.nan, np.nan, np.nan)
  return Brightness(middle, (high - low) / middle, noise(array) / middle)


def noise(array: StudyImages) -> float:
  """Returns the noise's standard deviation, from a few central slices.

  Second differences along both axes, which are blind to edges and ramps along
  them; inside the body only, since scanners often blank the air around it.

  Source: Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996.
  """
  middle = len(array) // 2
  first = max(0, middle - _NUM_SLICES // 2)
  part = array[first : first + _NUM_SLICES].astype(np.float32)
  if min(part.shape[1:]) < 3:
    return np.nan
  filtered = np.diff(np.diff(part, 2, axis=1), 2, axis=2)
  inside = np.abs(filtered[part[:, 1:-1, 1:-1] > part.mean()])
  if not inside.size:
    return np.nan
  # 6 is the filter's norm; the root turns a mean deviation into a standard one.
  return float(np.sqrt(np.pi / 2) * inside.mean() / 6)


def outliers(
  measured: Mapping[str, Mapping[str, Brightness]], channels: Sequence[str]
) -> list[Finding]:
  """Returns a finding for each channel and measure that some stand out in.

  Args:
    measured: {study: {channel: its measures}}.
    channels: the channels.
  """
  findings = []
  for channel in channels:
    known = {s: m[channel] for s, m in measured.items() if channel in m}
    for name in MEASURES:
      values = {s: getattr(m, name) for s, m in known.items()}
      found, middle = _outside(values)
      if found:
        findings.append(_finding(channel, name, found, middle, len(values)))
  return findings


def _outside(values: Mapping[str, float]) -> tuple[dict[str, float], float]:
  """Returns ({study: its value} of those that stand out, the median).

  Compared are logarithms: twice is as far as half.
  """
  usable = {s: v for s, v in values.items() if np.isfinite(v) and v > 0}
  if len(usable) < FEWEST:
    return {}, np.nan
  logs = np.log(list(usable.values()))
  middle = np.median(logs)
  apart = np.abs(logs - middle)
  spread = max(_TO_DEVIATION * np.median(apart), 1e-6)
  far = (apart / spread > _LIMIT) & (apart > np.log(_FACTOR))
  names = np.array(list(usable))[far].tolist()
  return {name: usable[name] for name in names}, float(np.exp(middle))


def _times(ratio: float) -> str:
  """Returns "2.5 times", "1,000 times"."""
  return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _finding(
  channel: str,
  name: str,
  found: Mapping[str, float],
  middle: float,
  number: int,
) -> Finding:
  shown = sorted(found, key=lambda s: -abs(np.log(found[s] / middle)))
  words = ", ".join(
    f"{study} ({_times(found[study] / middle)} the median)"
    for study in shown[:_NAMES_SHOWN]
  )
  more = len(shown) - _NAMES_SHOWN
  words += f" and {more} more" if more > 0 else ""
  problem = (
    f"{channel}: {name} falls out of line in {len(found)} of {number} "
    f"studies: {words}"
  )
  remedy = "look at them: another scale, sequence or coil, or a bad export"
  return Finding(WARNING, problem, remedy)
