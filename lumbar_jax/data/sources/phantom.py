"""The phantom: synthetic patients, written as a MIDS tree and read as one."""

import dataclasses
from pathlib import Path

from lumbar_jax.data.sources import mids
from lumbar_jax.data.sources.found import INFO, Finding, Found
from lumbar_jax.errors import InputError
from lumbar_jax.progress import shown


def find(data_config, workdir: str | Path | None, *, make: bool) -> Found:
  """Lists the phantom's studies, and makes them if none are there.

  Args:
    data_config: the `data` part of a config; `phantom` says what to make.
    workdir: WORKDIR/phantom is the folder if `data_config.root` is empty.
    make: whether to write a phantom that is not there, or only half.

  Raises:
    InputError: neither a root nor a workdir, or something else is there.
  """
  if not data_config.root and workdir is None:
    raise InputError(
      "no folder to make the phantom in",
      "give --workdir=DIR or --config.data.root=FOLDER",
    )
  root = Path(data_config.root or Path(workdir) / "phantom")
  if make:
    _write(data_config.phantom, root)
  elif not any(root.glob("sub-*")):
    remedy = "any mode that trains makes it when it first runs"
    later = Finding(INFO, "the phantom is not made yet", remedy, root)
    return Found((), None, root, (later,))
  found = mids.find(data_config, root)
  return _withhold(found, data_config.phantom.num_unlabelled)


def _withhold(found: Found, number: int) -> Found:
  """Returns the last patients without their masks: they play new studies."""
  patients = sorted({study.patient for study in found.studies})
  new = set(patients[len(patients) - number :]) if number else set()
  studies = tuple(
    dataclasses.replace(study, mask=None) if study.patient in new else study
    for study in found.studies
  )
  return dataclasses.replace(found, studies=studies)


def _write(settings, root: Path) -> None:
  """Makes the phantom, or checks that it is the one that is there."""
  from lumbar_jax.data import phantom

  with shown(f"making the phantom in {root}, patients") as show:
    phantom.write_dataset(
      root,
      preset=settings.preset,
      num_patients=settings.num_patients or None,
      seed=settings.seed,
      progress=show,
    )
