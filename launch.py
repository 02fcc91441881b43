"""Trains, evaluates and applies lumbar spine MRI segmentation.

  python launch.py --config=configs/demo.py --workdir=runs/demo
  python launch.py --config=configs/midas.py:UMD --workdir=runs/umd \\
      --config.data.root=/data/midas
  python launch.py --mode=doctor --config=configs/midas.py \\
      --config.data.root=/data/midas
  python launch.py --mode=predict --workdir=runs/umd --input=study --output=out

Modes: crossval (prepare, train every fold, tune thresholds, evaluate, report),
train (one fold: --fold), evaluate, predict, report, doctor (check the data,
change nothing). A stopped run goes on when the same command is given again.
"""

import sys
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from lumbar_jax.errors import InputError

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "configs/NAME.py[:ARG]; fields by --config.a.b=value"
)
_MODE = flags.DEFINE_string("mode", None, "what to do; default: config.mode")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")
_FOLD = flags.DEFINE_integer("fold", None, "one fold, from 0 (train, predict)")
_LABELLING = flags.DEFINE_enum(
  "labelling", "TH", ["TH", "MAP"], "predict: thresholds, or highest score"
)
_INPUT = flags.DEFINE_string("input", None, "predict: a NIfTI file or folder")
_OUTPUT = flags.DEFINE_string("output", None, "predict: folder to write to")
_PROBABILITIES = flags.DEFINE_bool(
  "probabilities", False, "predict: write the scores of all classes too"
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "predict: do again what is there already"
)


def _path(flag) -> Path | None:
  return Path(flag.value) if flag.value else None


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  from lumbar_jax import logs, modes  # after the flags: --help stays quick

  logs.setup()

  config = _CONFIG.value
  options = modes.Options(
    config=config,
    workdir=_path(_WORKDIR),
    fold=_FOLD.value,
    labelling=_LABELLING.value,
    input=_path(_INPUT),
    output=_path(_OUTPUT),
    probabilities=_PROBABILITIES.value,
    overwrite=_OVERWRITE.value,
  )
  default = config.mode if config is not None else "predict"
  try:
    modes.run_mode(_MODE.value or default, options)
  except InputError as error:
    logging.error("%s", error)
    sys.exit(2)


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; a bad config field or argument is said in one line."""
  try:
    return app.parse_flags_with_usage(argv)
  except (AttributeError, InputError, KeyError, TypeError) as error:
    text = error.args[0] if error.args else error
    sys.exit(f"launch.py: {text}")


if __name__ == "__main__":
  app.run(main, flags_parser=_parse)
