"""Runs doctor, training and prediction on a world, and judges them."""

import contextlib
import json
import logging as std_logging
import re
import signal
import traceback
from pathlib import Path
from unittest import mock

import nibabel as nib
import numpy as np
from absl import logging

from corpus.entry import Entry
from corpus.judge import Seen, judge
from corpus.world import World
from lumbar_jax import config as config_lib
from lumbar_jax import runs, stages
from lumbar_jax.data import doctor as doctor_lib
from lumbar_jax.errors import explain
from lumbar_jax.inference import predict as predict_lib

_LIMIT_S = 30  # of one command; longer is a hang
_MARGIN = 1e-3  # of a standard deviation, between neighbours


def scorer(images: np.ndarray) -> np.ndarray:
  """Scores [b h w c] so that classes tell up from down and front from back.

  Class 1 where a pixel is brighter than the one above, + 2 where it is
  brighter than the one before it.
  """
  pixels = np.asarray(images)[..., 0]
  above = pixels > np.roll(pixels, 1, axis=1) + _MARGIN
  before = pixels > np.roll(pixels, 1, axis=2) + _MARGIN
  return np.eye(4, dtype=np.float32)[above + 2 * before] * 0.9 + 0.02


def zscored(array: np.ndarray) -> np.ndarray:
  """Returns [x y z] of zero mean and unit variance."""
  array = array.astype(np.float64)
  return (array - array.mean()) / array.std()


def expected_labels(array: np.ndarray) -> np.ndarray:
  """Returns [x y-1 z-1] the classes that `scorer` gives inside [x y z]."""
  pixels = zscored(array).astype(np.float32)
  inside = pixels[:, :-1, :-1]
  above = inside > pixels[:, :-1, 1:] + _MARGIN
  before = inside > pixels[:, 1:, :-1] + _MARGIN
  return above + 2 * before


class _Lines(std_logging.Handler):
  """Keeps log records."""

  def __init__(self, seen: Seen):
    super().__init__()
    self.seen = seen

  def emit(self, record):
    if "lumbar_jax" not in record.pathname:
      return  # the chatter of libraries
    text = record.getMessage()
    self.seen.lines.append(text)
    if record.levelno >= std_logging.ERROR:
      self.seen.logged.append(text)
    elif record.levelno >= std_logging.WARNING:
      self.seen.warnings.append(text)


class HangError(Exception):
  """A command did not end."""


def _ring(*_):
  raise HangError(f"not done in {_LIMIT_S} s")


@contextlib.contextmanager
def _watched(world: World, seen: Seen):
  """Keeps what is logged and raised; ends what hangs."""
  logger, handler = logging.get_absl_logger(), _Lines(seen)
  level = logging.get_verbosity()
  logging.set_verbosity(logging.INFO)
  logger.addHandler(handler)
  old = signal.signal(signal.SIGALRM, _ring)
  left, _ = signal.setitimer(signal.ITIMER_REAL, _LIMIT_S)  # of pytest's own
  try:
    with contextlib.ExitStack() as stack:
      for context in world.around:
        stack.enter_context(context())
      yield
  except (Exception, KeyboardInterrupt) as error:
    seen.made = False
    said = explain(error)
    if said is None:
      seen.crash = "".join(traceback.format_exception(error)[-6:])
    else:
      seen.errors += [*seen.logged, said[0]]
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
    signal.setitimer(signal.ITIMER_REAL, left)
    logger.removeHandler(handler)
    logging.set_verbosity(level)


def run_doctor(world: World) -> Seen:
  """Examines the data as `--mode=doctor` does."""
  seen = Seen()
  with _watched(world, seen):
    config = world.config()
    config_lib.validate(config)
    report = doctor_lib.examine(config.data, world.workdir)
    patients = {row.patient for row in report.rows}
    seen.made = len(patients - set(map(world.name, world.others))) > 0
    text = doctor_lib.format_report(report)
    seen.lines += text.splitlines()
    for finding in report.findings:
      line = f"{finding.study} {finding}"
      if finding.severity == "error":
        seen.errors.append(line)
      elif finding.severity == "warning":
        seen.warnings.append(line)
  return seen


def run_training(world: World) -> Seen:
  """Prepares the data as all modes of training do."""
  seen = Seen()
  with _watched(world, seen):
    run = runs.open_run(world.workdir, world.config(), write=False)
    data = stages.material(run)
    prepared = {study.patient: study for study in data.studies}
    study = prepared.get(world.name(world.target))
    seen.made = study is not None
    if seen.made and world.compare:
      seen.wrong = _compare_prepared(world, study)
    for step in world.then:
      step(run)
  return seen


def _compare_prepared(world: World, study) -> str:
  image = _in_our_axes(zscored(world.array))
  if study.image.shape[:3] != image.shape:
    return f"image of shape {study.image.shape}, not {image.shape}"
  if not np.allclose(study.image[..., 0], image, atol=2e-3):
    return "another image"
  if not np.array_equal(study.native_mask, _in_our_axes(world.labels)):
    return "another mask"
  if not np.allclose(study.spacing_mm, _ours(world.spacing_mm), rtol=1e-3):
    return f"spacing {study.spacing_mm} mm"
  return ""


def _in_our_axes(array: np.ndarray) -> np.ndarray:
  """Returns [x y z] as slices, rows from above, columns from the front."""
  return array.transpose(0, 2, 1)[:, ::-1, ::-1]


def _ours(spacing_mm):
  return [spacing_mm[0], spacing_mm[2], spacing_mm[1]]


def run_predict(world: World) -> Seen:
  """Predicts with a run whose network is `scorer`."""
  seen = Seen()
  load = predict_lib.load_scorer

  def fake(*args, **options):
    if world.real_weights:
      load(*args, **options)
    return scorer

  with (
    _watched(world, seen),
    mock.patch.object(predict_lib, "load_scorer", fake),
  ):
    options = {"overlays": False, **world.options}
    results = predict_lib.predict(
      *(world.run_folder, world.input, world.output), **options
    )
    states = {result.name: result for result in results}
    seen.lines += [f"{r.name} {r.status}" for r in results]
    own = _result(world, states)
    seen.made = own is not None and own.path is not None
    failed = [r for r in results if r.status == "failed"]
    seen.errors += [f"{r.name}: {r.error}" for r in failed]
    seen.crash = next((r.error for r in failed if _is_bug(r.error)), "")
    for other in map(world.name, world.others):
      if other not in states or states[other].path is None:
        seen.crash = f"{other} was not predicted: {list(states)}"
    if seen.made and world.compare:
      seen.warnings += _flags(own.path)
      seen.wrong = _compare_predicted(world, own.path)
    return seen
  if not world.whole and not seen.crash:
    seen.crash = f"nothing was predicted: {seen.errors}"
  return seen


def _is_bug(text: str) -> bool:
  return bool(re.match(r"(?!Input|OS)[A-Za-z.]*(Error|Exception)\b", text))


def _result(world: World, states):
  """Returns the target's result, even if it was given another name."""
  unknown = [n for n in states if n not in map(world.name, world.others)]
  default = states[unknown[0]] if len(unknown) == 1 else None
  return states.get(world.name(world.target), default)


def _flags(path: Path) -> list[str]:
  sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
  return json.loads(sidecar.read_text())["Flags"]


def _compare_predicted(world: World, path: Path) -> str:
  image = nib.load(path)
  back = nib.orientations.ornt_transform(
    *map(nib.orientations.axcodes2ornt, (world.axes, "RAS"))
  )
  found = np.asarray(image.dataobj)
  if found.ndim != 3:
    return f"a mask of shape {found.shape}"
  found = nib.orientations.apply_orientation(found, back)
  wanted = expected_labels(world.array)
  if found.shape != world.array.shape:
    return f"a mask of shape {found.shape}, not {world.array.shape}"
  share = (found[:, :-1, :-1] != wanted).mean()
  return f"{share:.1%} of the voxels have another class" if share else ""


RUNNERS = {
  "doctor": run_doctor,
  "predict": run_predict,
  "training": run_training,
}


def run_entry(entry: Entry, folder: Path) -> tuple[dict, list[str]]:
  """Runs an entry with every command that it concerns.

  Returns:
    {command: outcome}, and what is wrong.
  """
  outcomes, problems = {}, []
  for command, expect in entry.expected.items():
    world = World(folder / command, entry.kind)
    entry.make(world)
    seen = (world.process or RUNNERS[command])(world)
    for check in world.checks:
      seen.wrong = seen.wrong or check()
    outcome, problem = judge(expect, seen, world.culprit)
    outcomes[command] = outcome
    if problem:
      problems.append(f"{entry.name}, {command}: {problem}")
  for command, outcome in outcomes.items():
    twins = [
      c for c, e in entry.expected.items() if e == entry.expected[command]
    ]
    if outcome and any(outcomes[c] not in ("", outcome) for c in twins):
      problems.append(f"{entry.name}: the commands differ: {outcomes}")
      break
  return outcomes, problems
