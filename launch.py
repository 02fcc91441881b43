"""Trains, evaluates and applies lumbar spine MRI segmentation.

Once, before anything else: `make setup`, then `source .venv/bin/activate`.

  python launch.py --config=configs/demo.py --workdir=runs/demo
  python launch.py --config=configs/midas.py:UMD --workdir=runs/umd \\
      --config.data.root=/data/midas
  python launch.py --mode=doctor --config=configs/midas.py \\
      --config.data.root=/data/midas
  python launch.py --mode=predict --workdir=runs/umd --input=study --output=out
  python launch.py --mode=summary --config=configs/midas.py:UMD
  python launch.py --config=configs/study.py:tiny --workdir=runs/study_tiny
  python launch.py --config=configs/ensemble.py --workdir=runs/pair \\
      --config.ensemble.members=runs/u1,runs/umd --config.ensemble.method=NAD
  srun python launch.py --distributed --config=configs/midas.py:UMD ...
  python launch.py --launcher=slurm --config=configs/midas.py \\
      --workdir=runs/sweep --sweep=model.name=U1,UMD --sweep=seed=0,1 \\
      --resource=gpus_per_node=1 --resource=slurm_partition=gpu
  python launch.py --launcher=status --workdir=runs/sweep
  python launch.py --config=configs/benchmark.py --workdir=runs/benchmark

Modes: crossval (prepare, train every fold, tune thresholds, evaluate, report),
train (one fold: --fold), evaluate, predict, report, doctor (check the data,
change nothing), summary (a network's blocks, costs and diagram, which goes to
--workdir or else ./summary; no data needed), ensemble (of finished runs), study
(many networks and their ensembles; one part of it: --stage), prepare (the data
alone), benchmark (time and memory on this machine, beside PyTorch where it is
installed; to --workdir or else ./benchmark). A stopped run goes on when the
same command is given again.
"""

import contextlib
import os
import sys
from pathlib import Path

from lumbar_jax import installed

installed.require()  # before what has to be installed is imported

from absl import app, flags, logging
from ml_collections import config_flags

from lumbar_jax.errors import InputError, explain
from lumbar_jax.launchers import LAUNCHERS

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "configs/NAME.py[:ARG]; fields by --config.a.b=value"
)
_MODE = flags.DEFINE_string(
  "mode",
  None,
  "crossval, train, evaluate, predict, report, doctor, summary, ensemble, "
  "study, prepare or benchmark; default: config.mode",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")
_FOLD = flags.DEFINE_integer("fold", None, "one fold, from 0")
_LABELLING = flags.DEFINE_enum(
  "labelling", "TH", ["TH", "MAP"], "predict: thresholds, or highest score"
)
_INPUT = flags.DEFINE_string(
  "input", None, "predict: a NIfTI file, folder or manifest"
)
_OUTPUT = flags.DEFINE_string("output", None, "predict: folder to write to")
_PROBABILITIES = flags.DEFINE_bool(
  "probabilities", False, "predict: write the scores of all classes too"
)
_WHOLE_SLICE = flags.DEFINE_bool(
  "whole_slice",
  False,
  "predict: slices in one pass instead of overlapping patches: quicker, other "
  "scores",
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "predict: do again what is there already"
)
_ASSUME_ORIENTATION = flags.DEFINE_string(
  "assume_orientation",
  "",
  "predict: where the three axes of a NIfTI file run to, such as RAS or LPI, "
  "if its header does not say it",
)
_STAGE = flags.DEFINE_enum(
  "stage",
  None,
  ["train", "stack", "tune", "evaluate", "report"],
  "study: one stage alone; default: all that is left",
)
_NETWORK = flags.DEFINE_string(
  "network", None, "study: train one network alone (see also --fold)"
)
_LAUNCHER = flags.DEFINE_enum(
  "launcher",
  None,
  LAUNCHERS,
  "submit crossval or study as many jobs (slurm), try that here (local), or "
  "show what is done, running and failed (status)",
)
_SWEEP = flags.DEFINE_multi_string(
  "sweep", [], "launcher: FIELD=VALUE,VALUE of the config; may be repeated"
)
_RESOURCE = flags.DEFINE_multi_string(
  "resource",
  [],
  "launcher: NAME=VALUE of submitit's parameters, such as gpus_per_node=1, "
  "timeout_min=600 or slurm_partition=gpu; may be repeated",
)
_PARALLEL = flags.DEFINE_integer(
  "parallel", 0, "launcher: jobs at a time; 0: all on SLURM, one here"
)
_DISTRIBUTED = flags.DEFINE_bool(
  "distributed", False, "work as one with the other processes of a cluster"
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator",
  None,
  "distributed, where no cluster is found: HOST:PORT of process 0",
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "distributed, likewise: how many processes there are"
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "distributed, likewise: the number of this one, from 0"
)
_COMPILE_CACHE = flags.DEFINE_string(
  "compile_cache",
  None,
  "folder of compiled programs, kept for the next process; empty: keep none; "
  "default: ~/.cache/lumbar_jax/xla, and none with --distributed",
)
_VERSION = flags.DEFINE_bool(
  "version", False, "print the versions of all that computes, and stop"
)
_KEEP_MEMORY = flags.DEFINE_bool(
  "keep_memory",
  True,
  "keep memory that was freed for the next step: quicker on a CPU, but the "
  "system has it back less often",
)


def _path(flag) -> Path | None:
  return Path(flag.value) if flag.value else None


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  if _VERSION.value:
    sys.stdout.write(installed.versions() + "\n")
    return
  try:
    _work()
  except (Exception, KeyboardInterrupt) as error:
    if isinstance(error, app.UsageError):
      raise
    _end(error)


def _end(error: BaseException) -> None:
  """Says what ended the work, in a line, and ends the process."""
  from lumbar_jax import crashes

  text, code = explain(error) or (crashes.report(error), 1)
  logging.error("%s", text)
  logging.flush()
  if isinstance(error, KeyboardInterrupt):
    os._exit(code)  # at once: checkpoints are whole or absent
  sys.exit(code)


def _work() -> None:
  """Does what the flags say."""
  # After the flags: --help stays quick.
  from lumbar_jax import allocation

  if _KEEP_MEMORY.value:
    allocation.keep_memory()  # before there are threads
  from lumbar_jax import compilation, compile_watch, crashes, logs, modes

  logs.setup()
  crashes.log_to(_path(_OUTPUT), _path(_WORKDIR))
  crashes.watch_threads()
  cache = _COMPILE_CACHE.value
  if cache is None and _DISTRIBUTED.value:
    cache = ""  # XLA can hang where only some of the processes find a program
  compilation.keep_compiled(cache)
  compile_watch.start()

  config = _config()
  options = modes.Options(
    config=config,
    workdir=_path(_WORKDIR),
    fold=_FOLD.value,
    labelling=_LABELLING.value,
    input=_path(_INPUT),
    output=_path(_OUTPUT),
    probabilities=_PROBABILITIES.value,
    whole_slice=_WHOLE_SLICE.value,
    overwrite=_OVERWRITE.value,
    assume_orientation=_ASSUME_ORIENTATION.value,
    stage=_STAGE.value,
    network=_NETWORK.value,
  )
  mode = _MODE.value or (config.mode if config is not None else None)
  if mode is None and _LAUNCHER.value != "status":
    raise app.UsageError("give --config=configs/NAME.py, or --mode")
  if _LAUNCHER.value:
    _launch(mode, options)
    return
  with _processes():
    modes.run_mode(mode, options)


def _launch(mode, options):
  """Submits the command as jobs, or shows how they are."""
  from lumbar_jax.launchers import command

  command.launch(
    *(_LAUNCHER.value, mode, options.workdir, options.config),
    axes=_SWEEP.value,
    resources=_RESOURCE.value,
    parallel=_PARALLEL.value,
    arguments=sys.argv[1:],
  )


def _processes():
  """Returns the context that joins other processes, if there are any."""
  from lumbar_jax import distributed, stopping

  if _DISTRIBUTED.value:
    return distributed.joined(
      _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
    )
  stopping.listen()  # JAX does where there are several
  return contextlib.nullcontext()


def _config():
  """Returns --config's value; a file that cannot be read is said in a line."""
  config = _CONFIG.value
  try:
    if config is not None:
      from lumbar_jax.flag_lists import split_lists

      split_lists(config)  # (a file that failed to load fails here)
    return config
  except OSError:
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    known = sorted(Path(__file__).parent.glob("configs/*.py"))
    names = ", ".join(f"configs/{path.name}" for path in known)
    sys.exit(f"launch.py: --config={name} cannot be read; there are {names}")


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; a bad config field or argument is said in one line."""
  from lumbar_jax.flag_lists import quote_lists

  # (the flag of the config looks for its fields in sys.argv)
  sys.argv = [quote_lists(argument) for argument in argv]
  try:
    return app.parse_flags_with_usage(sys.argv)
  except (AttributeError, InputError, KeyError, TypeError) as error:
    text = str(error.args[0] if error.args else error)
    if "\\'" in text:  # ml_collections quotes an error's text twice
      text = text[1:-1]
    text = text.replace("\\n", ". ").replace("\n", ". ").replace("\\'", "'")
    sys.exit(f"launch.py: {text}")


if __name__ == "__main__":
  app.run(main, flags_parser=_parse)
