"""Batches of patches: seeded, shuffled by epoch, sharded, resumable.

Grain reads ahead in threads; the position in an epoch is a small JSON value
that a checkpoint carries.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.data import patches
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.errors import InputError

HostBatch = dict[str, np.ndarray]  # images, labels, studies [b]


class PatchSource:
  """Random access to every patch of a list of prepared studies.

  Attributes:
    studies: the studies; `studies[i]` is what a patch's "studies" entry means.
    places: (study, slice, row, column) of each patch.
  """

  def __init__(self, studies: Sequence[PreparedStudy], size: int, stride: int):
    self.studies = list(studies)
    self.size, self.stride = size, stride
    self.places = [
      (number, *place)
      for number, study in enumerate(self.studies)
      for place in patches.study_grid(study.image.shape[:3], size, stride)
    ]

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, index: int) -> HostBatch:
    number, n, row, column = self.places[index]
    study = self.studies[number]
    place = [(row, column)]
    image = patches.extract(study.image[n], place, self.size)[0]
    labels = patches.extract(study.mask[n], place, self.size, IGNORE)[0]
    return {
      "images": np.asarray(image, np.float32),
      "labels": np.asarray(labels, np.int32),
      "studies": np.int32(number),
    }

  def spacing_mm(self, numbers: np.ndarray) -> np.ndarray:
    """Returns [b 2], the training spacing of studies by their numbers."""
    info = [self.studies[n].info["training_spacing_mm"] for n in numbers]
    return np.asarray(info, np.float32)


Sources = tuple[PatchSource, PatchSource]  # training and validation patches


class _Share(grain.MapDataset):
  """One process' elements: of each batch of all, a run of its rows.

  Batches of the processes, laid end to end, are the batches of one process.
  """

  def __init__(self, parent: grain.MapDataset, batch: int, place, whole: bool):
    """Takes `batch` elements in turn with the other processes.

    Args:
      parent: all elements.
      batch: of this process.
      place: (this process, number of processes).
      whole: whether to leave out a last batch that is not full for all.
    """
    super().__init__(parent)
    self._batch, self._total = batch, batch * place[1]
    self._first = batch * place[0]
    full, rest = divmod(len(parent), self._total)
    extra = 0 if whole else min(max(rest - self._first, 0), batch)
    self._length = full * batch + extra

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index):
    if isinstance(index, slice):
      return self.slice(index)
    turn, row = divmod(index, self._batch)
    return self._parent[turn * self._total + self._first + row]


def _read(dataset: grain.MapDataset, num_workers: int):
  options = grain.ReadOptions(
    num_threads=num_workers, prefetch_buffer_size=max(4, 2 * num_workers)
  )
  return iter(dataset.to_iter_dataset(options))


def train_batches(
  source: PatchSource,
  batch_size: int,
  *,
  seed: int,
  epoch: int,
  num_workers: int = 2,
  shard: tuple[int, int] = (0, 1),
) -> tuple[Any, int]:
  """Returns an iterator over one epoch's batches, and how many there are.

  The patches are shuffled by (seed, epoch); the last partial batch is dropped
  (its patches differ from epoch to epoch). The iterator has `get_state` and
  `set_state`; its states are JSON-able, and the same in all processes and for
  any number of them, as the batches of all processes together are.

  Args:
    source: the patches.
    batch_size: patches in a batch of this process.
    seed: of the shuffle.
    epoch: number of the epoch.
    num_workers: threads that read ahead.
    shard: (this process, number of processes).

  Raises:
    InputError: fewer patches than one batch.
  """
  if len(source) < batch_size * shard[1]:
    raise InputError(
      f"config.training.batch_size is {batch_size * shard[1]}, but there are "
      f"only {len(source)} training patches",
      f"give a batch size of at most {len(source)}",
    )
  dataset = grain.MapDataset.source(source)
  dataset = dataset.seed(seed).shuffle(seed=(seed + epoch) % 2**32)
  if shard[1] > 1:
    dataset = _Share(dataset, batch_size, shard, whole=True)
  dataset = dataset.batch(batch_size, drop_remainder=True)
  return _read(dataset, num_workers), len(dataset)


def _pad(batch: HostBatch, batch_size: int) -> HostBatch:
  """Extends a partial batch by patches whose labels are all ignored."""
  missing = batch_size - len(batch["images"])
  if not missing:
    return batch

  def extend(x, fill):
    widths = [(0, missing)] + [(0, 0)] * (x.ndim - 1)
    return np.pad(x, widths, constant_values=fill)

  return {
    "images": extend(batch["images"], 0),
    "labels": extend(batch["labels"], IGNORE),
    "studies": extend(batch["studies"], -1),
  }


def eval_batches(
  source: PatchSource,
  batch_size: int,
  *,
  num_workers: int = 2,
  shard: tuple[int, int] = (0, 1),
) -> Iterator[HostBatch]:
  """Yields every patch once, in order; the last batch is padded and masked.

  All processes get equally many batches; padding has label 255 everywhere.
  """
  num_batches = -(-len(source) // (batch_size * shard[1]))
  dataset = grain.MapDataset.source(source)
  if shard[1] > 1:
    dataset = _Share(dataset, batch_size, shard, whole=False)
  batches = _read(dataset.batch(batch_size), num_workers)
  for _ in range(num_batches):
    batch = next(batches, None)
    if batch is None:  # this shard is shorter than the others
      first = source[0]
      batch = {k: np.asarray(v)[None][:0] for k, v in first.items()}
    yield _pad(batch, batch_size)
