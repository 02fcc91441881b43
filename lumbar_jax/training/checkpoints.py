"""Checkpoints of a fold: the best epoch, and the latest state to resume from.

The only importer of orbax. A checkpoint is written beside the old one and
renamed when it is whole; a process killed in between leaves the old one.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lumbar_jax.errors import InputError

LATEST, BEST = "latest", "best"


def _manager(
  folder: Path,
  *,
  keep: int = 1,
  read_only: bool = False,
  together: bool = False,
):
  """Opens a folder of checkpoints.

  Args:
    folder: it.
    keep: how many to keep.
    read_only: whether nothing will be written.
    together: whether all processes of a distributed run do the same calls;
      otherwise any of them can read, and the main one can write, by itself.
  """
  processes = ocp.options.MultiprocessingOptions()
  alone = jax.process_count() > 1 and not together
  if alone:
    own = jax.process_index()
    processes = ocp.options.MultiprocessingOptions(
      primary_host=own,
      active_processes={own},
      barrier_sync_key_prefix=f"process_{own}",
    )
    if not read_only:  # which orbax leaves to us then
      folder.mkdir(parents=True, exist_ok=True)
  return ocp.CheckpointManager(
    folder.resolve(),
    options=ocp.CheckpointManagerOptions(
      multiprocessing_options=processes,
      max_to_keep=keep,
      create=not read_only and not alone,
      read_only=read_only,
      cleanup_tmp_directories=not read_only,
      enable_async_checkpointing=False,
    ),
    item_handlers={
      "tree": ocp.StandardCheckpointHandler(),
      "info": ocp.JsonCheckpointHandler(),
    },
  )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    "/".join(
      str(getattr(e, "key", getattr(e, "name", e))) for e in path
    ): tuple(leaf.shape)
    for path, leaf in leaves
  }


def _check_shapes(saved: Any, wanted: Any, folder: Path) -> None:
  """Raises InputError unless the saved tree fits the network."""
  saved, wanted = _shapes(saved), _shapes(wanted)
  for name in sorted(saved.keys() | wanted.keys()):
    if saved.get(name) != wanted.get(name):
      raise InputError(
        f"the checkpoint is of another network: {name} is "
        f"{saved.get(name, 'absent')}, expected {wanted.get(name, 'absent')}",
        "give the config (model.name, model.width, data.channels, "
        "data.scheme) that the run was trained with",
        path=folder,
      )


def _as_dict(tree: Any) -> dict[str, Any]:
  """Turns dataclasses at the top into dicts (what orbax's metadata has)."""
  if dataclasses.is_dataclass(tree):
    return {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
  return tree


class Checkpoints:
  """The two checkpoints of one fold's folder."""

  def __init__(self, folder: Path, *, together: bool = False):
    """Opens `folder`/best and `folder`/latest, clearing half-written ones.

    Args:
      folder: the fold's `checkpoints` folder.
      together: whether all processes of a distributed run save and restore one
        state: each then makes the same calls. The number of processes need not
        be that of the run that saved.
    """
    self.folder = Path(folder)
    self._alone = jax.process_count() > 1 and not together
    self._latest = _manager(self.folder / LATEST, together=together)
    # Two: a best epoch that has to be run again must not take the one before
    # with it (`drop_best_from`).
    self._best = _manager(self.folder / BEST, keep=2, together=together)

  def save_latest(self, step: int, state: Any, info: dict[str, Any]) -> None:
    """Saves what a resumed run needs.

    Args:
      step: steps taken; larger than that of the previous call.
      state: a pytree of arrays.
      info: JSON-able position, partial sums and best score.

    Raises:
      InputError: the disk did not take it; the previous one is whole.
    """
    self._save(self._latest, step, state, info)

  def save_best(self, epoch: int, variables: Any, info: dict[str, Any]) -> None:
    """Saves parameters and collections of the best epoch so far."""
    self._save(self._best, epoch, variables, info)

  def _save(self, manager, step: int, tree: Any, info: dict[str, Any]) -> None:
    if self._alone:  # orbax takes one process' arrays from the host only
      tree = jax.tree.map(np.asarray, tree)
    try:
      manager.save(
        step,
        args=ocp.args.Composite(
          tree=ocp.args.StandardSave(tree), info=ocp.args.JsonSave(info)
        ),
      )
      manager.wait_until_finished()
    except Exception as error:  # orbax wraps what the file system said
      raise InputError(
        f"a checkpoint could not be written ({str(error)[:200]})",
        f"free some space and start again; the last whole checkpoint is "
        f"{manager.latest_step()}",
        path=manager.directory,
      ) from error

  def drop_best_from(self, epoch: int) -> None:
    """Deletes a best checkpoint of an epoch that will be run again."""
    for step in self._best.all_steps():
      if step >= epoch:
        self._best.delete(step)

  def latest_step(self) -> int | None:
    """Step of the latest whole checkpoint, if there is one."""
    return self._latest.latest_step()

  def restore_latest(self, target: Any) -> tuple[Any, dict[str, Any]] | None:
    """Returns (state, info), or None if nothing was saved.

    Args:
      target: a pytree of `jax.ShapeDtypeStruct` with shardings; the number of
        devices may differ from that of the run that saved.
    """
    return _restore(self._latest, target, self.folder / LATEST)

  def close(self) -> None:
    """Releases the managers' threads."""
    self._latest.close()
    self._best.close()


def _restore(manager, target: Any, folder: Path):
  step = manager.latest_step()
  if step is None:
    return None
  saved = manager.item_metadata(step)["tree"]
  _check_shapes(getattr(saved, "tree", saved), _as_dict(target), folder)
  restored = manager.restore(
    step,
    args=ocp.args.Composite(
      tree=ocp.args.StandardRestore(target), info=ocp.args.JsonRestore()
    ),
  )
  return restored["tree"], restored["info"]


def epochs_done(folder: Path) -> int:
  """Returns how many epochs a fold has been trained for.

  Args:
    folder: the fold's `checkpoints` folder.
  """
  folder = Path(folder) / LATEST
  if not folder.is_dir():
    return 0
  manager = _manager(folder, read_only=True)
  try:
    step = manager.latest_step()
    if step is None:
      return 0
    wanted = ocp.args.Composite(info=ocp.args.JsonRestore())
    return int(manager.restore(step, args=wanted)["info"]["epoch"])
  finally:
    manager.close()


def _on_one_device(target: Any) -> Any:
  """Returns shapes that ask for arrays on this process' first device.

  Else orbax looks for the devices that the checkpoint was saved from.
  """
  place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), target
  )


def load_best(folder: Path, target: Any) -> tuple[Any, dict[str, Any]]:
  """Returns (variables, info) of a fold's best epoch, on one device.

  Args:
    folder: the fold's `checkpoints` folder.
    target: a pytree of `jax.ShapeDtypeStruct`.

  Raises:
    InputError: no checkpoint there, or one of another network.
  """
  folder = Path(folder) / BEST
  found = None
  if folder.is_dir():
    manager = _manager(folder, read_only=True)
    found = _restore(manager, _on_one_device(target), folder)
    manager.close()
  if found is None:
    raise InputError(
      "there is no trained network here",
      "train this fold first (--mode=crossval, or --mode=train --fold=N)",
      path=folder,
    )
  return found
