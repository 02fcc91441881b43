"""Checkpoints of a fold: the best epoch, and the latest state to resume from.

A checkpoint is written beside the old one and renamed when it is whole; a
process killed in between leaves the old one. What is read is compared with the
checksums that were written (`checksums`).
"""

import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lumbar_jax.errors import InputError
from lumbar_jax.space import check_free
from lumbar_jax.training import checksums
from lumbar_jax.training.checkpoint_folder import (
  damaged,
  open_manager,
  opened,
  read_info,
  restore,
)

LATEST, BEST = "latest", "best"
# Of reading a checkpoint that another process replaces meanwhile.
_TRIES, _PAUSE_S = 5, 0.2


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
    self._latest = open_manager(self.folder / LATEST, together=together)
    # Two: a best epoch that has to be run again must not take the one before
    # with it (`drop_best_from`).
    self._best = open_manager(self.folder / BEST, keep=2, together=together)

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
    info = {**info, checksums.FIELD: checksums.make(tree, info)}
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
        f"free some space (or make the folder writable) and start again; the "
        f"last whole checkpoint is "
        f"{manager.latest_step()}",
        path=manager.directory,
      ) from error

  def check_room(self, state: Any) -> None:
    """Checks, before hours of work, that what they end in can be saved.

    Args:
      state: arrays, or their shapes and types.

    Raises:
      InputError: less is free than the next checkpoints take.
    """
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    check_free(
      self.folder,
      1.3 * size,  # the state, and the best weights without the optimizer's
      "the next checkpoint",
      "give another --workdir",
    )

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

    Raises:
      InputError: it is of another network, damaged, or gone although epochs
        were run: nothing is ever trained anew behind a checkpoint's back.
    """
    found = restore(self._latest, target, self.folder / LATEST)
    best = self._best.latest_step()
    if found is None and best:  # of epoch 0 it may be: the latest comes second
      raise damaged(
        self.folder / LATEST, f"it is not there, but epoch {best + 1} was run"
      )
    return found

  def close(self) -> None:
    """Releases the managers' threads."""
    self._latest.close()
    self._best.close()


def epochs_done(folder: Path) -> int:
  """Returns how many epochs a fold has been trained for.

  Another process may be training it: what it replaces is read again.

  Args:
    folder: the fold's `checkpoints` folder.

  Raises:
    InputError: the checkpoint is damaged.
  """
  folder = Path(folder) / LATEST
  for _ in range(_TRIES - 1):
    before = _listed(folder)
    try:
      return _epochs_in(folder)
    except (InputError, OSError):
      # While one replaces another there are two, or soon other ones.
      if len(before) < 2 and _listed(folder) == before:
        raise
    time.sleep(_PAUSE_S)
  return _epochs_in(folder)


def _listed(folder: Path) -> set[str]:
  try:
    return set(os.listdir(folder))
  except OSError:  # reading it says so
    return set()


def _epochs_in(folder: Path) -> int:
  """Returns the epochs of a folder's latest checkpoint, 0 without one."""
  if not folder.is_dir():
    return 0
  with opened(folder) as manager:
    step = manager.latest_step()
    if step is None:
      return 0
    return int(read_info(manager, step, folder)[0]["epoch"])


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
    InputError: no checkpoint there, one of another network, or a damaged one.
  """
  place, folder = Path(folder), Path(folder) / BEST
  found = None
  if folder.is_dir():
    with opened(folder) as manager:
      found = restore(manager, _on_one_device(target), folder)
  if found is None and epochs_done(place) > 0:
    raise damaged(folder, f"it is empty, but {epochs_done(place)} epochs ran")
  if found is None:
    raise InputError(
      "there is no trained network here",
      "train this fold first (--mode=crossval, or --mode=train --fold=N)",
      path=folder,
    )
  return found
