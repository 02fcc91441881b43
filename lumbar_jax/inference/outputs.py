"""What is written for a study, and once for the folder of all of them.

    OUTPUT/dataset_description.json  dseg.tsv
    OUTPUT/itksnap_labels.txt  slicer_colors.ctbl
    OUTPUT/failed.tsv  crash-*.log   if something failed
    OUTPUT/[sub-X/[ses-Y/]anat/]STEM_dseg.nii.gz   on the image's own grid
                                STEM_dseg.json     how it was made
                                STEM_overlay.png
                                STEM_probseg.nii.gz, .json   if asked for

A BIDS derivative. The mask is written last: where it is, all else is.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

import lumbar_jax
from lumbar_jax.anatomy import Scheme
from lumbar_jax.arrays import StudyLabels
from lumbar_jax.data.sources import pairing
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import Volume, write_volume
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json, write_json
from lumbar_jax.formats import names
from lumbar_jax.inference.colortables import write_tables
from lumbar_jax.inference.overlay import write_overlay
from lumbar_jax.space import check_writable
from lumbar_jax.timing import stage

BIDS_VERSION = "1.10.0"
RUN_NAME = "Run"  # may change: a run's folder can be moved and renamed
WEIGHTS = "WeightsDigest"  # which older versions did not write
_DESCRIPTION = "dataset_description.json"


def place(study: Study, channel: str) -> tuple[Path, str]:
  """Returns (folder below the output, stem) of a study's files.

  An image of a MIDS or BIDS tree keeps its place (`sub-X/ses-Y/anat`) and its
  entities; any other study lies flat under its own name.

  Args:
    study: with its reference image.
    channel: the reference channel, on whose grid the mask lies.
  """
  path = study.images[channel]
  file, folders = pairing.parse(path), path.parent.parts
  if file is None or file.patient != study.patient or folders[-1] != "anat":
    return Path(), study.name
  stem = names.safe_name(file.stem.removesuffix(f"_{channel}"))
  if file.patient not in folders:
    return Path(), stem
  depth = len(folders) - folders[::-1].index(file.patient) - 1
  return Path(*map(names.safe_name, folders[depth:])), stem


def mask_path(folder: Path, stem: str) -> Path:
  """Returns the file whose presence means that a study is done."""
  return folder / f"{stem}_dseg.nii.gz"


def sidecar_path(folder: Path, stem: str) -> Path:
  """Returns the file that says how a study's mask was made."""
  return folder / f"{stem}_dseg.json"


def is_whole(path: Path) -> bool:
  """Whether a .nii.gz that we wrote is all there: gzip compares checksums."""
  try:
    with gzip.open(path) as file:
      while file.read(1 << 22):
        pass
  except (EOFError, zlib.error, gzip.BadGzipFile):
    return False
  return True


@stage("write")
def write_segmentation(
  folder: str | Path,
  stem: str,
  labels: StudyLabels,
  reference: Volume,
  scheme: Scheme,
  *,
  probabilities: Float32[np.ndarray, "n H W k"] | None = None,
  sidecar: Mapping[str, Any] | None = None,
  overlay: bool = True,
) -> Path:
  """Writes one study's segmentation, the mask last and each file whole.

  Args:
    folder: where the files go; made if need be.
    stem: what their names begin with.
    labels: [n H W] uint8 classes of `scheme`.
    reference: the image that the grid, header and overlay come from.
    scheme: the classes; the file gets the scheme's `indices`.
    probabilities: [n H W k] float32 scores, for `_probseg.nii.gz`.
    sidecar: JSON-able fields of `_dseg.json`.
    overlay: whether to draw `_overlay.png`; "Flags" of the sidecar go on it.

  Returns:
    The mask's path.

  Raises:
    ValueError: labels or probabilities of another shape than the image.
  """
  folder, shape = Path(folder), reference.array.shape
  wanted = (*shape, scheme.num_classes)
  if labels.shape != shape:
    raise ValueError(f"labels {labels.shape} for an image {shape}")
  if probabilities is not None and probabilities.shape != wanted:
    raise ValueError(f"probabilities {probabilities.shape}, not {wanted}")
  path, sidecar = mask_path(folder, stem), dict(sidecar or {})
  path.unlink(missing_ok=True)  # an older one would say that this is done
  if probabilities is None:  # nor may an older network's scores lie beside it
    for name in ("probseg.nii.gz", "probseg.json"):
      (folder / f"{stem}_{name}").unlink(missing_ok=True)
  if not overlay:
    (folder / f"{stem}_overlay.png").unlink(missing_ok=True)
  write_json(sidecar_path(folder, stem), {"Manual": False, **sidecar})
  if probabilities is not None:
    write_json(
      folder / f"{stem}_probseg.json",
      {"LabelMap": list(scheme.names), "Manual": False, **sidecar},
    )
    scores = np.asarray(probabilities, np.float32)
    write_volume(folder / f"{stem}_probseg.nii.gz", scores, reference)
  if overlay:
    write_overlay(
      folder / f"{stem}_overlay.png",
      reference,
      labels,
      scheme,
      title=stem,
      flags=sidecar.get("Flags", ()),
    )
  write_volume(path, _numbers(labels, scheme), reference)
  return path


def _numbers(labels: StudyLabels, scheme: Scheme) -> np.ndarray:
  """Returns the numbers that stand for the classes in the scheme's files."""
  largest = max(scheme.indices)
  types = (np.uint8, np.uint16, np.int32)  # that programs of the field read
  dtype = next(t for t in types if largest <= np.iinfo(t).max)
  return np.array(scheme.indices, dtype)[labels]


def open_folder(
  folder: str | Path,
  scheme: Scheme,
  record: Mapping[str, Any],
  *,
  overwrite: bool = False,
) -> None:
  """Writes the tables and `dataset_description.json` of an output folder.

  Args:
    folder: the output folder.
    scheme: the classes.
    record: JSON-able fields that say what predicts; a folder holds the
      predictions of one of them only.
    overwrite: whether predictions of another record may be replaced.

  Raises:
    InputError: the folder is another data set, or holds predictions that were
      made otherwise.
    OSError: it cannot be written.
  """
  folder = Path(folder)
  path = folder / _DESCRIPTION
  maker = {
    "Name": "lumbar_jax",
    "Version": lumbar_jax.__version__,
    "Parameters": dict(record),
  }
  if path.is_file():
    _check_folder(path, maker, overwrite)
  check_writable(folder)
  write_json(
    path,
    {
      "Name": "Lumbar spine segmentations",
      "BIDSVersion": BIDS_VERSION,
      "DatasetType": "derivative",
      "GeneratedBy": [maker],
    },
  )
  write_tables(folder, scheme)


def _check_folder(path: Path, maker: Mapping, overwrite: bool) -> None:
  """Raises InputError if a folder is not ours, or not of this record."""
  content = read_json(
    path,
    (),
    "give another --output; if the predictions in this folder are ours, delete "
    "the file: it is written anew",
  )
  makers: Sequence[Mapping] = content.get("GeneratedBy") or [{}]
  ours = isinstance(makers, list) and isinstance(makers[0], dict)
  if not ours or makers[0].get("Name") != maker["Name"]:
    raise InputError(
      "this folder is a data set that lumbar_jax did not write",
      "give another --output, for example a new folder below derivatives",
      path=path.parent,
    )
  old, new = makers[0].get("Parameters") or {}, maker["Parameters"]
  name = difference(old, new)
  if name and not overwrite:
    raise InputError(
      f"this folder holds predictions with {name} {old.get(name)!r}, not "
      f"{new[name]!r}",
      "give another --output, or --overwrite to make them all again",
      path=path.parent,
    )


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
  """Returns the first field in which predictions were made otherwise, or "".

  Args:
    old: what is recorded; older versions did not name the weights.
    new: what predicts now.
  """
  for name, value in new.items():
    unknown = name == WEIGHTS and name not in old
    if name != RUN_NAME and not unknown and old.get(name) != value:
      return name
  return ""
