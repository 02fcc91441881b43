"""What was measured, as a list of records in `benchmark.json`.

A record has name, device, ours_s, peer_s, ratio (ours / peer: below 1 we are
quicker) and repeats; a peer's fields are null where there is none. Further
fields say more: peer (what it is), unit (where it is not seconds: the figures
are then `ours` and `peer_value`), note, error (largest difference of what both
computed), stages, versions, load.
"""

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lumbar_jax import hardware
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json

Record = dict[str, Any]

PACKAGES = ("jax", "jaxlib", "flax", "torch")
SIGNIFICANT = 5  # digits that are worth keeping


def make(name: str, fields: Mapping[str, Any] | None = None, **more) -> Record:
  """Returns a record of what this process measured on its device.

  Args:
    name: of the case, such as "forward/U1/batch8".
    fields: of `timing.compare`, or none.
    **more: further fields.
  """
  always = dict.fromkeys(("ours_s", "peer_s", "ratio", "peer"))
  return _rounded(
    {
      "name": name,
      "device": hardware.device_name(),
      **always,
      "repeats": 1,
      **(fields or {}),
      **more,
      **_circumstances(),
    }
  )


def _circumstances() -> Record:
  """Returns what one has to know to judge a figure."""
  now = datetime.datetime.now(datetime.UTC)
  return {
    "versions": {name: version for name in PACKAGES if (version := _of(name))},
    "cores": hardware.num_cores(),
    "load": os.getloadavg()[0],  # processes that wanted a core, last minute
    "when": now.isoformat(timespec="minutes"),
  }


def _of(package: str) -> str | None:
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None


def _rounded(value: Any) -> Any:
  """Returns JSON-able values, floats with the digits that mean something."""
  if isinstance(value, float):
    return float(f"{value:.{SIGNIFICANT}g}")
  if isinstance(value, Mapping):
    return {name: _rounded(item) for name, item in value.items()}
  if isinstance(value, list | tuple):
    return [_rounded(item) for item in value]
  return value


def merge(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
  """Returns old records, those of the same name and device replaced, and new.

  Args:
    old: in the order they keep.
    new: the later ones.
  """
  found = {(record["name"], record["device"]): record for record in old}
  found |= {(record["name"], record["device"]): record for record in new}
  return list(found.values())


def read(path: str | Path) -> list[Record]:
  """Returns the records of a file; none if it is not there.

  Raises:
    InputError: another file.
  """
  path = Path(path)
  if not path.is_file():
    return []
  try:
    records = read_json(path)
    merge(records, [])  # needs names and devices
  except (ValueError, TypeError, KeyError) as error:
    raise InputError(
      f"not a list of benchmark records ({type(error).__name__}: {error})",
      "move it away, or give another --workdir",
      path=path,
    ) from None
  return records


def add(path: str | Path, new: Sequence[Record]) -> list[Record]:
  """Adds records to a file, atomically; returns all it holds then.

  Raises:
    InputError: the file holds something else.
  """
  records = merge(read(path), new)
  write_json(path, records)
  return records
