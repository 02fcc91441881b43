"""What `launch.py --mode=...` does, one function a mode."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import ml_collections
from absl import logging

from lumbar_jax import (
  combine,
  distributed,
  finishing,
  progress,
  records,
  remarks,
  run_results,
  stages,
)
from lumbar_jax import config as config_lib
from lumbar_jax.ensembles.weights import fold_scorers
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.files import read_json
from lumbar_jax.runs import Run, load_run, open_run


@dataclasses.dataclass(frozen=True)
class Options:
  """The launcher's flags.

  Attributes:
    config: the configuration, or None where the run's own is meant.
    workdir: the run's folder.
    fold: one fold, or None for all.
    labelling: TH or MAP.
    input: what to predict.
    output: where predictions go.
    probabilities: whether to write scores beside the labels.
    whole_slice: whether slices are predicted in one pass.
    overwrite: whether to predict again what is there.
    assume_orientation: where axes run to in files that do not say it, as RAS.
    stage: one stage of a study, or None for all.
    network: one network of a study, or None for all.
  """

  config: ml_collections.ConfigDict | None
  workdir: Path | None
  fold: int | None = None
  labelling: str = "TH"
  input: Path | None = None
  output: Path | None = None
  probabilities: bool = False
  whole_slice: bool = False
  overwrite: bool = False
  assume_orientation: str = ""
  stage: str | None = None
  network: str | None = None


def _workdir(options: Options) -> Path:
  if options.workdir is None:
    raise InputError("--workdir is missing", "give the folder of the run")
  return options.workdir


def _refuse_others(folder: Path, mode: str) -> None:
  """Raises InputError where a mode would spoil a study or an ensemble."""
  path = folder / "config.json"
  if not path.is_file():
    return
  kind = read_json(path, ["data"]).get("mode")
  ensembles_too = ("evaluate", "report")
  if kind == "study" or (kind == "ensemble" and mode not in ensembles_too):
    stage = " --stage=evaluate or report" if kind == "study" else ""
    raise InputError(
      f"--mode={mode} on the folder of a mode {kind}",
      f"give --mode={kind}{stage}, or one of its runs as --workdir",
      path=folder,
    )


def _run(options: Options, mode: str) -> Run:
  """Opens the run of --config, or the one that --workdir holds."""
  _refuse_others(_workdir(options), mode)
  if options.config is None:
    return load_run(_workdir(options))
  return open_run(_workdir(options), options.config, write=False)


def _material(run: Run) -> stages.Material:
  """Returns a run's material; says what it is of and what it works on."""
  data = stages.material(run)
  remarks.at_start(run, data)
  return data


def prepare(options: Options) -> None:
  """Finds, divides and prepares the data; training then needs no more of it."""
  if options.config is not None and options.config.mode == "study":
    from lumbar_jax import study as study_lib

    study_lib.open_study(_workdir(options), options.config)
  else:
    stages.material(_run(options, "prepare"))


def crossval(options: Options) -> None:
  """Prepares, trains every fold, tunes, evaluates, predicts and reports.

  With --fold, that fold alone is trained, and whichever process trains the last
  one goes on: many can so share the work.
  """
  run = _run(options, "crossval")
  data = _material(run)
  engine = stages.engine(run)
  one = options.fold is not None
  folds = [run.check_fold(options.fold)] if one else list(run.folds)
  stages.train_folds(run, data, folds, engine)
  if one and not finishing.is_last([run]):
    return
  with finishing.turn(run.folder, one, records.reader(run)) as mine:
    if mine:
      run_results.evaluate(run, data)
      run_results.report(run, data)


def train(options: Options) -> None:
  """Trains the fold of --fold and tunes its thresholds."""
  run = _run(options, "train")
  if options.fold is None:
    raise InputError("--fold is missing", "give --fold=0, 1 ...")
  run.check_fold(options.fold)
  data = _material(run)
  stages.train_folds(run, data, [options.fold], stages.engine(run))
  scorer = fold_scorers(run, [options.fold])[0]
  stages.tune_fold(run, data, options.fold, scorer)


def evaluate(options: Options) -> None:
  """Tunes thresholds and evaluates a run whose folds are trained."""
  run = _run(options, "evaluate")
  run_results.evaluate(run, _material(run))


def report(options: Options) -> None:
  """Writes report.html of what the run has so far.

  Without its data, which may have stayed on another machine, the page has no
  pictures and says why. Several processes fail instead: the others would wait.
  """
  run = _run(options, "report")
  begun = (run.folder / "config.json").is_file()
  try:
    data = stages.material(run)
  except InputError as error:
    if not begun:
      raise
    run_results.report_without(run, error)
  else:
    run_results.report(run, data)


def predict(options: Options) -> None:
  """Segments the studies of --input into --output."""
  from lumbar_jax.inference import predict as predict_lib

  for name in ("input", "output"):
    if getattr(options, name) is None:
      raise InputError(f"--{name} is missing", f"give --{name}=PATH")
  results = predict_lib.predict(
    _workdir(options),
    options.input,
    options.output,
    fold=options.fold,
    labelling=options.labelling,
    probabilities=options.probabilities,
    whole_slice=options.whole_slice,
    overwrite=options.overwrite,
    assume_orientation=options.assume_orientation,
  )
  predict_lib.check_failures(results, options.output)


def doctor(options: Options) -> None:
  """Checks a data set and changes nothing.

  Raises:
    InputError: problems were found; they have been listed.
  """
  from lumbar_jax.data import doctor as doctor_lib

  config = options.config or load_run(_workdir(options)).config
  config_lib.validate(config)
  with progress.shown("checking studies") as show:
    found = doctor_lib.examine(
      config.data,
      options.workdir,
      show,
      seed=config.seed,
      shared=config.training.allow_shared_patients,
    )
  logging.info("\n%s", doctor_lib.format_report(found))
  if not found.ok:
    raise InputError(
      "the data set has errors (listed above)", "mend them, or leave them out"
    )


def ensemble(options: Options) -> None:
  """Makes an ensemble of finished runs: trains, tunes, evaluates, reports."""
  with distributed.main_first("ensemble"):
    model = combine.open_ensemble(_workdir(options), options.config)
  run = model.run
  data = _material(run)
  if model.ensemble.is_stacking:
    combine.train_all_heads(
      [model],
      run.config,
      lambda fold: stages.patch_sources(run, data, fold),
      combine.Weights(),
    )
  run_results.evaluate(run, data)
  run_results.report(run, data)


def study(options: Options) -> None:
  """Trains networks, makes ensembles of them, and reports on all.

  With --network or --fold, that part alone is trained, and whichever process
  trains the last one goes on.
  """
  from lumbar_jax import study as study_lib

  folder = _workdir(options)
  config = options.config or load_run(folder).config
  config.mode = "study"  # the folder's kind, however it was asked for
  opened = study_lib.open_study(folder, config)
  remarks.at_start(opened.run, opened.data)
  part = options.network is not None or options.fold is not None
  if part:
    study_lib.train_networks(opened, options.network, options.fold)
    runs = [member.run for member in opened.members]
    if options.stage == "train" or not finishing.is_last(runs):
      return
  state = records.reader(opened.run, study=True)
  with finishing.turn(folder, part, state) as mine:
    for stage in study_lib.STAGES if mine else ():
      if options.stage in (None, stage):
        logging.info("stage %s", stage)
        study_lib.RUN[stage](opened)


def summary(options: Options) -> None:
  """Logs a network block by block and draws its diagram; needs no data."""
  from lumbar_jax.network_summary import summarise

  summarise(options.config, options.workdir)


def benchmark(options: Options) -> None:
  """Measures what the software costs on this machine; needs no data."""
  from lumbar_jax.benchmarks import suite

  config = options.config or config_lib.default()
  config_lib.validate(config)
  suite.run(config, options.workdir or Path("benchmark"))


MODES: dict[str, Callable[[Options], None]] = {
  "prepare": prepare,
  "crossval": crossval,
  "train": train,
  "evaluate": evaluate,
  "predict": predict,
  "report": report,
  "doctor": doctor,
  "summary": summary,
  "ensemble": ensemble,
  "study": study,
  "benchmark": benchmark,
}
_OF_ONE = ("doctor", "summary")  # nothing for other processes to do


def run_mode(mode: str, options: Options) -> None:
  """Runs a mode by its name.

  Raises:
    InputError: no such mode, or bad input.
  """
  if mode not in MODES:
    raise InputError(
      f"unknown mode {mode!r}",
      did_you_mean(mode, MODES) + f"there are {', '.join(MODES)}",
    )
  if mode in _OF_ONE:
    distributed.on_main(MODES[mode], options)
  else:
    MODES[mode](options)
