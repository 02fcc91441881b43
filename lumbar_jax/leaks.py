"""Whether anything was trained on the patients that it is tested on.

Patients are told by what their image files contain, whatever these are called
and wherever they lie, and by their id in one data set. Two ways lead into a
leak: weights that a run starts from (`training.init_from`, and what those were
started from), and one patient who is in the data under two names.

A run's `environment.json` says whom it works on: "source" and "root" of the
data, "patients" {study: patient} and "files" {study: {channel: digest}}.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.data.splits import Splits
from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.runs import ENSEMBLE_FILE, Run

ORIGINS_FILE = "origins.json"  # see `origins`
NOTE = "evaluated on patients whom the initial weights were trained on"
_REMEDY = (
  "in another --workdir (or with this one deleted) start from weights that "
  "have not seen them, or divide the patients otherwise; or give "
  "--config.training.allow_shared_patients=True: every table and report will "
  "then say so"
)

# {"files": [digest], "patients": [[source, root, id]], "unknown": [sentence]}
Seen = dict[str, list]
# {fold as text: ["sub-7 (test): the same files"]}
Shared = dict[str, list[str]]


def nobody() -> Seen:
  """Returns the record of weights that have seen nobody."""
  return {"files": [], "patients": [], "unknown": []}


def data_place(folder: Path, data: Mapping[str, Any]) -> list[str]:
  """Returns [source, root] of a run's data: ids mean the same in it.

  Args:
    folder: the run's.
    data: its `config.data`.
  """
  root = data["manifest"] if data["source"] == "manifest" else data["root"]
  if not root and data["source"] == "phantom":
    root = folder / "phantom"
  return [data["source"], str(Path(root).absolute())]


def facts(run: Run, studies: Sequence[PreparedStudy]) -> dict[str, Any]:
  """Returns what `environment.json` says of whom a run works on."""
  source, root = data_place(run.folder, run.config.data)
  return {
    "source": source,
    "root": root,
    "patients": {s.name: s.patient for s in studies},
    "files": {s.name: dict(s.info.get("files", {})) for s in studies},
  }


def source_fold(folder: str | Path, fold: int) -> int:
  """Returns which fold of a run a fold of another one starts from."""
  path = Path(folder) / "config.json"
  if not path.is_file():
    raise InputError(
      "not a run's folder: it has no config.json",
      "config.training.init_from takes the folder of a trained run",
      path=folder,
    )
  return fold if fold < read_json(path, ["data"])["data"]["num_folds"] else 0


def seen_at_start(config: Any) -> dict[str, Seen]:
  """Returns {fold: whom the weights have seen that it starts from}."""
  folder = config.training.init_from
  folds = range(config.data.num_folds if folder else 0)
  return {
    str(fold): _seen_in(Path(folder), source_fold(folder, fold), ())
    for fold in folds
  }


def _seen_in(folder: Path, fold: int, below: tuple[Path, ...]) -> Seen:
  """Returns whom a fold was trained on, and what it was started from."""
  trained = nobody()
  try:
    environment = read_json(folder / "environment.json", ["studies"])
    splits, _ = read_splits(folder / "splits.json")
    place = [environment.get("source"), environment.get("root")]
    if None in place:  # an older version's
      place = data_place(
        folder, read_json(folder / "config.json", ["data"])["data"]
      )
    patients = splits.train(fold)
  except (OSError, InputError):
    text = f"{folder} does not say whom it was trained on"
    return trained | {"unknown": [text]}
  trained["patients"] = [[*place, patient] for patient in patients]
  owners, files = environment.get("patients"), environment.get("files")
  if owners is None or files is None:
    trained["unknown"].append(
      f"{folder} was written by a version that kept no digests of its "
      "patients' files: only ids of the same data are compared"
    )
  else:
    own = {name for name, patient in owners.items() if patient in patients}
    trained["files"] = sorted(_images(files[name] for name in own))
  return _join(trained, _seen_before(folder, fold, (*below, folder.resolve())))


def _seen_before(folder: Path, fold: int, below: tuple[Path, ...] = ()) -> Seen:
  """Returns whom the weights had seen that a run's fold was started from."""
  path = folder / ORIGINS_FILE
  if path.is_file():
    return read_json(path, ["seen"])["seen"].get(str(fold), nobody())
  config = read_json(folder / "config.json", ["training"])
  other = config["training"].get("init_from", "")
  if not other:
    return nobody()
  if Path(other).resolve() in below or not Path(other).is_dir():
    text = f"{folder} was started from {other}, which is not there any more"
    return nobody() | {"unknown": [text]}
  return _seen_in(Path(other), source_fold(other, fold), below)


def _images(files: Iterable[Mapping[str, str]]) -> set[str]:
  """Returns the digests of images; masks of two patients may be alike."""
  return {d for found in files for name, d in found.items() if name != "mask"}


def _join(*parts: Seen) -> Seen:
  return {name: [x for p in parts for x in p[name]] for name in nobody()}


def _origins(run: Run, fold: int) -> list[tuple[str, Seen]]:
  """Returns (name, whom its first weights have seen) of a fold's networks."""
  if not (run.folder / ENSEMBLE_FILE).is_file():
    path = run.folder / "config.json"
    return [("", _seen_before(run.folder, fold))] if path.is_file() else []
  members = read_json(run.folder / ENSEMBLE_FILE, ["members"])["members"]
  return [
    (f" of {m['name']}", _seen_before(run.folder / m["path"], fold))
    for m in members
  ]


def find(run: Run, splits: Splits, studies: Sequence[PreparedStudy]) -> Shared:
  """Returns whom a run validates or tests on although it has learnt from them.

  Args:
    run: a run or an ensemble.
    splits: its division of the patients.
    studies: prepared, all of the run's.

  Returns:
    {fold: sentences}, only folds that have any.
  """
  place = data_place(run.folder, run.config.data)
  images: dict[str, set[str]] = {}
  for study in studies:
    own = images.setdefault(study.patient, set())
    own |= _images([study.info.get("files", {})])
  found = {}
  for fold in run.folds:
    held_out = dict.fromkeys(splits.validation(fold), "validation")
    held_out |= dict.fromkeys(splits.test, "test")
    lines = _twins(run, splits.train(fold), held_out, studies)
    for whose, seen in _origins(run, fold):
      for text in seen["unknown"]:
        logging.log_first_n(
          logging.WARNING,
          "fold %d: it cannot be checked in full whether the first weights%s "
          "have seen its validation or test patients: %s",
          len(run.folds),
          *(fold, whose, text),
        )
      files, ids = set(seen["files"]), set(map(tuple, seen["patients"]))
      for patient, part in held_out.items():
        if images.get(patient, set()) & files:
          what = "the same files were trained on before"
        elif (*place, patient) in ids:
          what = "the same patient of the same data was trained on before"
        else:
          continue
        by = f", by the first weights{whose}" if whose else ""
        lines.append(f"{patient} ({part}): {what}{by}")
    if lines:
      found[str(fold)] = sorted(set(lines))
  return found


def _twins(
  run: Run,
  trained: Sequence[str],
  held_out: Mapping[str, str],
  studies: Sequence[PreparedStudy],
) -> list[str]:
  """Returns the patients whose reference images others were trained on."""
  reference, owners = run.config.data.channels[0], {}
  for study in studies:
    digest = study.info.get("files", {}).get(reference)
    if digest is not None:
      owners.setdefault(digest, set()).add(study.patient)
  lines = []
  for patients in owners.values():
    for patient in patients & held_out.keys():
      for twin in sorted(patients & set(trained)):
        lines.append(
          f"{patient} ({held_out[patient]}): the same image is {twin}'s, who "
          "is trained on"
        )
  return lines


def trained_images(run: Run, folds: Iterable[int]) -> dict[str, str]:
  """Returns {image file's digest: study} of what folds were trained on.

  Empty where an older version kept no digests.
  """
  path = run.folder / "environment.json"
  found = read_json(path, ()) if path.is_file() else {}
  if not (found.get("files") and (run.folder / "splits.json").is_file()):
    return {}
  splits, _ = read_splits(run.folder / "splits.json")
  patients = {patient for fold in folds for patient in splits.train(fold)}
  return {
    digest: name
    for name, files in found["files"].items()
    if found["patients"].get(name) in patients
    for digest in _images([files])
  }


def check(run: Run, shared: Shared) -> None:
  """Refuses what `find` has found, unless the user wants it so.

  What was allowed once stays allowed: the run's `environment.json` says it. So
  does what was begun before anybody looked: no digests, and no answer either.

  Raises:
    InputError: patients are learnt from and tested on.
  """
  if not shared:
    return
  path = run.folder / "environment.json"
  old = read_json(path, ()) if path.is_file() else {"files": {}}
  allowed = old.get("shared_allowed")  # None: not asked
  known = (allowed is None and "files" not in old) or (
    allowed and old.get("shared_patients") == shared
  )
  fold, lines = next(iter(shared.items()))
  more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
  shown = "; ".join(lines[:5]) + more
  problem = (
    f"fold {fold} validates or tests on patients whom it has learnt from: "
    f"{shown}"
  )
  if not (run.config.training.allow_shared_patients or known):
    raise InputError(problem, _REMEDY, path=run.folder)
  logging.warning("%s: %s", run.folder, problem)


def note(folder: Path) -> str:
  """Returns what tables have to say of a run's patients, or ""."""
  path = folder / "environment.json"
  known = read_json(path, ()) if path.is_file() else {}
  return NOTE if known.get("shared_patients") else ""
