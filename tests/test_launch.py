"""The launcher as a user meets it: bad input is said in one line."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import modes, runs
from lumbar_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
TINY = f"--config={ROOT / 'configs' / 'tiny.py'}"
MIDAS = f"--config={ROOT / 'configs' / 'midas.py'}"


def launch(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "launch.py", *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=550,
    check=False,
  )


def refused(*arguments: str) -> str:
  """Returns what the launcher said, which must be no traceback."""
  result = launch(*arguments)
  assert result.returncode not in (0, -6, -11), result.stderr
  assert "Traceback" not in result.stderr
  return result.stderr


def test_help_names_the_modes_and_an_example():
  result = launch("--help")
  for word in (
    "crossval",
    "predict",
    "doctor",
    "summary",
    "benchmark",
    "--workdir",
    "configs/demo.py",
  ):
    assert word in result.stdout


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ((TINY, "--config.modell.width=3"), ("modell", "Did you mean", "model")),
    ((TINY, "--config.model.name=UMX"), ("UMX", "did you mean UMD")),
    ((TINY, "--mode=crosval"), ("crosval", "did you mean crossval")),
    ((TINY, "--config.data.num_folds=0"), ("data.num_folds", "0", "between")),
    ((MIDAS,), ("data.root",)),
    ((MIDAS, "--config.data.root=/nowhere/x"), ("/nowhere/x",)),
  ],
)
def test_bad_flags_are_said_in_a_line(arguments, words, tmp_path):
  said = refused(f"--workdir={tmp_path / 'run'}", *arguments)
  for word in words:
    assert word in said


def test_predict_needs_a_run_an_input_and_an_output(tmp_path):
  assert "--input" in refused("--mode=predict", f"--workdir={tmp_path}")
  said = refused(
    *("--mode=predict", f"--workdir={tmp_path}", "--input=a", "--output=b")
  )
  assert "config.json" in said
  assert str(tmp_path) in said


def _tree(root: Path, patients: int) -> Path:
  """Writes a MIDS tree of small T2w volumes with masks."""
  rng = np.random.default_rng(0)
  for number in range(patients):
    name = f"sub-{number}"
    for folder, suffix, values in (
      (root, "T2w", rng.normal(100, 20, (3, 20, 20)).astype(np.int16)),
      (
        root / "derivatives" / "manual_masks",
        "dseg",
        rng.integers(0, 4, (3, 20, 20)).astype(np.uint8),
      ),
    ):
      path = folder / name / "anat" / f"{name}_{suffix}.nii.gz"
      path.parent.mkdir(parents=True)
      affine = np.array(
        [[4, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]
      )
      nib.save(nib.Nifti1Image(values, affine), path)
  return root


@pytest.mark.parametrize(
  ("patients", "words"),
  [(1, ("only 1 patient",)), (3, ("3", "folds"))],
)
def test_too_few_patients_are_said(patients, words, tmp_path):
  said = refused(
    f"--config={ROOT / 'configs' / 'spider.py'}",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.root={_tree(tmp_path / 'data', patients)}",
  )
  for word in words:
    assert word in said


def test_doctor_lists_problems_and_changes_nothing(tmp_path):
  root = _tree(tmp_path / "data", 5)
  good = launch(
    "--mode=doctor",
    f"--config={ROOT / 'configs' / 'spider.py'}",
    f"--config.data.root={root}",
  )
  assert good.returncode == 0, good.stderr
  assert "sub-4" in good.stderr + good.stdout
  bad = root / "sub-3" / "anat" / "sub-3_T2w.nii.gz"
  bad.write_text("no image")
  before = sorted(tmp_path.rglob("*"))
  said = refused(
    "--mode=doctor",
    f"--config={ROOT / 'configs' / 'spider.py'}",
    f"--config.data.root={root}",
  )
  assert "sub-3_T2w.nii.gz" in said
  assert sorted(tmp_path.rglob("*")) == before


def test_of_several_processes_none_reports_while_others_wait(
  tmp_path, monkeypatch
):
  run = runs.open_run(tmp_path, config_lib.default())

  def fail(run):
    raise InputError("no room", "free some.", path=run.folder)

  monkeypatch.setattr(modes.stages, "material", fail)
  monkeypatch.setattr(modes.distributed, "count", lambda: 2)
  with pytest.raises(
    InputError, match=r"no room\. free some; or ask"
  ) as caught:
    modes.report(modes.Options(None, run.folder))
  assert caught.value.path == run.folder
  assert not (run.folder / "report.html").exists()


def test_summary_needs_no_data_and_draws(tmp_path):
  result = launch(
    "--mode=summary", f"{MIDAS}:UAD", f"--workdir={tmp_path / 'net'}",
    "--config.data.patch_size=64", "--config.data.channels=T2w",
  )  # fmt: skip
  assert result.returncode == 0, result.stderr
  for word in ("64 x 64 x 1", "gate_1", "AttentionGate", "34,935,984"):
    assert word in result.stderr
  names = sorted(path.name for path in (tmp_path / "net").iterdir())
  assert names == ["UAD.png", "UAD.svg"]
  for name in names:
    assert str(tmp_path / "net" / name) in result.stderr


def test_summary_of_nothing_is_refused():
  with pytest.raises(InputError, match="--config is missing"):
    modes.run_mode("summary", modes.Options(config=None, workdir=None))


def test_a_bug_is_one_line_and_a_log(tmp_path):
  code = (
    "import sys, launch\n"
    "from absl import app\n"
    "from lumbar_jax import modes\n"
    "modes.run_mode = lambda *_: {}['absent']\n"
    f"sys.argv = ['launch.py', '--mode=report', '--workdir={tmp_path}']\n"
    "app.run(launch.main, flags_parser=launch._parse)\n"
  )
  result = subprocess.run(
    [sys.executable, "-c", code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=550,
    check=False,
  )
  assert result.returncode == 1
  (log,) = tmp_path.glob("crash-*.log")
  (line,) = result.stderr.strip().splitlines()
  assert "KeyError: 'absent'" in line
  assert str(log) in line
  text = log.read_text()
  assert "Traceback" in text
  assert "--mode=report" in text
