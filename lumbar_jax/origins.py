"""What a run was begun from: weights from elsewhere, by content.

  origins.json: {"weights": {config field: its content's digests},
                 "seen": {fold: whom its first weights were trained on}}

The path of a file or folder of weights says nothing: moved, it is the same, and
another one may lie in its place. So `origins.json` has the digests of what a
run began with, and, for `leaks`, whom those weights have seen, since the run
that they came from may be gone later.
"""

from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import leaks
from lumbar_jax.errors import InputError
from lumbar_jax.files import file_digest, read_json, write_json
from lumbar_jax.training.identity import best_identity

FILE = "origins.json"
_FIELDS = ("model.backbone_weights", "training.init_from")
_REMEDY = "restore it, or give another --workdir"


def _value(config: Any, field: str) -> str:
  section, _, name = field.partition(".")
  return config[section][name]


def _content(config: Any, field: str) -> Any:
  """Returns the digests of what a field names.

  Raises:
    InputError: it is not there, or not trained.
  """
  path = Path(_value(config, field))
  if field == "model.backbone_weights":
    if not path.is_file():
      raise InputError("no such file", f"check config.{field}", path=path)
    return file_digest(path)
  folds = range(config.data.num_folds)
  return {str(fold): _trained(path, field, fold) for fold in folds}


def _trained(path: Path, field: str, fold: int) -> str:
  """Returns what tells the weights that a fold starts from."""
  place = path / f"fold_{leaks.source_fold(path, fold)}"
  found = best_identity(place)
  if not found:
    raise InputError(
      "there is no trained network here",
      f"config.{field} takes the folder of a run whose folds are trained",
      path=place,
    )
  return found


def record(folder: Path, config: Any) -> None:
  """Writes `origins.json` of a run that begins, if it has any.

  Raises:
    InputError: what the config names is not there.
  """
  weights = {f: _content(config, f) for f in _FIELDS if _value(config, f)}
  if weights:
    seen = leaks.seen_at_start(config)
    write_json(folder / FILE, {"weights": weights, "seen": seen})


def read(folder: Path) -> dict[str, Any]:
  """Returns a run's `origins.json`; {} where there is none."""
  path = folder / FILE
  return read_json(path, ()) if path.is_file() else {}


def check(folder: Path, old: Any, new: Any) -> None:
  """Checks that a run goes on from the weights that it was begun from.

  Args:
    folder: the run's.
    old: the config that it was begun with.
    new: the present one.

  Raises:
    InputError: other weights, or such as cannot be compared.
  """
  known = read(folder).get("weights", {})
  for field in _FIELDS:
    before, now = _value(old, field), _value(new, field)
    if not before and not now:
      continue
    if not (before and now):
      raise InputError(
        f"this folder was begun with config.{field} = {before!r}, not {now!r}",
        f"give it, or {_REMEDY}",
        path=folder,
      )
    if before == now and (field not in known or not Path(now).exists()):
      if field not in known:
        _tell_unknown(folder, field)
      continue
    began = known[field] if field in known else _content(old, field)
    if _content(new, field) != began:
      raise _changed(field, now)


def check_start(folder: Path, config: Any, field: str, fold: int) -> None:
  """Checks that a fold starts from what its run was begun from.

  When its weights are loaded: a run opened without a config has not been
  checked by then, and the weights may change while other folds are trained.

  Args:
    folder: the run's.
    config: its config, which has the field.
    field: that names the weights.
    fold: about to start from them.

  Raises:
    InputError: other weights, or none.
  """
  path = Path(_value(config, field))
  began = read(folder).get("weights", {}).get(field)
  if field == "training.init_from" and began:
    now, began = _trained(path, field, fold), began.get(str(fold))
  elif began:
    now = _content(config, field)
  if not began:
    _tell_unknown(folder, field)
  elif now != began:
    raise _changed(field, path)


def _changed(field: str, path: str | Path) -> InputError:
  return InputError(
    f"config.{field} has other content than when this folder was begun",
    _REMEDY,
    path=path,
  )


def _tell_unknown(folder: Path, field: str) -> None:
  logging.log_first_n(
    logging.WARNING,
    "%s: an older version began it, and kept no digest of config.%s: "
    "whether its content is still the same cannot be checked",
    1,
    *(folder, field),
  )
