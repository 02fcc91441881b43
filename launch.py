"""Trains, evaluates and applies lumbar spine MRI segmentation.

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
  python launch.py --config=configs/benchmark.py --workdir=runs/benchmark

Modes: crossval (prepare, train every fold, tune thresholds, evaluate, report),
train (one fold: --fold), evaluate, predict, report, doctor (check the data,
change nothing), summary (a network's blocks, costs and diagram, which goes to
--workdir or else ./summary; no data needed), ensemble (of finished runs), study
(many networks and their ensembles; one part of it: --stage), benchmark (time
and memory on this machine, beside PyTorch where it is installed; to --workdir
or else ./benchmark). A stopped run goes on when the same command is given
again.
"""

import os
import sys
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from lumbar_jax.errors import InputError

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "configs/NAME.py[:ARG]; fields by --config.a.b=value"
)
_MODE = flags.DEFINE_string(
  "mode",
  None,
  "crossval, train, evaluate, predict, report, doctor, summary, ensemble, "
  "study or benchmark; default: config.mode",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")
_FOLD = flags.DEFINE_integer("fold", None, "one fold, from 0 (train, predict)")
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
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "predict: do again what is there already"
)
_STAGE = flags.DEFINE_enum(
  "stage",
  None,
  ["train", "stack", "tune", "evaluate", "report"],
  "study: one stage alone; default: all that is left",
)
_COMPILE_CACHE = flags.DEFINE_string(
  "compile_cache",
  None,
  "folder of compiled programs, kept for the next process; empty: keep none; "
  "default: ~/.cache/lumbar_jax/xla",
)


def _path(flag) -> Path | None:
  return Path(flag.value) if flag.value else None


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  # After the flags: --help stays quick.
  from lumbar_jax import compilation, logs, modes

  logs.setup()
  compilation.keep_compiled(_COMPILE_CACHE.value)

  config = _config()
  options = modes.Options(
    config=config,
    workdir=_path(_WORKDIR),
    fold=_FOLD.value,
    labelling=_LABELLING.value,
    input=_path(_INPUT),
    output=_path(_OUTPUT),
    probabilities=_PROBABILITIES.value,
    overwrite=_OVERWRITE.value,
    stage=_STAGE.value,
  )
  mode = _MODE.value or (config.mode if config is not None else None)
  if mode is None:
    raise app.UsageError("give --config=configs/NAME.py, or --mode")
  try:
    modes.run_mode(mode, options)
  except InputError as error:
    logging.error("%s", error)
    sys.exit(2)
  except OSError as error:
    if error.filename is None:
      raise
    logging.error(
      "%s: %s. Check that it is there and can be written.",
      *(error.filename, error.strerror),
    )
    sys.exit(2)
  except KeyboardInterrupt:
    logging.error("stopped; the same command goes on from the last checkpoint")
    logging.flush()
    os._exit(130)  # at once: checkpoints are whole or absent


def _config():
  """Returns --config's value; a file that cannot be read is said in a line."""
  config = _CONFIG.value
  try:
    if config is not None:
      from lumbar_jax.config import split_lists

      split_lists(config)  # (a file that failed to load fails here)
    return config
  except OSError:
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    known = sorted(Path(__file__).parent.glob("configs/*.py"))
    names = ", ".join(f"configs/{path.name}" for path in known)
    sys.exit(f"launch.py: --config={name} cannot be read; there are {names}")


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; a bad config field or argument is said in one line."""
  try:
    return app.parse_flags_with_usage(argv)
  except (AttributeError, InputError, KeyError, TypeError) as error:
    text = str(error.args[0] if error.args else error)
    if "\\'" in text:  # ml_collections quotes an error's text twice
      text = text[1:-1]
    text = text.replace("\\n", ". ").replace("\n", ". ").replace("\\'", "'")
    sys.exit(f"launch.py: {text}")


if __name__ == "__main__":
  app.run(main, flags_parser=_parse)
