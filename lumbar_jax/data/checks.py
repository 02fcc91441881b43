"""What can be wrong with one study's files, each problem as a finding."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.data.sources.found import (
  ERROR,
  WARNING,
  Finding,
  finding_of,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.study_arrays import check_channels
from lumbar_jax.data.volumes import GRID_TOLERANCE_MM, Volume, read_volume
from lumbar_jax.errors import InputError

_LARGEST_LABEL = 65535
# What nibabel and numpy raise on headers that make no sense.
_HEADER_ERRORS = (
  ValueError,
  ArithmeticError,
  OSError,
  nib.spatialimages.HeaderDataError,
  nib.spatialimages.ImageDataError,
)


@dataclasses.dataclass(frozen=True)
class Grid:
  """A file's grid, in the order of its stored axes.

  Attributes:
    matrix: number of voxels along each axis.
    spacing_mm: distance of neighbouring voxels along each axis.
    orientation: anatomical directions of the axes, such as "LAS".
  """

  matrix: tuple[int, ...]
  spacing_mm: tuple[float, ...]
  orientation: str


@dataclasses.dataclass(frozen=True)
class StudyRow:
  """What was found of one study.

  Attributes:
    name: the study's name.
    patient: its patient.
    session: its session.
    grids: {channel: grid, or None where the file cannot be used}.
    labels: the numbers in its mask; None without a usable mask.
    findings: what is wrong with it.
  """

  name: str
  patient: str
  session: str
  grids: Mapping[str, Grid | None]
  labels: tuple[float, ...] | None
  findings: tuple[Finding, ...]

  @property
  def ok(self) -> bool:
    """Whether the study can be used."""
    return all(finding.severity != ERROR for finding in self.findings)


def check_study(
  study: Study, channels: Collection[str], known_labels: Collection[int] | None
) -> StudyRow:
  """Reads every file of a study and lists what is wrong.

  Args:
    study: the files.
    channels: the configured channels, the reference first.
    known_labels: numbers that may occur in a mask; None: any.
  """
  findings: list[Finding] = []
  try:
    check_channels(study, channels)
  except InputError as error:
    first = next(iter(study.images.values()))
    findings.append(finding_of(error, study=study.name))
    findings[-1] = dataclasses.replace(findings[-1], path=first)
  grids: dict[str, Grid | None] = {}
  reference = None
  for channel in (c for c in channels if c in study.images):
    volume = _read(study.images[channel], study.name, findings)
    grids[channel] = None
    if volume is not None:
      grids[channel] = grid_of(volume)
      findings += _check_image(volume, study.name)
      findings += _check_forms(volume, study.name)
      reference = volume if channel == channels[0] else reference
  labels = None
  if study.mask is not None:
    mask = _read(study.mask, study.name, findings)
    if mask is not None:
      labels = labels_in(mask.array)
      findings += _check_labels(labels, known_labels, mask.path, study.name)
      findings += _check_grid(mask, reference, study.name)
  return StudyRow(
    study.name, study.patient, study.session, grids, labels, tuple(findings)
  )


def grid_of(volume: Volume) -> Grid:
  """Returns the grid as stored."""
  spacing = nib.affines.voxel_sizes(volume.stored_affine)
  codes = nib.aff2axcodes(volume.stored_affine)
  return Grid(volume.stored_shape, tuple(spacing.tolist()), "".join(codes))


def labels_in(array: np.ndarray) -> tuple[float, ...]:
  """Returns the different values of a mask [n h w], ascending."""
  low, high = array.min(), array.max()
  whole = np.array_equal(array, np.rint(array))
  if whole and low >= 0 and high <= _LARGEST_LABEL:
    counts = np.bincount(array.ravel().astype(np.int32))
    return tuple(np.flatnonzero(counts).tolist())
  return tuple(np.unique(array).tolist())


def _read(path: Path, study: str, findings: list[Finding]) -> Volume | None:
  try:
    return read_volume(path)
  except InputError as error:
    findings.append(finding_of(error, study=study))
  except _HEADER_ERRORS as error:
    problem = f"its header makes no sense ({str(error)[:80]})"
    remedy = "convert the study to NIfTI again"
    findings.append(Finding(ERROR, problem, remedy, path, study))
  return None


def _check_image(volume: Volume, study: str) -> list[Finding]:
  value = volume.array.flat[0]
  findings = []
  if np.all(volume.array == value):
    problem = f"all {volume.array.size} voxels are {value:g}"
    remedy = "export it again, or leave the study out"
    findings.append(Finding(ERROR, problem, remedy, volume.path, study))
  across, *in_plane = volume.spacing_mm
  if max(in_plane) > 2 * across:
    size = " x ".join(f"{s:.3g}" for s in volume.spacing_mm)
    findings.append(
      Finding(
        WARNING,
        f"not sagittal by its header: voxels are {size} mm (left-right, "
        "up-down, front-back)",
        "check its orientation; networks see slices across left-right",
        volume.path,
        study,
      )
    )
  return findings


def _check_forms(volume: Volume, study: str) -> list[Finding]:
  """Compares sform and qform at the corners, where both are set."""
  header = volume.header
  if not (header["sform_code"] > 0 and header["qform_code"] > 0):
    return []
  last = np.array(volume.stored_shape) - 1
  corners = np.array([[*(c * last), 1] for c in np.ndindex(2, 2, 2)]).T
  try:
    difference = (header.get_sform() - header.get_qform()) @ corners
  except _HEADER_ERRORS as error:
    problem = f"its qform makes no sense ({error})"
  else:
    apart = np.linalg.norm(difference[:3], axis=0).max()
    if apart <= GRID_TOLERANCE_MM:
      return []
    problem = (
      f"sform and qform put a corner {apart:.3g} mm apart "
      f"(allowed: {GRID_TOLERANCE_MM:g} mm)"
    )
  remedy = "the sform is used; other programs may take the qform: repair it"
  return [Finding(WARNING, problem, remedy, volume.path, study)]


def _check_labels(
  labels: Collection[float],
  known: Collection[int] | None,
  path: Path,
  study: str,
) -> list[Finding]:
  unknown = [n for n in labels if known and n not in {*known, IGNORE}]
  if unknown:
    shown = ", ".join(f"{n:g}" for n in unknown[:10])
    problem = (
      f"{len(unknown)} labels are not in the masks' scheme: {shown} "
      f"(known: {', '.join(map(str, sorted(known)))})"
    )
    remedy = "list them in the dseg.tsv of the masks, or correct the mask"
    return [Finding(ERROR, problem, remedy, path, study)]
  if tuple(labels) == (0,):
    problem, remedy = "the mask is empty", "draw it, or take it away"
    return [Finding(WARNING, problem, remedy, path, study)]
  return []


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
  grid = grid_of(volume)
  size = " x ".join(f"{s:.4g}" for s in grid.spacing_mm)
  origin = ", ".join(f"{x:.2f}" for x in volume.stored_affine[:3, 3])
  matrix = " x ".join(map(str, grid.matrix))
  return f"{matrix} voxels {grid.orientation} of {size} mm at ({origin})"
