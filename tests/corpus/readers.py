"""What property tests of readers share."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from lumbar_jax.errors import InputError

_DEADLINE_MS = 5000  # longer is a hang


def bounded(num_examples):
  """Returns the settings of a test that always draws the same examples."""
  return settings(
    max_examples=num_examples,
    derandomize=True,
    database=None,
    deadline=_DEADLINE_MS,
    suppress_health_check=list(HealthCheck),
  )


def written(name, content):
  """Returns a file in a folder that lives as long as the result is held."""
  folder = tempfile.TemporaryDirectory(prefix="corpus_readers_")
  path = Path(folder.name) / name
  path.write_bytes(content)
  return path, folder


def or_refused(function, *args):
  """Returns the result, or None where it is refused in words."""
  try:
    return function(*args)
  except InputError:
    return None
