"""Log lines that a person wants to read: ours, and others' errors."""

import logging as std_logging
import warnings

from absl import logging

_QUIET = (
  "orbax",
  "matplotlib",
  "tensorstore",
  "grain",
  "xla_bridge",
  "jax/_src",
)


class _Ours(std_logging.Filter):
  """Lets others' records through from level ERROR only."""

  def filter(self, record: std_logging.LogRecord) -> bool:
    if record.levelno >= std_logging.ERROR:
      return True
    return not any(part in record.pathname for part in _QUIET)


def setup() -> None:
  """Shows INFO with the time of day; silences libraries' chatter."""
  logging.set_verbosity(logging.INFO)
  logging.set_stderrthreshold("info")
  handler = logging.get_absl_handler()
  handler.addFilter(_Ours())
  handler.setFormatter(
    std_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
  )
  warnings.filterwarnings("ignore", module="orbax")


def mark_process(index: int, count: int) -> None:
  """Lets only the main one of several processes chat; others name themselves.

  Args:
    index: of this process.
    count: of processes.
  """
  if count == 1:
    return
  logging.get_absl_handler().setFormatter(
    std_logging.Formatter(f"%(asctime)s [{index}] %(message)s", "%H:%M:%S")
  )
  if index > 0:
    logging.set_verbosity(logging.WARNING)
