"""What this interpreter has: a word to those who start it without packages.

Read before any package is imported, by old interpreters too: only the standard
library, and no syntax newer than theirs.
"""

import importlib.util
import os
import platform
import shutil
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
# Of each requirement that the program cannot do without: {import: package}.
PACKAGES = {
  "absl": "absl-py",
  "flax": "flax",
  "grain": "grain",
  "jax": "jax",
  "jaxtyping": "jaxtyping",
  "jinja2": "jinja2",
  "matplotlib": "matplotlib",
  "ml_collections": "ml-collections",
  "nibabel": "nibabel",
  "numpy": "numpy",
  "optax": "optax",
  "orbax": "orbax-checkpoint",
  "rich": "rich",
  "scipy": "scipy",
  "SimpleITK": "SimpleITK",
  "tensorboardX": "tensorboardX",
}
_SHOWN = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def require():
  """Ends the process in two lines where the packages are not there."""
  version = tuple(sys.version_info[:2])
  find = importlib.util.find_spec
  missing = [PACKAGES[name] for name in PACKAGES if find(name) is None]
  if version < OLDEST or missing:
    sys.exit(advice(sys.argv[0], version, missing))


def advice(script, version, missing):
  """Returns what to do, in two lines.

  Args:
    script: the command as it was given.
    version: (major, minor) of the interpreter.
    missing: packages that it lacks.
  """
  problem = "Python {}.{} ({})".format(version[0], version[1], sys.executable)
  setup, folder = "make setup", ".venv"
  if OLDEST <= version <= NEWEST:
    names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    problem += f" lacks {names}"
  else:
    problem += ": lumbar_jax needs {}.{} to {}.{}".format(*(OLDEST + NEWEST))
    name = _another()
    setup, folder = f"make PYTHON={name} setup", f".venv-{name}"
  python = os.path.join(folder, "bin", "python")
  made = os.path.isfile(os.path.join(_ROOT, python))
  first = "use" if made else f"run `{setup}` once, then"
  return "{}: {}\n{} `{} {} ...` (or `source {}/bin/activate` first)".format(
    os.path.basename(script), problem, first, python, script, folder
  )


def _another():
  """Returns an interpreter of a version that will do, found here or not."""
  for minor in (12, 13, 11):
    if shutil.which(f"python3.{minor}"):
      return f"python3.{minor}"
  return "python3.12"


def versions():
  """Returns the versions of all that computes, in a few lines.

  Nothing of it is imported, and no device is touched.
  """
  from importlib import metadata  # Python 3.8 has it

  from lumbar_jax import __version__, hardware

  known = {d.metadata["Name"]: d.version for d in metadata.distributions()}
  shown = [f"{name} {known[name]}" for name in _SHOWN if name in known]
  plugins = [
    f"{name} {known[name]}"
    for name in sorted(filter(None, known))
    if (name.startswith("jax-") and name.endswith("-plugin"))
    or name in ("libtpu", "jax-metal")
  ]
  cards = hardware.graphics_cards()
  return "\n".join(
    (
      f"lumbar_jax {__version__}",
      ", ".join(shown),
      f"Python {platform.python_version()}, {platform.platform()}",
      f"{hardware.cpu_model()}, {hardware.num_cores()} cores",
      "accelerators of the machine: " + (", ".join(cards) or "none found"),
      "JAX's plugins for them: " + (", ".join(plugins) or "none"),
    )
  )
