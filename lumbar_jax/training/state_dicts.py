"""Files of named arrays as other frameworks write them: .safetensors, .npz."""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lumbar_jax.errors import InputError

# Element types of safetensors that weights have, little-endian.
_TYPES: dict[str, Any] = {
  "F64": "<f8",
  "F32": "<f4",
  "F16": "<f2",
  "BF16": jnp.bfloat16,
  "I64": "<i8",  # of counters
  "I32": "<i4",
}
_HOW_TO = (
  "PyTorch writes one by safetensors.torch.save_file(model.state_dict(), PATH) "
  "or numpy.savez(PATH, **{k: v.numpy() for k, v in "
  "model.state_dict().items()})"
)


def _slice(data: np.ndarray, name: str, entry: Any) -> np.ndarray:
  """Returns a tensor of a safetensors file's data.

  Raises:
    ValueError: it is of a type that no weight has, or not within the data.
  """
  if entry["dtype"] not in _TYPES:
    raise ValueError(f"{name} is of type {entry['dtype']}")
  shape, dtype = entry["shape"], np.dtype(_TYPES[entry["dtype"]])
  start, end = entry["data_offsets"]
  size = math.prod(shape) * dtype.itemsize
  if not 0 <= start <= end <= len(data) or end - start != size:
    raise ValueError(f"{name} has bytes {start} to {end} of {len(data)}")
  return data[start:end].view(dtype).reshape(shape)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
  """Reads 8 bytes with the header's length, the header (JSON), the data."""
  data = np.fromfile(path, np.uint8)
  length = int.from_bytes(data[:8].tobytes(), "little")
  header = json.loads(data[8 : 8 + length].tobytes())
  header.pop("__metadata__", None)
  rest = data[8 + length :]
  return {name: _slice(rest, name, entry) for name, entry in header.items()}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as file:
    return {name: file[name] for name in file.files}


_DAMAGED = (
  *(ValueError, LookupError, TypeError, AttributeError),  # of a wrong header
  *(EOFError, zipfile.BadZipFile),
)
_READERS = {".safetensors": _read_safetensors, ".npz": _read_npz}


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of a .safetensors or .npz file by their names.

  Format of the former: github.com/huggingface/safetensors, "Format".

  Raises:
    InputError: no such file, another kind of file, or a damaged one.
  """
  path = Path(path)
  if path.suffix not in _READERS:
    kinds = " or ".join(_READERS)
    raise InputError(f"not a {kinds} file", _HOW_TO, path=path)
  if not path.is_file():
    raise InputError("no such file", path=path)
  try:
    return _READERS[path.suffix](path)
  except _DAMAGED as error:
    raise InputError(
      f"not a readable {path.suffix} file: {error}", _HOW_TO, path=path
    ) from error
