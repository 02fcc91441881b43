"""Merged outputs of the members, computed once: stacking without augmentation.

An option for those who cannot wait: the members' forward passes are most of a
meta-learner's training. What it learns from are the training patches as they
are, over and over, where the paper augments them afresh at each step.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.data.pipeline import (
  HostBatch,
  PatchSource,
  Sources,
  eval_batches,
)
from lumbar_jax.ensembles.model import Model, merged_width
from lumbar_jax.ensembles.pool import MemberPool, merged_input
from lumbar_jax.files import atomic_path
from lumbar_jax.progress import Progress

PARTS = ("train", "validation")


class CachedPatches(PatchSource):
  """Patches whose images are the merged outputs of an ensemble's members."""

  def __init__(self, source: PatchSource, path: Path):
    """Reads `path`, float32 [patches D D m], in the order of `source`."""
    super().__init__(source.studies, source.size, source.stride)
    self._path = path
    self._merged = np.load(path, mmap_mode="r")

  def __getitem__(self, index: int) -> HostBatch:
    patch = super().__getitem__(index)
    return {**patch, "images": np.asarray(self._merged[index])}

  def delete(self) -> None:
    """Removes the file."""
    self._path.unlink(missing_ok=True)


def write_caches(
  models: Sequence[Model],
  fold: int,
  pool: MemberPool,
  sources: Sources,
  config: Any,
) -> Mapping[str, tuple[CachedPatches, CachedPatches]]:
  """Computes what some meta-learners see of a fold, in one pass.

  Files that are there from an interrupted training are used as they are.

  Returns:
    {title: (training, validation)}.
  """
  found: dict[str, list[CachedPatches]] = {model.title: [] for model in models}
  for part, source in zip(PARTS, sources, strict=True):
    paths = {
      model.title: model.run.fold_folder(fold) / f"cache_{part}.npy"
      for model in models
    }
    missing = [m for m in models if not paths[m.title].is_file()]
    _fill(missing, fold, pool, source, paths, config)
    for title, path in paths.items():
      found[title].append(CachedPatches(source, path))
  return {title: tuple(parts) for title, parts in found.items()}


def _fill(
  models: Sequence[Model],
  fold: int,
  pool: MemberPool,
  source: PatchSource,
  paths: Mapping[str, Path],
  config: Any,
) -> None:
  """Writes the merged outputs of all patches of a source."""
  if not models:
    return
  size, batch_size = source.size, config.training.batch_size
  with contextlib.ExitStack() as stack:
    arrays = {}
    for model in models:
      width = merged_width(model.members, model.ensemble)
      shape = (len(source), size, size, width)
      logging.info(
        "%s: a cache of %.1f GB in %s",
        *(model.title, 4e-9 * np.prod(shape), paths[model.title]),
      )
      scratch = stack.enter_context(atomic_path(paths[model.title]))
      arrays[model.title] = np.lib.format.open_memmap(
        scratch, "w+", np.float32, shape
      )
    progress = stack.enter_context(
      Progress(f"fold {fold}, members' outputs, patches", len(source))
    )
    batches = eval_batches(
      source, batch_size, num_workers=config.data.num_workers
    )
    for number, batch in enumerate(batches):
      first = number * batch_size
      last = min(first + batch_size, len(source))
      for model in models:
        merged = merged_input(
          pool, model.ensemble, model.keys(fold), batch["images"]
        )
        arrays[model.title][first:last] = np.asarray(merged)[: last - first]
      progress.update(last)
    for array in arrays.values():
      array.flush()
