"""The benchmark's cases, at sizes that say nothing about speed."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import models
from lumbar_jax.benchmarks import child, memory, subjects, suite
from lumbar_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(monkeypatch):
  """Returns the smallest settings; there is no PyTorch."""
  monkeypatch.setattr(subjects, "has_torch", lambda: False)
  found = config_lib.default()
  found.data.update(patch_size=32, patch_stride=24)
  found.model.width = 2
  found.benchmark.update(num_slices=2, slice_px=48, repeats=2, num_steps=2)
  return found


def names(config):
  return [case.name for case in suite.cases(config)]


def run(config, only):
  config.benchmark.only = only
  (case,) = suite.cases(config)
  return suite.run_case(config, case)


def test_cases_are_known_by_their_names(config):
  every = names(config)
  assert len(every) == len(set(every))
  for name in (
    "startup/U1",
    "forward/UQD/float32/batch8",
    "train_step/U1/float32/batch1",
    "members/U1/x3/batch1",
    "throughput/U1/float32/batch1",
    "study/E4/float32",
    "memory/train_step/U1/batch1",
    "memory/studies",
  ):
    assert name in every
  config.benchmark.only = "^forward/U1/.*batch1$|^study/E4"
  assert names(config) == ["forward/U1/float32/batch1", "study/E4/float32"]


def test_no_network_is_left_out(config):
  config.benchmark.networks = ()
  found = {n.split("/")[1] for n in names(config) if n.startswith("forward")}
  assert found == set(models.names())


@pytest.mark.parametrize("only", ["forward(", "backward"])
def test_a_choice_of_nothing_is_refused(only, config):
  config.benchmark.only = only
  with pytest.raises(InputError, match=r"config\.benchmark\.only"):
    list(suite.cases(config))


@pytest.mark.parametrize("field", ["networks", "train_networks", "studies"])
def test_an_unknown_network_is_refused_before_anything_runs(field, config):
  config.benchmark[field] = ("U1", "UMX")
  with pytest.raises(InputError, match=r"UMX.*did you mean UMD"):
    list(suite.cases(config))


def test_a_forward_pass(config):
  (record,) = run(config, "^forward/U1/float32/batch1$")
  assert record["ours_s"] > 0
  assert record["repeats"] == 2
  for name in ("peer", "peer_s", "ratio", "error"):
    assert record[name] is None
  operations = record["operations_per_s"] * record["ours_s"]
  macs = subjects.summarize(models.build("U1", 12, width=2), (32, 32, 2)).macs
  assert operations == pytest.approx(2 * macs, rel=1e-3)


def test_members_beside_single_ones(config):
  config.benchmark.num_members = 2
  found = run(config, "^members/U1/x2/batch1$")
  assert [record["name"].rpartition("/")[2] for record in found] == [
    *("loop", "map", "vmap")
  ]
  for record in found:
    assert record["peer"] == "2 single members"
    low, high = record["ratio_range"]
    assert low <= record["ratio"] <= high


def test_training_with_the_whole_pipeline(config):
  (record,) = run(config, "^throughput")
  assert record["patches_per_s"] == pytest.approx(
    1 / record["ours_s"], rel=1e-3
  )
  assert 0 <= record["idle_share"] < 1
  assert record["peer"] == "the step alone"


def test_the_peak_is_more_than_an_array_that_was_held():
  before = memory.resident_mib()
  if before is None:
    pytest.skip("this system does not say what a process holds")
  held = bytearray(64 * 2**20)
  during = memory.resident_mib()
  assert during > before + 60
  del held
  assert memory.peak_mib() > during - 2  # Linux counts in steps


def report(value, started):
  """Called in another process."""
  return [value, started, sys.argv[0], jax.config.jax_compilation_cache_dir]


def test_a_function_is_called_in_another_process(monkeypatch, tmp_path):
  monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
  value, started, program, cache = child.call_apart(
    report, cache=str(tmp_path), value=3, started=0.0
  )
  assert (value, cache) == (3, str(tmp_path))
  assert started > 1e9
  assert program.endswith("child.py")
  with pytest.raises(RuntimeError, match="report ended with code 1"):
    child.call_apart(report, unknown=3)


def test_the_mode_times_a_study_stage_by_stage(tmp_path):
  command = [
    *(sys.executable, "launch.py", "--mode=benchmark"),
    *("--config=configs/benchmark.py:quick", f"--workdir={tmp_path}"),
    *("--config.benchmark.only=^study/U1", "--config.model.width=2"),
    *("--config.data.patch_size=32", "--config.data.patch_stride=32"),
    "--config.benchmark.slice_px=48",
  ]
  done = subprocess.run(
    command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
  )
  assert done.returncode == 0, done.stderr
  found = json.loads((tmp_path / "benchmark.json").read_text())
  kinds = ("cold", "cached", "warm")
  assert [r["name"] for r in found] == [f"study/U1/float32/{k}" for k in kinds]
  cold, cached, warm = found
  assert {"start", "load"} <= cold["stages"].keys()
  stages = {"read", "register", "prepare", "network", "reconstruct", "label"}
  for record in (cold, cached, warm):
    assert stages | {"write", "overlay"} <= record["stages"].keys()
    total = sum(record["stages"].values())
    assert record["ours_s"] == pytest.approx(total, rel=1e-3)
  assert "start" not in warm["stages"]
  assert "| study/U1/float32/warm |" in (tmp_path / "benchmark.md").read_text()
