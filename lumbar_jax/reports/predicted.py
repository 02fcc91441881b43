"""Which files of a run's predictions are whose: by content, never by name.

The sidecar of a predicted label map has the digest of what it was made from,
which is the digest of the prepared study. Names would not do: patient 2,
session 1 is also in the name of patient 1, session 2 (`1_2_dseg`).
"""

from collections.abc import Iterable
from pathlib import Path

from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.studies import Study
from lumbar_jax.files import read_json
from lumbar_jax.inference import outputs
from lumbar_jax.runs import Run

_SIDECAR = "_dseg.json"


def predictions(run: Run) -> dict[str, list[tuple[Path, str]]]:
  """Returns {input digest: (folder, stem) of what was made from it}.

  Sidecars that are damaged or say nothing of their input are left out.
  """
  found: dict[str, list[tuple[Path, str]]] = {}
  for path in sorted((run.folder / "predictions").rglob(f"*{_SIDECAR}")):
    try:
      key = read_json(path).get("InputDigest")
    except (OSError, ValueError, AttributeError):
      continue
    if key:
      place = path.parent, path.name.removesuffix(_SIDECAR)
      found.setdefault(str(key), []).append(place)
  return found


def paths_of(run: Run, studies: Iterable[PreparedStudy]) -> dict[str, Path]:
  """Returns {study: its predicted label map}, of those that have one.

  Two studies of the same bytes have their own places.
  """
  known, found = predictions(run), {}
  for study in studies:
    places = [
      place
      for place in known.get(study.info.get("digest", ""), ())
      if outputs.mask_path(*place).is_file()
    ]
    if places:
      # Where a tree keeps it, or flat under its own name.
      own = _place(run, study), (run.folder / "predictions", study.name)
      chosen = next((place for place in own if place in places), places[0])
      found[study.name] = outputs.mask_path(*chosen)
  return found


def _place(run: Run, study: PreparedStudy) -> tuple[Path, str] | None:
  """Returns (folder, stem) of a study's own files, as they are written."""
  channel = run.config.data.channels[0]
  image = study.info.get("paths", {}).get(channel)
  if image is None:
    return None
  files = Study(study.patient, study.session, {channel: Path(image)})
  folder, stem = outputs.place(files, channel)
  return run.folder / "predictions" / folder, stem


def overlays_of_others(run: Run, digests: Iterable[str]) -> list[Path]:
  """Returns the overlays that were not made from inputs of these digests."""
  known, mine = predictions(run), set()
  for key in digests:
    mine |= {
      folder / f"{stem}_overlay.png" for folder, stem in known.get(key, ())
    }
  folder = run.folder / "predictions"
  return [p for p in sorted(folder.rglob("*_overlay.png")) if p not in mine]
