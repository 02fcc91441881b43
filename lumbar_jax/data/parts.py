"""How many patients, slices and patches each part has: paper 000, Table 2."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from lumbar_jax.data.acquisition import sagittal
from lumbar_jax.data.patches import study_grid
from lumbar_jax.data.resampling import training_shape
from lumbar_jax.data.splits import Splits


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of the data.

  Attributes:
    name: "fold 0 training", "test" ...
    patients: number of them.
    studies: number of them, with a mask that can be used.
    slices: in these studies.
    patches: cut from these slices.
  """

  name: str
  patients: int
  studies: int
  slices: int
  patches: int


def count(
  splits: Splits, grids: Mapping[str, tuple[str, Any]], data_config
) -> list[Part]:
  """Returns the parts that a division of the patients gives.

  Args:
    splits: who is in which part.
    grids: {study: (its patient, grid of its reference channel)} of the studies
      that can be trained on.
    data_config: `config.data`, for the resolution and the patches.

  Returns:
    Training and validation of each fold, the test part, and all together.
  """
  sizes = {
    name: (patient, *_size(grid, data_config))
    for name, (patient, grid) in grids.items()
  }

  def part(name: str, patients: Iterable[str]) -> Part:
    wanted = set(patients)
    mine = [size for size in sizes.values() if size[0] in wanted]
    slices, patches = (sum(size[i] for size in mine) for i in (1, 2))
    return Part(name, len(wanted), len(mine), slices, patches)

  parts = []
  for fold in range(splits.num_folds):
    parts.append(part(f"fold {fold} training", splits.train(fold)))
    parts.append(part(f"fold {fold} validation", splits.validation(fold)))
  parts.append(part("test", splits.test))
  return [*parts, part("all", splits.patients)]


def _size(grid: Any, data_config) -> tuple[int, int]:
  """Returns a study's number of slices and of patches, as training cuts it."""
  (slices, *shape), (_, *spacing_mm) = sagittal(grid)
  shape = training_shape(
    tuple(shape),
    tuple(spacing_mm),
    data_config.spacing_mm,
    data_config.image_size,
  )
  size, stride = data_config.patch_size, data_config.patch_stride
  return slices, len(study_grid((slices, *shape), size, stride))
