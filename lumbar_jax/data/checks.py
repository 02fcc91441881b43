"""What can be wrong with one study's files, each problem as a finding.

This is the one place: the doctor lists the findings; preparation for training
and prediction raises the errors and keeps the warnings as the study's flags.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax.data.brightness import Brightness, measure
from lumbar_jax.data.image_checks import check_image, check_training_grid
from lumbar_jax.data.mask_checks import (
  as_record,
  check_all_masks,
  check_mask,
  counts_of,
  of_record,
)
from lumbar_jax.data.normalisation import check_contrast
from lumbar_jax.data.registration import check_overlap
from lumbar_jax.data.sources.found import ERROR, WARNING, Finding, finding_of
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import Volume, read_volume
from lumbar_jax.errors import InputError

__all__ = [
  "Grid",
  "StudyRow",
  "as_record",
  "check_all_masks",
  "check_channels",
  "check_image",
  "check_mask",
  "check_study",
  "check_training_grid",
  "counts_of",
  "flags_of",
  "grid_of",
  "of_record",
]


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
    label_counts: {number: voxels} of its mask; {} without a usable mask.
    brightness: {channel: what its grey values are like}.
  """

  name: str
  patient: str
  session: str
  grids: Mapping[str, Grid | None]
  labels: tuple[float, ...] | None
  findings: tuple[Finding, ...]
  label_counts: Mapping[float, int] = dataclasses.field(default_factory=dict)
  brightness: Mapping[str, Brightness] = dataclasses.field(default_factory=dict)

  @property
  def ok(self) -> bool:
    """Whether the study can be used."""
    return all(finding.severity != ERROR for finding in self.findings)


def check_channels(study: Study, channels: Sequence[str]) -> None:
  """Checks that a study has every channel.

  Raises:
    InputError: names the patient, the session and the missing channel.
  """
  missing = [c for c in channels if c not in study.images]
  if missing:
    present = [c for c in channels if c in study.images]
    session = f", session {study.session}" if study.session else ""
    remedy = f"add the {missing[0]} file"
    if present:
      remedy += f", or use --config.data.channels={','.join(present)}"
    raise InputError(
      f"patient {study.patient}{session}: "
      f"{' and '.join(present) or 'a study'} without "
      f"{' and '.join(missing)}",
      f"{remedy}, or leave the study out",
    )


def check_study(
  study: Study, data_config, table: Mapping[int, int] | None
) -> StudyRow:
  """Reads every file of a study and lists what is wrong.

  Args:
    study: the files.
    data_config: `config.data`.
    table: {number in the mask: class}; None: any number may occur.
  """
  findings: list[Finding] = []
  channels = tuple(data_config.channels)
  try:
    check_channels(study, channels)
  except InputError as error:
    first = next(iter(study.images.values()))
    findings.append(finding_of(error, study=study.name))
    findings[-1] = dataclasses.replace(findings[-1], path=first)
  grids: dict[str, Grid | None] = {}
  grey: dict[str, Brightness] = {}
  reference, assumed = None, data_config.assume_orientation
  for channel in (c for c in channels if c in study.images):
    volume = _read(study.images[channel], study, assumed, findings)
    grids[channel] = None
    if volume is not None:
      grids[channel] = grid_of(volume)
      grey[channel] = measure(volume.array)
      reference = volume if channel == channels[0] else reference
      findings += _check_image(volume, reference, data_config, study.name)
  counts = None
  if study.mask is not None:
    mask = _read(study.mask, study, assumed, findings, dtype=None)
    if mask is not None:
      counts = counts_of(mask)
      findings += check_mask(mask, counts, reference, table, study.name)
  return StudyRow(
    *(study.name, study.patient, study.session, grids),
    *(None if counts is None else tuple(counts), tuple(findings)),
    *(counts or {}, grey),
  )


def _read(
  path: Path,
  study: Study,
  assumed: str,
  findings: list[Finding],
  dtype=np.float32,
) -> Volume | None:
  """Returns a volume, or None and adds what is wrong with it."""
  try:
    return read_volume(path, dtype=dtype, assume_orientation=assumed)
  except InputError as error:
    findings.append(finding_of(error, study=study.name))
    return None


def _check_image(
  volume: Volume, reference: Volume | None, data_config, study: str
) -> list[Finding]:
  """Checks an image, and what preparation would refuse in its later steps."""
  findings = check_image(volume, study)
  if volume is reference:
    findings += check_training_grid(volume, data_config, study)
  if any(finding.severity == ERROR for finding in findings):
    return findings
  try:
    check_contrast(volume.array, data_config.normalisation, volume.path)
    if reference is not None:
      check_overlap(reference, volume)
  except InputError as error:
    findings.append(finding_of(error, study=study))
  return findings


def grid_of(volume: Volume) -> Grid:
  """Returns the grid as stored."""
  spacing = nib.affines.voxel_sizes(volume.stored_affine)
  codes = nib.aff2axcodes(volume.stored_affine)
  return Grid(volume.stored_shape, tuple(spacing.tolist()), "".join(codes))


def flags_of(findings: Sequence[Finding], what: str) -> list[str]:
  """Returns the warnings among findings as flags of the study.

  Args:
    findings: of one file.
    what: the channel, or "mask".

  Raises:
    InputError: the first error among them.
  """
  for finding in findings:
    if finding.severity == ERROR:
      raise finding.error
  return [f"{what}: {f.problem}" for f in findings if f.severity == WARNING]
