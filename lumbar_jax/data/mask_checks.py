"""What can be wrong with a mask, or with all masks together, as findings."""

from collections.abc import Mapping, Sequence

import nibabel as nib
import numpy as np

from lumbar_jax.anatomy import IGNORE, Scheme, label_counts, label_problem
from lumbar_jax.data.image_checks import check_notes
from lumbar_jax.data.sources.found import ERROR, INFO, WARNING, Finding
from lumbar_jax.data.volumes import Volume
from lumbar_jax.errors import listed

_MOST = 0.5  # of the drawn voxels; more that are ignored are told

Counts = Mapping[int | np.floating, int]  # number in a mask -> voxels


def check_mask(
  mask: Volume,
  counts: Counts,
  reference: Volume | None,
  table: Mapping[int, int] | None,
  study: str,
) -> list[Finding]:
  """Lists what is wrong with a mask, and what is doubtful.

  Args:
    mask: read with its own data type.
    counts: its numbers, from `label_counts`.
    reference: the image on whose grid it has to lie; None if that is not known.
    table: {number: class}; None if that is not known.
    study: name of the study.
  """
  findings = check_notes(mask, study, mask=True)
  trouble = label_problem(counts, table) if table is not None else None
  if trouble is not None:
    findings.append(Finding(ERROR, *trouble, mask.path, study))
  else:
    doubt = _check_drawn(counts, table)
    if doubt is not None:
      findings.append(Finding(WARNING, *doubt, mask.path, study))
  return findings + _check_grid(mask, reference, study)


def _check_drawn(
  counts: Counts, table: Mapping[int, int] | None
) -> tuple[str, str] | None:
  if set(counts) <= {0}:
    return "the mask is empty", "draw it, or take it away"
  if table is None:
    return None
  drawn = sum(count for n, count in counts.items() if table[n] != 0)
  ignored = sum(count for n, count in counts.items() if table[n] == IGNORE)
  if not drawn:
    return (
      "no number in the mask stands for a class: all are background",
      "check the masks' dseg.tsv and config.data.remap",
    )
  if ignored > _MOST * drawn:
    return (
      "most of the mask's drawn voxels are to be ignored",
      "they teach and test nothing: check what the masks' dseg.tsv and "
      "config.data.remap call ignore",
    )
  return None


def _check_grid(
  mask: Volume, reference: Volume | None, study: str
) -> list[Finding]:
  if reference is None or mask.same_grid(reference):
    return []
  problem = (
    f"the mask is not on the grid of {reference.path}: {_describe(mask)} "
    f"and not {_describe(reference)}"
  )
  remedy = "resample the mask to it with nearest neighbours, or correct it"
  return [Finding(ERROR, problem, remedy, mask.path, study)]


def _describe(volume: Volume) -> str:
  spacing = nib.affines.voxel_sizes(volume.stored_affine)
  axes = "".join(nib.aff2axcodes(volume.stored_affine))
  size = " x ".join(f"{s:.4g}" for s in spacing)
  origin = ", ".join(f"{x:.2f}" for x in volume.stored_affine[:3, 3])
  matrix = " x ".join(map(str, volume.stored_shape))
  return f"{matrix} voxels {axes} of {size} mm at ({origin})"


def check_all_masks(
  masks: Sequence[Counts],
  scheme: Scheme,
  table: Mapping[int, int],
  *,
  explained: bool,
) -> list[Finding]:
  """Lists what is doubtful about the masks of a data set together.

  Args:
    masks: the numbers of each mask, from `label_counts`.
    scheme: the classes to train on.
    table: {number: class}.
    explained: whether a dseg.tsv says what the numbers mean.
  """
  numbers = sorted({n for counts in masks for n in counts if n in table})
  drawn = [n for n in numbers if table[n] not in (0, IGNORE)]
  classes = {table[n] for n in drawn}
  missing = [
    name for k, name in enumerate(scheme.names) if k and k not in classes
  ]
  if not drawn or (explained and not missing):
    return []
  absent = (
    f"no mask has {listed(missing, by_name=False)} of scheme {scheme.name}"
  )
  if explained:
    remedy = (
      "a network cannot learn what it never sees: choose config.data.scheme to "
      "fit the masks, or add masks with it"
    )
    return [Finding(WARNING, absent, remedy)]
  meaning = [f"{n} as {scheme.names[table[n]]}" for n in drawn]
  problem = (
    "no dseg.tsv says what the masks' numbers mean, so they are taken as "
    f"those of scheme {scheme.name}: {listed(meaning, 12, by_name=False)}"
  )
  remedy = (
    "if they mean something else, write a dseg.tsv (columns index and name) "
    "beside the masks, or choose config.data.scheme to fit them"
  )
  if not missing:
    return [Finding(INFO, problem, remedy)]
  return [Finding(WARNING, f"{problem}; {absent}", remedy)]


def counts_of(mask: Volume) -> dict[int | np.floating, int]:
  """Returns {number: voxels} of a mask."""
  return label_counts(mask.array)


def as_record(counts: Counts) -> list[list[int]]:
  """Returns [[number, voxels], ...], which JSON can hold."""
  return [[int(number), count] for number, count in counts.items()]


def of_record(record: Sequence[Sequence[int]]) -> dict[int, int]:
  """Returns the counts that `as_record` made a record of."""
  return dict(record)
