"""Strict settings for all tests: four CPU devices, no silent broadcasting."""

import os
import tempfile
from pathlib import Path

import jax
import pytest
from absl import flags

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
# The tests run each compiled function a few times only.
jax.config.update("jax_disable_most_optimizations", True)
# Many tests compile the same networks: each is compiled once a session, whose
# processes share what they compile.
_SHARED = "LUMBAR_TEST_CACHE"
if _SHARED not in os.environ:
  _compiled = tempfile.TemporaryDirectory(prefix="lumbar_jax_compiled_")
  os.environ[_SHARED] = _compiled.name
jax.config.update("jax_compilation_cache_dir", os.environ[_SHARED])
os.environ["XDG_CACHE_HOME"] = os.environ[_SHARED]  # of the launcher's own
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

if not flags.FLAGS.is_parsed():
  flags.FLAGS.mark_as_parsed()  # grain asks for absl's flags


@pytest.fixture(scope="session")
def real_data() -> Path:
  """Folder of real MR volumes; skips where LUMBAR_REAL_DATA is not set.

  Where it is set but wrong the test fails: a machine that promises real data
  must not pass by skipping them.
  """
  value = os.environ.get("LUMBAR_REAL_DATA")
  if not value:
    pytest.skip("LUMBAR_REAL_DATA is not set: no real data to test on")
  folder = Path(value)
  assert (folder / "spider_t2space").is_dir(), (
    f"LUMBAR_REAL_DATA={value} has no folder spider_t2space"
  )
  return folder
