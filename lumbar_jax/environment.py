"""environment.json: where, with what and on whom a run works."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from lumbar_jax import leaks
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.splits import Splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json
from lumbar_jax.runs import NEW_FOLDER, Run

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
FILE = "environment.json"


def record_environment(
  run: Run, studies: Mapping[str, str], more: Mapping[str, Any] | None = None
) -> None:
  """Writes versions, device, seed and the data's digests.

  Args:
    run: the run.
    studies: {study name: digest of what it was prepared from}.
    more: what else there is to say of the data, see `leaks`. A file of an older
      version gets what it lacks.

  Raises:
    InputError: the run was begun with other data.
  """
  import jax

  path, more = run.folder / FILE, dict(more or {})
  if path.is_file():
    old = read_json(path, ["studies"])
    _check_same(old["studies"], studies, path)
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
  record_environment(run, digests, more)


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
