"""Whoever starts a script without its packages is told what to do."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lumbar_jax import __version__, hardware, installed

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))


def test_the_packages_are_the_requirements():
  lines = (ROOT / "requirements.txt").read_text().splitlines()
  names = [re.match(r"[\w-]+", line) for line in lines]
  assert {n[0] for n in names if n} == set(installed.PACKAGES.values())


@pytest.mark.parametrize(
  "script",
  ["launch.py", "experiments/paper_000.py", "experiments/verify_counts.py"],
)
def test_without_packages_a_script_says_what_to_do(script):
  done = subprocess.run(
    [sys.executable, "-S", script],  # -S: no site-packages
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert done.returncode == 1
  said = done.stderr.splitlines()
  assert len(said) == 2, done.stderr
  assert said[0].startswith(f"{Path(script).name}: Python 3.")
  assert "absl-py" in said[0]
  assert f".venv/bin/python {script} ..." in said[1]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_every_script_asks_before_it_imports_a_package(path):
  lines = path.read_text(encoding="utf-8").splitlines()
  imports = re.compile(rf"(import|from) ({'|'.join(installed.PACKAGES)})\b")
  first = next(n for n, line in enumerate(lines) if imports.match(line))
  assert "installed.require()" in lines[:first]


def test_another_python_is_asked_for(monkeypatch):
  monkeypatch.setattr(installed.shutil, "which", lambda name: None)
  said = installed.advice("launch.py", (3, 9), ["jax"])
  assert "Python 3.9" in said
  assert "3.11 to 3.13" in said
  assert "make PYTHON=python3.12 setup" in said
  assert ".venv-python3.12/bin/python launch.py" in said
  monkeypatch.setattr(
    installed.shutil, "which", lambda name: name == "python3.13" or None
  )
  assert "PYTHON=python3.13" in installed.advice("launch.py", (3, 14), ["jax"])


def test_a_virtual_environment_that_is_there_is_used(monkeypatch, tmp_path):
  monkeypatch.setattr(installed, "_ROOT", str(tmp_path))
  assert "make setup" in installed.advice("launch.py", (3, 12), ["jax"])
  (tmp_path / ".venv/bin").mkdir(parents=True)
  (tmp_path / ".venv/bin/python").write_text("")
  said = installed.advice("launch.py", (3, 12), ["jax"])
  assert "make setup" not in said
  assert ".venv/bin/python launch.py" in said


def test_versions_are_told_without_a_device(monkeypatch, tmp_path):
  card = tmp_path / "0000:01:00.0"
  card.mkdir()
  (card / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 16\n")
  monkeypatch.setattr(hardware, "_NVIDIA", tmp_path)
  said = installed.versions()
  assert f"lumbar_jax {__version__}" in said
  for name in ("jax", "jaxlib", "flax"):
    assert f"{name} {importlib.metadata.version(name)}" in said
  assert "NVIDIA H200" in said


def test_the_launcher_tells_its_versions_without_a_config():
  done = subprocess.run(
    [sys.executable, "launch.py", "--version"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
    check=True,
  )
  assert done.stdout.startswith(f"lumbar_jax {__version__}\n")
  assert "jax " in done.stdout
