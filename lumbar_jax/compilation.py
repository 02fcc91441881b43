"""Compiled programs, kept for the next process (JAX's persistent cache).

Compiling takes longer than many a run's first epoch. What took a second or more
is kept in a folder, by a key of the program, its options, JAX's version and the
device; a later process loads it and gets the same numbers, bit for bit (on a
GPU this is more than compiling again can promise: XLA chooses kernels by timing
them). JAX trusts such a folder: let nobody else write to it. It can be deleted
at any time.
"""

import os
import platform
import tempfile
from pathlib import Path

import jax
from absl import logging

from lumbar_jax import hardware
from lumbar_jax.files import digest

_LEAST_S = 1.0  # to compile; quicker programs are not kept


def default_folder() -> Path:
  """Returns where caches lie: ~/.cache, or what XDG_CACHE_HOME says."""
  home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(home) / "lumbar_jax" / "xla"


def machine() -> str:
  """Returns a folder name for all that runs the same compiled programs.

  XLA compiles for the very processor that it runs on and only warns when it
  loads a program made for another one, so that a home folder that several
  machines share needs a folder for each kind.
  """
  key = digest(hardware.cpu_model(), hardware.cpu_features())
  return f"jax-{jax.__version__}-{platform.machine()}-{key}"


def keep_compiled(
  folder: str | Path | None = None, least_s: float = _LEAST_S
) -> Path | None:
  """Lets JAX keep compiled programs; call it before anything is compiled.

  A folder that cannot be used, or files in it that are damaged, cost a warning
  and the time to compile; nothing else.

  Args:
    folder: parent of the caches; None: `default_folder`; "": keep nothing.
    least_s: shortest compilation that is worth keeping, in seconds.

  Returns:
    The cache's folder, or None if nothing is kept.
  """
  jax.config.update("jax_compilation_cache_dir", None)
  if folder == "":
    return None
  place = Path(default_folder() if folder is None else folder).expanduser()
  place = place / machine()
  try:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=place):
      pass
  except OSError as error:
    logging.warning(
      "%s: compiled programs cannot be kept there (%s); --compile_cache=DIR "
      "gives another folder",
      *(place, error.strerror),
    )
    return None
  jax.config.update("jax_compilation_cache_dir", str(place))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", least_s)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
  return place
