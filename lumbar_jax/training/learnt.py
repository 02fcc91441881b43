"""What a network has learnt with, kept in the info of its checkpoints.

The arrays fit another fold, or an edited config.json, as well as their own: so
each checkpoint says which fold's it is and what its training patches were, and
whoever loads it compares. Older checkpoints say nothing: taken as before.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumbar_jax.anatomy import Scheme
from lumbar_jax.errors import InputError

FIELD = "learnt"  # of a checkpoint's info
_FOLD, _CLASSES = "fold", "classes"
_DATA = (
  *("channels", "registration", "registration_bound_mm", "normalisation"),
  *("spacing_mm", "image_size", "patch_size"),
)
_MODEL = ("name", "width", "activation")


def facts(
  config: Any, scheme: Scheme, fold: int, *, network: bool = True
) -> dict[str, Any]:
  """Returns what shapes a prediction, as JSON gives it back.

  Args:
    config: a run's.
    scheme: its classes.
    fold: the fold's number.
    network: whether it is a network; of a meta-learner its fold is all, since
      the networks that it reads say the rest.
  """
  if not network:
    return {_FOLD: fold}
  found = {
    _FOLD: fold,
    _CLASSES: scheme.names,
    **{f"data.{name}": config.data[name] for name in _DATA},
    **{f"model.{name}": config.model[name] for name in _MODEL},
  }
  return json.loads(json.dumps(found))


def check(
  info: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
  """Returns a checkpoint's info without what was learnt with, compared.

  Args:
    info: as it was read, its checksum compared.
    wanted: from `facts`.
    folder: `FOLD/checkpoints/best` or `latest`.

  Raises:
    InputError: another fold's weights, or weights that learnt otherwise.
  """
  info = dict(info)
  kept = info.pop(FIELD, {})
  for name in (n for n in wanted if n in kept and kept[n] != wanted[n]):
    if name == _FOLD:
      raise InputError(
        f"these are the weights of fold {kept[name]}, not {wanted[name]}",
        f"restore the folder from a copy, or delete {folder.parent.parent} and "
        "train it again",
        path=folder,
      )
    said = "the classes" if name == _CLASSES else f"config.{name}"
    raise InputError(
      f"these weights learnt with {said} = {kept[name]!r}, not "
      f"{wanted[name]!r}",
      "restore the run's config.json and dseg.tsv as they were when it was "
      "trained, or train another run",
      path=folder,
    )
  return info
