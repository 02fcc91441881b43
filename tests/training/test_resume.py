"""Killed at any moment and started again, a run ends in the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

from lumbar_jax.data import phantom

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, STEPS = 3, 12  # 96 patches in batches of 8


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
  """Returns workdir -> the command that trains its fold 0.

  One phantom serves all runs, and one compilation cache all processes: the
  test is of the checkpoints, not of XLA.
  """
  shared = tmp_path_factory.mktemp("shared")
  data = phantom.write_dataset(shared / "phantom", "tiny", 7, 0)

  def command(workdir: Path, *extra: str) -> subprocess.Popen:
    return subprocess.Popen(
      [
        *(sys.executable, "launch.py", "--mode=train", "--fold=0"),
        f"--config={ROOT / 'configs' / 'tiny.py'}",
        f"--workdir={workdir}",
        f"--config.data.root={data}",
        f"--config.data.cache={shared / 'cache'}",
        f"--config.training.num_epochs={EPOCHS}",
        "--config.training.checkpoint_every_steps=5",
        "--config.training.tensorboard=False",
        "--config.model.width=2",
        *extra,
      ],
      cwd=ROOT,
      env={
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(shared / "jit"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      },
      stderr=subprocess.PIPE,
      text=True,
    )

  return command


def _finish(process: subprocess.Popen) -> str:
  _, errors = process.communicate(timeout=550)
  assert process.returncode == 0, errors[-3000:]
  return errors


def _weights(workdir: Path, kind: str) -> dict[str, np.ndarray]:
  """Returns the leaves of a checkpoint as plain arrays, read without us."""
  folder = workdir / "fold_0" / "checkpoints" / kind
  (step,) = [p for p in folder.iterdir() if p.name.isdigit()]
  with ocp.PyTreeCheckpointer() as reader:
    tree = reader.restore(step.resolve() / "tree")
  flat, stack = {}, [("", tree)]
  while stack:
    name, node = stack.pop()
    if isinstance(node, dict):
      stack += [(f"{name}/{k}", v) for k, v in node.items()]
    elif isinstance(node, list | tuple):
      stack += [(f"{name}/{i}", v) for i, v in enumerate(node)]
    elif node is not None:
      flat[name] = np.asarray(node)
  return flat


def _assert_same(a: Path, b: Path) -> None:
  for kind in ("latest", "best"):
    first, second = _weights(a, kind), _weights(b, kind)
    assert first.keys() == second.keys()
    assert len(first) > 40
    for name in first:
      np.testing.assert_array_equal(first[name], second[name], err_msg=name)
  lines = [
    (p / "fold_0" / "metrics.jsonl").read_text().splitlines() for p in (a, b)
  ]
  first, second = ([json.loads(x) for x in part] for part in lines)
  for line in (*first, *second):
    assert line.pop("time_s") > 0  # the one thing that may differ
  assert first == second
  assert len(first) == EPOCHS


def _checkpoint_files(workdir: Path) -> list[Path]:
  return list(workdir.glob("fold_0/checkpoints/*/*"))


def _kill_when(process: subprocess.Popen, condition) -> None:
  """Sends SIGKILL as soon as the condition holds."""
  deadline = time.monotonic() + 240
  while not condition():
    assert process.poll() is None, process.stderr.read()[-3000:]
    assert time.monotonic() < deadline, "the moment to kill never came"
    time.sleep(0.0005)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def uninterrupted(launch, tmp_path_factory) -> Path:
  workdir = tmp_path_factory.mktemp("whole") / "run"
  _finish(launch(workdir))
  return workdir


def test_killed_three_times_ends_in_the_same_weights(
  launch, uninterrupted, tmp_path
):
  workdir = tmp_path / "run"
  rng = np.random.default_rng()  # the moments differ from test to test

  def saved(kind):
    folder = workdir / "fold_0" / "checkpoints" / kind
    steps = [int(p.name) for p in folder.glob("*") if p.name.isdigit()]
    return max(steps, default=-1)

  # In the middle of the first epoch, some time after its first checkpoint.
  pause = time.monotonic()

  def first():
    nonlocal pause
    if saved("latest") < 5:
      pause = time.monotonic() + rng.uniform(0, 0.3)
      return False
    return time.monotonic() >= pause

  _kill_when(launch(workdir), first)
  assert 5 <= saved("latest") < EPOCHS * STEPS

  # While a checkpoint is being written.
  def half_written():
    return any(
      "orbax-checkpoint-tmp" in p.name for p in _checkpoint_files(workdir)
    )

  before = saved("latest")
  _kill_when(launch(workdir), half_written)
  assert saved("latest") >= before

  # In a later epoch.
  goal = saved("latest") + int(rng.integers(4, 12))
  _kill_when(launch(workdir), lambda: saved("latest") >= min(goal, 30))

  _finish(launch(workdir))
  _assert_same(uninterrupted, workdir)
  assert not any(
    "orbax-checkpoint-tmp" in p.name for p in _checkpoint_files(workdir)
  )


def test_a_finished_run_is_not_trained_again(launch, uninterrupted):
  before = {p: p.stat().st_mtime_ns for p in _checkpoint_files(uninterrupted)}
  assert "already trained" in _finish(launch(uninterrupted))
  after = {p: p.stat().st_mtime_ns for p in _checkpoint_files(uninterrupted)}
  assert before == after


def test_what_one_device_saved_four_devices_continue(
  launch, uninterrupted, tmp_path, monkeypatch
):
  workdir = tmp_path / "run"
  saved = workdir / "fold_0" / "checkpoints" / "latest"

  def one_epoch():
    return any(
      p.name.isdigit() and int(p.name) >= STEPS for p in saved.glob("*")
    )

  _kill_when(launch(workdir), one_epoch)
  monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
  _finish(launch(workdir))
  first, second = _weights(uninterrupted, "latest"), _weights(workdir, "latest")
  assert first.keys() == second.keys()
  for name in first:
    if name.startswith("/params"):
      np.testing.assert_allclose(
        first[name], second[name], rtol=0.05, atol=0.05, err_msg=name
      )
