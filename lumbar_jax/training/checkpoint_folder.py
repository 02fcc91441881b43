"""One folder of checkpoints: opening it, and reading what is whole only.

With `checkpoints` the only importer of orbax. What is read is compared with the
checksums that were written (`checksums`); whatever a damaged file makes of
orbax, tensorstore or json is one error, which names the folder.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from lumbar_jax.errors import InputError
from lumbar_jax.files import naming
from lumbar_jax.training import checksums

# What the system says of a file that is missing or not what it should be.
_NO_DAMAGE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, None}


def open_manager(
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


def _check_layout(saved: Any, wanted: Any, folder: Path) -> None:
  """Raises InputError unless the saved tree fits the network."""
  saved, wanted = checksums.layout(saved), checksums.layout(wanted)

  def shape(leaves, name):
    return leaves[name][1] if name in leaves else "absent"

  for name in sorted(saved.keys() | wanted.keys()):
    if shape(saved, name) != shape(wanted, name):
      raise InputError(
        f"the checkpoint is of another network: {name} is "
        f"{shape(saved, name)}, expected {shape(wanted, name)}",
        "give the config (model.name, model.width, data.channels, "
        "data.scheme) that the run was trained with",
        path=folder,
      )


def damaged(folder: Path, what: str) -> InputError:
  """Returns the error of a checkpoint that is not what was written.

  Args:
    folder: `FOLD/checkpoints/best` or `latest`.
    what: is wrong.
  """
  return InputError(
    f"this checkpoint is damaged: {what}",
    f"restore the folder from a copy, or delete {folder.parent.parent} and "
    "train it again",
    path=folder,
  )


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
  """Says in one line what orbax, tensorstore or json make of a damaged file."""
  try:
    with naming(folder):
      yield
  except (InputError, MemoryError, jax.errors.JaxRuntimeError):
    raise
  except Exception as error:  # which one depends on what is damaged
    if isinstance(error, OSError) and error.errno not in _NO_DAMAGE:
      raise
    text = " ".join(str(error).split())[:160]
    raise damaged(folder, f"{type(error).__name__}: {text}") from error


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[ocp.CheckpointManager]:
  """Opens a folder to read from; what is damaged in it is said in one line."""
  with _reading(folder):
    manager = open_manager(folder, read_only=True)
    try:
      yield manager
    finally:
      manager.close()


def read_info(
  manager, step: int, folder: Path
) -> tuple[dict[str, Any], dict[str, str] | None]:
  """Returns (info, the checksums, or None of an older version's checkpoint).

  Raises:
    InputError: the info is not what was written.
  """
  wanted = ocp.args.Composite(info=ocp.args.JsonRestore())
  info = dict(manager.restore(step, args=wanted)["info"])
  record = info.pop(checksums.FIELD, None)
  if record is None:
    logging.log_first_n(
      logging.WARNING,
      "%s: written by a version that kept no checksums of its weights: damage "
      "to them would not be noticed",
      1,
      folder,
    )
  else:
    _compare(record, "info", info, "its epoch and scores", folder)
  return info, record


def _compare(record, name: str, value: Any, what: str, folder: Path) -> None:
  fault = checksums.fault(record, name, value, what)
  if fault is not None:
    raise damaged(folder, fault)


def restore(
  manager, target: Any, folder: Path
) -> tuple[Any, dict[str, Any]] | None:
  """Returns (tree, info) of the latest checkpoint, or None if there is none.

  Args:
    manager: of `folder`.
    target: a pytree of `jax.ShapeDtypeStruct` with shardings.
    folder: `FOLD/checkpoints/best` or `latest`.

  Raises:
    InputError: it is damaged, or of another network.
  """
  with _reading(folder):
    step = manager.latest_step()
    if step is None:
      return None
    info, record = read_info(manager, step, folder)
    saved = manager.item_metadata(step)["tree"]
    saved = getattr(saved, "tree", saved)
    if record is not None:
      _compare(record, "layout", saved, "its arrays' names", folder)
    _check_layout(saved, target, folder)
    wanted = ocp.args.Composite(tree=ocp.args.StandardRestore(target))
    tree = manager.restore(step, args=wanted)["tree"]
    if record is not None:
      _compare(record, "content", tree, "its weights", folder)
    return tree, info
