"""Checksums of a checkpoint: what is read is what was written.

Neither orbax nor tensorstore notices a flipped bit in an array's file. So the
names, types and bytes of all arrays are digested when they are saved, the
digests lie beside them, and whoever reads the arrays compares.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lumbar_jax.files import digest

FIELD = "checksum"  # of a checkpoint's info


def layout(tree: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
  """Returns {leaf's name: (type, shape)} of arrays or of their metadata."""
  return {
    name: (np.dtype(leaf.dtype).name, tuple(leaf.shape))
    for name, leaf in _named(tree).items()
  }


def make(tree: Any, info: Mapping[str, Any]) -> dict[str, str]:
  """Returns what is stored beside a tree and its info.

  Args:
    tree: a pytree of arrays, of the host or of devices; each process of several
      holds all of them.
    info: JSON-able.
  """
  return {
    "info": digest(json.loads(json.dumps(info))),  # as it will be read
    "layout": digest(layout(tree)),
    "content": _content(tree),
  }


def fault(
  record: Mapping[str, str], name: str, value: Any, what: str
) -> str | None:
  """Returns what is wrong with a part of a checkpoint, or None.

  Args:
    record: from `make`.
    name: "info", "layout" or "content".
    value: the info, or the tree (for "layout" its metadata will do).
    what: the part, in words.
  """
  ways = {"info": digest, "layout": lambda t: digest(layout(t))}
  found = ways.get(name, _content)(value)
  if record.get(name) == found:
    return None
  return f"{what} do not match their checksum"


def _named(tree: Any) -> dict[str, Any]:
  """Returns {name: leaf}; names are the same for a tree and its metadata."""
  if dataclasses.is_dataclass(tree):  # which orbax's metadata has as a dict
    tree = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    "/".join(str(getattr(e, "key", getattr(e, "name", e))) for e in path): leaf
    for path, leaf in leaves
  }


def _content(tree: Any) -> str:
  """Returns 16 hex digits of the names and bytes of all leaves."""
  state = hashlib.sha256()
  for name, leaf in sorted(_named(tree).items()):
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
      leaf = leaf.addressable_data(0)  # whole on every device
    array = np.asarray(leaf)
    state.update(f"{name} {array.dtype.name} {array.shape}".encode())
    state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
  return state.hexdigest()[:16]
