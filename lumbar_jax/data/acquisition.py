"""How a data set was acquired: ranges, as paper 000 gives them in Table 1.

Parameters come from the JSON sidecars (BIDS: plain keywords, seconds; MIDS and
DICOM JSON: tags or keywords with lists, strings or {"vr", "Value"}, usually
milliseconds), sizes and spacings from the images' headers.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lumbar_jax.data.studies import Study
from lumbar_jax.formats import names

# Shown name: (unit, keys in a sidecar: keyword, tag)
_NUMBERS = {
  "repetition time": ("ms", "RepetitionTime", "00180080"),
  "echo time": ("ms", "EchoTime", "00180081"),
  "slice thickness": ("mm", "SliceThickness", "00180050"),
  "spacing between slices": ("mm", "SpacingBetweenSlices", "00180088"),
  "field strength": ("T", "MagneticFieldStrength", "00180087"),
  "imaging frequency": ("MHz", "ImagingFrequency", "00180084"),
  "echo train length": ("", "EchoTrainLength", "00180091"),
  "flip angle": ("degrees", "FlipAngle", "00181314"),
  "averages": ("", "NumberOfAverages", "00180083"),
  "bandwidth": ("Hz/px", "PixelBandwidth", "00180095"),
}
_WORDS = {
  "manufacturer": ("Manufacturer", "00080070"),
  "model": ("ManufacturersModelName", "ManufacturerModelName", "00081090"),
}
_TIMES = ("repetition time", "echo time")
_WORDS_SHOWN = 4

Row = tuple[str, dict[str, str]]  # parameter and unit, {channel: range}


def _plain(key: str) -> str:
  return re.sub(r"[^a-z0-9]", "", key.casefold())


def _values(value: Any) -> list[Any]:
  """Returns the numbers and words in a sidecar's value, whatever its form."""
  if isinstance(value, Mapping):
    return _values(value.get("Value", value.get("value")))
  if isinstance(value, list | tuple):
    return [found for item in value for found in _values(item)]
  if isinstance(value, str):  # DICOM separates values by backslashes
    return [part.strip() for part in value.split("\\") if part.strip()]
  return [] if value is None or isinstance(value, bool) else [value]


def _numbers(values: Iterable[Any]) -> list[float]:
  found = []
  for value in values:
    try:
      number = float(value)
    except (TypeError, ValueError):
      continue
    if math.isfinite(number):
      found.append(number)
  return found


def parameters(sidecar: Any) -> dict[str, list]:
  """Returns {parameter: its values} of a sidecar; times in milliseconds.

  Times are seconds in BIDS and milliseconds in DICOM, and sidecars do not say
  which they hold. No echo time is a second long and no repetition time 100
  seconds: larger ones are milliseconds, and then both are.
  """
  if not isinstance(sidecar, Mapping):
    return {}
  by_key = {_plain(str(key)): value for key, value in sidecar.items()}

  def look_up(keys: Sequence[str]) -> list[Any]:
    for key in map(_plain, keys):
      if key in by_key:
        return _values(by_key[key])
    return []

  found = {n: _numbers(look_up(keys)) for n, (_, *keys) in _NUMBERS.items()}
  repetition, echo = (found[name] for name in _TIMES)
  seconds = not any(t > 100 for t in repetition) and not any(
    t >= 1 for t in echo
  )
  for name in _TIMES if seconds else ():
    found[name] = [1000 * value for value in found[name]]
  found |= {n: list(map(str, look_up(keys))) for n, keys in _WORDS.items()}
  return {name: values for name, values in found.items() if values}


def _sidecar(study: Study, channel: str) -> Any:
  """Returns a channel's sidecar: the source's, or the .json beside the file."""
  known = study.metadata.get(channel)
  if known:
    return known
  path = study.images[channel]
  stem = names.stem_of(path)
  try:
    text = path.with_name(f"{stem}.json").read_text(encoding="utf-8-sig")
    return json.loads(text)
  except (OSError, ValueError):
    return None


def span(values: Sequence[float]) -> str:
  """Returns "300 to 764", or one number where all are alike."""
  low, high = (f"{value:.5g}" for value in (min(values), max(values)))
  return low if low == high else f"{low} to {high}"


def _words(values: Sequence[str]) -> str:
  """Returns "SIEMENS 28, Philips 2"."""
  counts = Counter(values).most_common()
  shown = ", ".join(f"{word} {n}" for word, n in counts[:_WORDS_SHOWN])
  more = len(counts) - _WORDS_SHOWN
  return shown + (f", {more} more" if more > 0 else "")


def sagittal(grid: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
  """Returns a grid's (slices, rows, columns) and their spacing in mm."""
  order = [
    next(i for i, code in enumerate(grid.orientation) if code in pair)
    for pair in ("LR", "SI", "AP")
  ]
  return (
    tuple(grid.matrix[i] for i in order),
    tuple(grid.spacing_mm[i] for i in order),
  )


def _geometry(grids: Iterable[Any]) -> dict[str, list[float]]:
  """Returns {what: values} of the channels' grids."""
  found: dict[str, list[float]] = {}
  for grid in grids:
    (slices, rows, columns), (across, *in_plane) = sagittal(grid)
    for name, values in (
      ("height (px)", [rows]),
      ("width (px)", [columns]),
      ("pixel spacing (mm)", in_plane),
      ("slices", [slices]),
      ("distance of slices (mm)", [across]),
    ):
      found.setdefault(name, []).extend(values)
  return found


def table(
  studies: Sequence[Study],
  grids: Mapping[str, Mapping[str, Any]],
  channels: Sequence[str],
) -> list[Row]:
  """Returns the ranges of all that is known, a row a parameter.

  Args:
    studies: the studies.
    grids: {study: {channel: its grid or None}}.
    channels: the columns.

  Returns:
    (parameter with its unit, {channel: range}); where only some studies tell,
    their number stands behind. What nobody tells has no row.
  """
  cells: dict[str, dict[str, str]] = {}
  for channel in channels:
    mine = [study for study in studies if channel in study.images]
    told = [parameters(_sidecar(study, channel)) for study in mine]
    for name in (*_WORDS, *_NUMBERS):
      per_study = [known[name] for known in told if name in known]
      values = [value for found in per_study for value in found]
      if not values:
        continue
      unit = _NUMBERS[name][0] if name in _NUMBERS else ""
      title = f"{name} ({unit})" if unit else name
      text = span(values) if name in _NUMBERS else _words(values)
      if len(per_study) < len(mine):
        text += f" ({len(per_study)} of {len(mine)} studies)"
      cells.setdefault(title, {})[channel] = text
    of_channel = [g.get(channel) for g in grids.values()]
    known = [grid for grid in of_channel if grid is not None]
    for title, values in _geometry(known).items():
      cells.setdefault(title, {})[channel] = span(values)
  return list(cells.items())
