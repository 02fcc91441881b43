"""From one study's files to its segmentation's files."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax import distributed, leaks, records
from lumbar_jax.arrays import StudyLabels
from lumbar_jax.config import identity
from lumbar_jax.data.prepare import (
  PreparedStudy,
  entry_digest,
  prepare_in_memory,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.errors import InputError, printable
from lumbar_jax.evaluation.labelling import Thresholds, read_thresholds
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.files import digest, read_json
from lumbar_jax.inference import outputs
from lumbar_jax.inference.segment import segment
from lumbar_jax.runs import ENSEMBLE_FILE, Run, load_run
from lumbar_jax.timing import collect

DONE, SKIPPED, FAILED = "done", "skipped", "failed"
BUSY = "in another process' hands"


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What became of one study.

  Attributes:
    name: the study's name.
    status: `DONE`, `SKIPPED` (it was done before), `FAILED` or `BUSY`.
    path: its mask, or None if it failed.
    flags: what to look at, such as a refused registration.
    error: why it failed.
    seconds: where the time went, by stage (`timing.stage`).
  """

  name: str
  status: str
  path: Path | None = None
  flags: tuple[str, ...] = ()
  error: str = ""
  seconds: Mapping[str, float] = dataclasses.field(
    default_factory=dict, compare=False
  )


@dataclasses.dataclass(frozen=True)
class Job:
  """What is the same for all studies of a call.

  Attributes:
    run: the trained run.
    output: folder of the results.
    labelling: "MAP" or "TH".
    thresholds: [k] for "TH".
    record: from `describe`.
    probabilities: whether to write the scores.
    overlays: whether to draw overlays.
    overwrite: whether to predict again what is done.
    doubts: what is doubtful of the run, a flag of each prediction.
  """

  run: Run
  output: Path
  labelling: str
  thresholds: Thresholds | None
  record: dict[str, Any]
  probabilities: bool
  overlays: bool
  overwrite: bool
  doubts: tuple[str, ...] = ()

  def target(self, study: Study) -> tuple[Path, str]:
    """Returns (folder, stem) of a study's files."""
    folder, stem = outputs.place(study, self.run.config.data.channels[0])
    return self.output / folder, stem

  def target_name(self, study: Study) -> str:
    """Returns what names a study's files; its name if it has no image."""
    if self.run.config.data.channels[0] not in study.images:
      return study.name
    folder, stem = self.target(study)
    return str((folder / stem).relative_to(self.output))

  def is_done(self, study: Study) -> bool:
    """Whether a study was predicted like this from the files as they are."""
    folder, stem = self.target(study)
    files = [outputs.mask_path(folder, stem)]
    if self.probabilities:
      files.append(folder / f"{stem}_probseg.nii.gz")
    if self.overwrite or not all(map(Path.is_file, files)):
      return False
    damaged = [path for path in files if not outputs.is_whole(path)]
    if damaged:
      logging.warning("%s is damaged; the study is predicted again", damaged[0])
      return False
    sidecar = _sidecar(outputs.sidecar_path(folder, stem))
    if outputs.difference(sidecar, self.record):
      return False
    key = entry_digest(study, self.run.config.data, self.run.scheme)
    return sidecar.get("InputDigest") == key

  def predict(self, study: Study, scorer: Scorer) -> Prediction:
    """Predicts and writes one study."""
    with collect() as seconds:
      path, flags = self._predict(study, scorer)
    name = printable(study.name)
    return Prediction(name, DONE, path, flags, seconds=seconds)

  def _predict(self, study: Study, scorer: Scorer):
    config, scheme = self.run.config, self.run.scheme
    prepared = prepare_in_memory(study, config.data, scheme)
    labels, scores = segment(
      prepared,
      scorer,
      self.thresholds,
      self.labelling,
      config,
      probabilities=self.probabilities,
    )
    info = {**prepared.info, "flags": self._flags(prepared.info)}
    path = outputs.write_segmentation(
      *self.target(study),
      labels,
      read_volume(
        study.images[config.data.channels[0]],
        assume_orientation=config.data.assume_orientation,
      ),
      scheme,
      probabilities=scores,
      sidecar=provenance(self.record, info, config.data),
      overlay=self.overlays,
    )
    return path, tuple(info["flags"])

  @functools.cached_property
  def _trained(self) -> dict[str, str]:
    return leaks.trained_images(self.run, self.record["Folds"])

  def _flags(self, info: Mapping[str, Any]) -> list[str]:
    """Returns what is to be known of a prediction."""
    known = {self._trained.get(digest) for digest in info["files"].values()}
    names = sorted(known - {None})
    seen = [
      f"the network was trained on this image (study {', '.join(names)}): how "
      "well it is segmented says nothing of new patients"
    ]
    return [*info["flags"], *self.doubts, *(seen if names else [])]


def _sidecar(path: Path) -> dict[str, Any]:
  """Returns what a study's sidecar says; a damaged one says nothing."""
  if not path.is_file():
    return {}
  try:
    return read_json(path, ())
  except InputError as error:
    logging.warning("%s: %s; the study is predicted again", path, error.problem)
    return {}


def describe(
  run: Run, fold: int | None, labelling: str, thresholds: Thresholds | None
) -> dict[str, Any]:
  """Returns what tells the predictions of one call from another's."""
  folds = list(run.folds) if fold is None else [fold]
  begun = (run.folder / "config.json").is_file()
  recorded = load_run(run.folder).config if begun else run.config
  path = run.folder / "environment.json"
  trained_on = None
  if path.is_file():
    trained_on = read_json(path, ["studies"])["studies"]
  values = None
  if thresholds is not None:
    values = [float(str(np.float32(value))) for value in thresholds]
    values = dict(zip(run.scheme.names, values, strict=True))
  return {
    outputs.RUN_NAME: run.folder.absolute().name,
    "Network": run.title,
    "ConfigDigest": digest(identity(run.config, recorded), *_ensemble(run)),
    outputs.WEIGHTS: digest(records.weights_of(run, folds)),
    "TrainingDataDigest": digest(trained_on),
    "Folds": folds,
    "Labelling": labelling,
    "Thresholds": values,
  }


def _ensemble(run: Run) -> list[Any]:
  """Returns what makes an ensemble, but its members' places; [] of a run."""
  path = run.folder / ENSEMBLE_FILE
  if not path.is_file():
    return []
  content = read_json(path, ["members"])
  members = [m | {"path": ""} for m in content.pop("members")]
  return [content, members]


def provenance(
  record: Mapping[str, Any], info: Mapping[str, Any], data_config
) -> dict:
  """Returns the sidecar's fields of a study.

  Args:
    record: from `describe`.
    info: of the prepared study.
    data_config: `config.data`.
  """
  assumed = data_config.assume_orientation
  return {
    **({"AssumedOrientation": assumed} if assumed else {}),
    **record,
    "Sources": sorted(map(printable, info["paths"].values())),
    "InputDigest": info["digest"],
    "Flags": info["flags"],
    "Registration": info["registration"],
  }


def save_labels(
  run: Run,
  studies: Sequence[PreparedStudy],
  maps: Mapping[str, StudyLabels],
  output: str | Path,
  *,
  fold_of: Mapping[str, int] | None = None,
  overlays: bool = True,
) -> list[Prediction]:
  """Writes label maps that an evaluation has made, as predictions lie.

  Args:
    run: the run, its thresholds tuned.
    studies: the prepared studies of the maps.
    maps: {study's name: [n H W] uint8}, labelled by TH.
    output: folder of the run's predictions; older ones in it are replaced.
    fold_of: {study's name: fold} where each study was labelled by one fold's
      model and thresholds; None: by the folds' average and the run's.
    overlays: whether to draw overlays.

  Returns:
    A `Prediction` for each study.
  """

  @functools.cache  # it looks at the weights of all members
  def record(fold):
    path = run.thresholds_path(fold)
    return describe(run, fold, "TH", read_thresholds(path, run.scheme))

  with distributed.main_first("predictions"):
    outputs.open_folder(output, run.scheme, record(None), overwrite=True)
  channel, results = run.config.data.channels[0], []
  for study in studies:
    image = Path(study.info["paths"][channel])
    files = Study(study.patient, study.session, {channel: image})
    folder, stem = outputs.place(files, channel)
    fold = None if fold_of is None else fold_of[study.name]
    path = outputs.write_segmentation(
      *(Path(output) / folder, stem, maps[study.name]),
      read_volume(image, assume_orientation=run.config.data.assume_orientation),
      run.scheme,
      sidecar=provenance(record(fold), study.info, run.config.data),
      overlay=overlays,
    )
    flags = tuple(study.info["flags"])
    results.append(Prediction(study.name, DONE, path, flags))
  return results
