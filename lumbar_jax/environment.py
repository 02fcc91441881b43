"""environment.json: where, with what and on whom a run works."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from absl import logging

from lumbar_jax import leaks
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.splits import Splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json
from lumbar_jax.formats.orientation import check_orientation
from lumbar_jax.runs import NEW_FOLDER, Run

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
FILE = "environment.json"
_TAKEN_AS = "LAS"  # by older versions: what nibabel takes axes as


def record_environment(
  run: Run,
  studies: Mapping[str, str],
  more: Mapping[str, Any] | None = None,
  unassumed: Mapping[str, str] | None = None,
) -> None:
  """Writes versions, device, seed and the data's digests.

  Args:
    run: the run.
    studies: {study name: digest of what it was prepared from}.
    more: what else there is to say of the data, see `leaks`. A file of an older
      version gets what it lacks.
    unassumed: the studies' digests without `assume_orientation`, if it is set.

  Raises:
    InputError: the run was begun with other data.
  """
  import jax

  path, more = run.folder / FILE, dict(more or {})
  if path.is_file():
    old = read_json(path, ["studies"])
    known = old["studies"].items() & (unassumed or {}).items()
    _check_same(old["studies"], {**studies, **dict(known)}, path)
    if known:
      _check_assumed(run)
    new = {**more, **old}
    for name in ("shared_patients", "shared_allowed"):
      if more.get(name):
        new[name] = more[name]
    if new != old:
      write_json(path, new)
    return
  write_json(
    path,
    {
      "versions": {name: metadata.version(name) for name in PACKAGES},
      "python": platform.python_version(),
      "machine": platform.machine(),
      "devices": [str(device.device_kind) for device in jax.devices()],
      "seed": run.config.seed,
      "studies": dict(studies),
      **more,
    },
  )


def record_data(
  run: Run, splits: Splits, studies: Sequence[PreparedStudy]
) -> None:
  """Writes whom a run works on; refuses what it has learnt from before."""
  shared = leaks.find(run, splits, studies)
  leaks.check(run, shared)
  more = leaks.facts(run, studies)
  if shared:
    more |= {"shared_patients": shared, "shared_allowed": True}
  digests = {s.name: s.info["digest"] for s in studies}
  unassumed = {
    s.name: s.info["digest_unassumed"]
    for s in studies
    if "digest_unassumed" in s.info
  }
  record_environment(run, digests, more, unassumed)


def _check_assumed(run: Run) -> None:
  """Checks the axes that a run now assumes, and was begun without.

  Then either all its files give their axes, or an older version, which took
  others as nibabel does, has prepared them.

  Raises:
    InputError: other axes than those.
  """
  letters = run.config.data.assume_orientation
  text = (
    "this run was begun without config.data.assume_orientation: axes that a "
    f"file does not give were taken as {_TAKEN_AS} then"
  )
  if check_orientation(letters) != _TAKEN_AS:
    raise InputError(
      f"{text}, and not as {letters}",
      f"give --config.data.assume_orientation={_TAKEN_AS} to go on with what "
      f"it was trained on; if that is not how they lie, {NEW_FOLDER}",
      path=run.folder,
    )
  logging.log_first_n(
    logging.WARNING, "%s: %s, as they are now", 1, run.folder, text
  )


def _check_same(old: Mapping[str, str], new: Mapping[str, str], path) -> None:
  """Raises InputError where a run's data are not those it was begun with."""
  for name in sorted(old.keys() | new.keys()):
    if old.get(name) != new.get(name):
      both = name in old and name in new
      what = "changed" if both else ("new" if name in new else "missing")
      raise InputError(
        f"study {name} is {what} since this run began",
        f"restore the data, or {NEW_FOLDER}",
        path=path,
      )
