"""Compiled programs are found again, and a bad cache costs only time."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from lumbar_jax import compilation

ROOT = Path(__file__).resolve().parents[1]

# Compiles one small network's gradient, twice; the second time with a damaged
# cache if the second argument says so. Prints what came out.
PROGRAM = """
import hashlib, json, sys, warnings
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_platforms", "cpu")
from lumbar_jax import compilation
from lumbar_jax.models.layers import max_pool
warnings.simplefilter("always")
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
place = compilation.keep_compiled(sys.argv[1], least_s=0)
rng = np.random.default_rng(0)
image, kernel = (jnp.asarray(rng.normal(size=s), "float32")
  for s in ((2, 16, 16, 4), (3, 3, 4, 4)))
def loss(kernel):
  y = jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"))
  return jnp.sum(max_pool(jnp.tanh(y)) ** 2)
def run():
  hits.clear()
  value = np.asarray(jax.jit(jax.grad(loss))(kernel)).tobytes()
  return {"digest": hashlib.sha256(value).hexdigest(),
    "hits": hits.count("/jax/compilation_cache/cache_hits")}
found = [run()]
if len(sys.argv) > 2:
  for path in place.glob("*-cache"):
    path.write_bytes(path.read_bytes()[: int(sys.argv[2])])
  jax.clear_caches()
  found.append(run())
print(json.dumps({"place": str(place), "found": found}))
"""


def start(*arguments):
  done = subprocess.run(
    [sys.executable, "-c", PROGRAM, *map(str, arguments)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout), done.stderr


def test_another_process_finds_the_program_and_gets_the_same_bits(tmp_path):
  first, _ = start(tmp_path)
  assert first["found"][0]["hits"] == 0
  assert list(Path(first["place"]).glob("*-cache"))
  second, said = start(tmp_path, 40)
  warm, damaged = second["found"]
  assert warm["hits"] >= 1
  assert damaged["hits"] == 0
  digests = {found["digest"] for found in (*first["found"], warm, damaged)}
  assert len(digests) == 1
  assert "Error reading persistent compilation cache" in said


@pytest.fixture
def _settings():
  """Gives the session its own cache back."""
  before = {
    name: getattr(jax.config, name)
    for name in (
      "jax_compilation_cache_dir",
      "jax_persistent_cache_min_compile_time_secs",
      "jax_persistent_cache_min_entry_size_bytes",
    )
  }
  yield
  for name, value in before.items():
    jax.config.update(name, value)


@pytest.mark.usefixtures("_settings")
def test_a_folder_that_cannot_be_used_is_done_without(tmp_path):
  (tmp_path / "file").write_text("no folder")
  assert compilation.keep_compiled(tmp_path / "file") is None
  assert jax.config.jax_compilation_cache_dir is None
  place = compilation.keep_compiled(tmp_path / "new")
  assert jax.config.jax_compilation_cache_dir == str(place)
  assert place.parent == tmp_path / "new"
  assert place.stat().st_mode & 0o077 == 0  # JAX trusts what lies there
  assert compilation.keep_compiled("") is None
  assert jax.config.jax_compilation_cache_dir is None


def test_caches_lie_where_caches_lie(monkeypatch, tmp_path):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  assert compilation.default_folder() == tmp_path / "lumbar_jax" / "xla"
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  assert compilation.default_folder() == tmp_path / "home/.cache/lumbar_jax/xla"


def test_machines_that_differ_do_not_share_a_cache(monkeypatch):
  ours = compilation.machine()
  assert jax.__version__ in ours
  monkeypatch.setattr(compilation.hardware, "cpu_features", lambda: "sse2")
  assert compilation.machine() != ours
