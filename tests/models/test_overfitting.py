"""Networks overfit four patches; the script that says so for all of them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lumbar_jax import models

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "experiments" / "overfit_topologies.py"


def test_two_networks_overfit_four_patches():
  """RMSprop, attention, DS.v3; PReLU and the VGG encoder. 32 x 32 pixels."""
  done = subprocess.run(
    [sys.executable, SCRIPT, "--only=^(UAD|UVD)$", "--size=32"],
    capture_output=True,
    text=True,
    timeout=500,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
  )
  assert done.returncode == 0, done.stdout + done.stderr
  first, second, last = done.stdout.splitlines()
  assert first.startswith("ok   UAD (rmsprop 0.001, relu): ")
  assert second.startswith("ok   UVD (adam 0.00033, prelu): ")
  assert last == "2 passed, 0 failed"


@pytest.fixture(scope="module")
def script():
  spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_patches_have_both_channels_and_every_class(script):
  batch = script.four_patches()
  assert batch["images"].shape == (4, 64, 64, 2)
  assert np.unique(batch["labels"]).tolist() == list(range(12))
  assert script.four_patches("002")["images"].shape == (4, 64, 64, 1)
  t2w, t1w = np.moveaxis(batch["images"], -1, 0)
  assert abs(np.corrcoef(t2w.ravel(), t1w.ravel())[0, 1]) < 0.9


def test_every_kind_of_network_is_trained(script):
  assert set(models.names("000")) < set(script.NAMES)
  kinds = {models.module(name) for name in models.names()}
  assert {models.module(name) for name in script.NAMES} == kinds


def test_one_network_that_does_not_learn_fails_the_script(
  script, monkeypatch, capsys
):
  monkeypatch.setattr(
    script, "overfit", lambda name, batch: (name != "UDD", name)
  )
  with pytest.raises(SystemExit) as caught:
    script.main(["overfit_topologies.py"])
  assert caught.value.code == 1
  *lines, last = capsys.readouterr().out.splitlines()
  assert [line[5:] for line in lines] == script.NAMES
  assert [line for line in lines if line.startswith("FAIL")] == ["FAIL UDD"]
  assert last == f"{len(lines) - 1} passed, 1 failed"


def test_training_stops_at_the_bound(script):
  half = SimpleNamespace(confusion=np.eye(2), num_pixels=4.0)
  state = SimpleNamespace(variables={})
  found = script.train(state, lambda *_: (state, half), lambda *_: half, {})
  assert found == (1500, 0.5, 0.5)
