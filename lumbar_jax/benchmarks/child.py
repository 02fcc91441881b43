"""Functions in processes of their own: a clean memory, a cold start.

A process that took a GPU's memory or compiled a network would spoil the next
measurement; one that is killed would end all of them.
"""

import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags, logging

import lumbar_jax
from lumbar_jax.files import read_json, write_json

# What a process takes over from the one that starts it.
_CARRIED = (
  "jax_platforms",
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
  "jax_persistent_cache_min_entry_size_bytes",
)


def call_apart(
  function: Callable[..., Any], *, cache: str | None = None, **arguments: Any
) -> Any:
  """Calls a module's function in a fresh process.

  Args:
    function: of a module's top level; it returns what JSON can hold.
    cache: folder of compiled programs, "" for none; None: this process' own.
    **arguments: of the function; they can be pickled. "started" is set to the
      time (`time.time()`) at which the process was started.

  Returns:
    The function's result.

  Raises:
    RuntimeError: the process failed; what it said stands on stderr.
  """
  import jax

  settings = {name: getattr(jax.config, name) for name in _CARRIED}
  if cache is not None:
    settings["jax_compilation_cache_dir"] = cache or None
  with tempfile.TemporaryDirectory(prefix="lumbar_jax_child_") as folder:
    spec, result = Path(folder, "spec"), Path(folder, "result")
    if "started" in arguments:
      arguments["started"] = time.time()
    name = function.__module__, function.__name__
    spec.write_bytes(pickle.dumps((name, arguments, settings)))
    command = [sys.executable, "-m", __name__, str(spec), str(result)]
    done = subprocess.run(command, env=_environment(), check=False)
    if done.returncode or not result.is_file():
      where = ".".join(name)
      raise RuntimeError(f"{where} ended with code {done.returncode}")
    return read_json(result)


def _environment() -> dict[str, str]:
  """Returns the environment of a process that finds this package.

  On a GPU it must not take three quarters of the memory at once (JAX's default)
  since PyTorch, or another process, needs some beside it.
  """
  root = str(Path(lumbar_jax.__file__).parents[1])
  paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
  return {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(paths),
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
  }


def main() -> None:
  """Calls the function that a file names; writes its result to another."""
  from lumbar_jax import allocation

  allocation.keep_memory()  # as launch.py does; PyTorch has it too
  import jax

  from lumbar_jax import logs

  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()  # grain asks for absl's flags
  logging.use_absl_handler()
  logs.setup()
  name, arguments, settings = pickle.loads(Path(sys.argv[1]).read_bytes())
  for field, value in settings.items():
    jax.config.update(field, value)
  function = getattr(importlib.import_module(name[0]), name[1])
  write_json(sys.argv[2], function(**arguments))


if __name__ == "__main__":
  main()
