"""A phantom data set on disk, as a MIDS tree (BIDS for spine MRI)."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from lumbar_jax.anatomy import DISCS, PHANTOM, write_dseg_tsv
from lumbar_jax.data.phantom.presets import Preset, get_preset
from lumbar_jax.data.phantom.scanner import to_storage
from lumbar_jax.data.phantom.simulation import Simulation, simulate
from lumbar_jax.errors import InputError
from lumbar_jax.files import (
  atomic_path,
  digest,
  read_json,
  write_json,
  write_text,
)

VERSION = 1  # of the anatomy and the signals; a change makes new data sets
_SETTINGS = "phantom.json"
_MASKS = Path("derivatives", "manual_masks")


def write_dataset(
  root: str | Path,
  preset: str | Preset,
  num_patients: int | None = None,
  seed: int = 0,
  progress: Callable[[int, int], None] | None = None,
) -> Path:
  """Writes a phantom data set; one that is there already is kept.

  Args:
    root: folder; made if need be. An interrupted call is repeated whole.
    preset: name in PRESETS, or a Preset.
    num_patients: instead of the preset's.
    seed: decides every voxel.
    progress: called with (patients written, patients in all).

  Returns:
    The root.

  Raises:
    InputError: unknown preset, fewer than one patient, or a root that holds
      something else.
  """
  root, chosen = Path(root), get_preset(preset)
  count = chosen.num_patients if num_patients is None else num_patients
  if count < 1:
    raise InputError(
      f"num_patients is {count}", "a phantom has at least 1 patient"
    )
  settings = {
    "version": VERSION,
    "preset": preset if isinstance(preset, str) else "custom",
    "num_patients": count,
    "seed": seed,
    "digest": digest(_fields(chosen)),
  }
  if _is_written(root, settings):
    return root
  write_json(root / f"{_SETTINGS}.partial", settings)
  participants, gradings = [], []
  for index in range(count):
    session = simulate(chosen, index, seed)
    name = f"sub-{index + 1:03d}"
    _write_session(root, name, session)
    participants.append(_participant(name, session))
    gradings.extend(_gradings(name, session))
    if progress is not None:
      progress(index + 1, count)
  _write_tables(root, participants, gradings)
  write_json(root / _SETTINGS, settings)
  (root / f"{_SETTINGS}.partial").unlink()
  return root


def _fields(preset: Preset) -> dict[str, Any]:
  """Returns what decides a data set, as it was when there was no lift."""
  fields = dataclasses.asdict(preset)
  if not any(preset.lift_mm):
    del fields["lift_mm"]
  return fields


def _is_written(root: Path, settings: dict[str, Any]) -> bool:
  """Tells whether root holds this data set; refuses to touch another."""
  names = {p.name for p in root.iterdir()} if root.is_dir() else set()
  if root.exists() and not root.is_dir():
    raise InputError("not a folder", "give a folder for the phantom", path=root)
  for name in (_SETTINGS, f"{_SETTINGS}.partial"):
    if name not in names:
      continue
    found = read_json(root / name, (), "remove the folder: it is made anew")
    if found == settings:
      return name == _SETTINGS
    differs = [k for k in settings if found.get(k) != settings[k]]
    raise InputError(
      "a phantom with another "
      + ", ".join(f"{k} ({found.get(k)}, not {settings[k]})" for k in differs),
      "give another folder, or remove this one",
      path=root / name,
    )
  if names:
    raise InputError(
      f"it holds other files ({sorted(names)[0]} ...)",
      "give a new or empty folder for the phantom",
      path=root,
    )
  return False


def _write_session(root: Path, name: str, session: Simulation) -> None:
  """Writes both images, their sidecars and the mask."""
  folder = Path(name, "ses-01", "mim-mr", "anat")
  stem = f"{name}_ses-01_acq-sag_bp-lspine_vp-sag"
  storage = session.scanner.storage
  for channel, array, affine in (
    ("T2w", session.t2w, session.t2w_affine),
    ("T1w", session.t1w, session.t1w_affine),
  ):
    target = root / folder / f"{stem}_{channel}.nii.gz"
    _write_nifti(target, *to_storage(array, affine, storage))
    write_json(
      root / folder / f"{stem}_{channel}.json", session.sidecars[channel]
    )
  mask = to_storage(session.labels, session.t2w_affine, storage)
  _write_nifti(
    root / _MASKS / folder / f"{stem}_desc-manual_dseg.nii.gz", *mask
  )


def _write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
  image = nib.Nifti1Image(array, affine)
  image.header.set_xyzt_units("mm", "sec")
  image.set_sform(affine, code=1)
  image.set_qform(affine, code=1)
  with atomic_path(path) as scratch:
    nib.save(image, scratch)


def _participant(name: str, session: Simulation) -> dict[str, Any]:
  patient, scanner = session.patient, session.scanner
  return {
    "participant_id": name,
    "sex": patient.sex,
    "age": patient.age,
    "manufacturer": scanner.manufacturer,
    "model": scanner.model,
    "field_t": scanner.field_t,
  }


def _gradings(name: str, session: Simulation) -> list[dict[str, Any]]:
  """Returns a row a disc that is in the image, numbered from L5-S1 up."""
  rows = []
  for number, disc in enumerate(DISCS[::-1], 1):
    if (session.labels == PHANTOM.names.index(disc)).any():
      place = DISCS.index(disc)
      rows.append(
        {
          "participant_id": name,
          "disc": number,
          "pfirrmann_grade": int(session.patient.grades[place]),
          "spondylolisthesis": int(session.patient.slip[place] > 0),
        }
      )
  return rows


def _write_tsv(path: Path, rows: list[dict[str, Any]]) -> None:
  lines = ["\t".join(rows[0])]
  lines += ["\t".join(str(v) for v in row.values()) for row in rows]
  write_text(path, "\n".join(lines) + "\n")


def _write_tables(root: Path, participants, gradings) -> None:
  """Writes what stands at the root and beside the masks."""
  _write_tsv(root / "participants.tsv", participants)
  _write_tsv(root / "disc_gradings.tsv", gradings)
  description = {"Name": "Lumbar phantom", "BIDSVersion": "1.9.0"}
  write_json(
    root / "dataset_description.json", {**description, "DatasetType": "raw"}
  )
  write_json(
    root / _MASKS / "dataset_description.json",
    {
      **description,
      "DatasetType": "derivative",
      "GeneratedBy": [{"Name": "lumbar_jax.data.phantom"}],
    },
  )
  write_dseg_tsv(root / _MASKS / "dseg.tsv", PHANTOM)
