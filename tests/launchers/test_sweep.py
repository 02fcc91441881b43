"""A sweep's points and jobs, as a user would count them."""

import pytest

from lumbar_jax import config as config_lib
from lumbar_jax.errors import InputError
from lumbar_jax.launchers import sweep

COMMAND = ["python", "launch.py", "--config=configs/tiny.py"]


def tiny():
  config = config_lib.default()
  config.data.update(source="phantom", num_folds=2)
  config.training.num_epochs = 7
  return config


def test_every_combination_is_a_run_with_a_job_for_each_fold(tmp_path):
  axes = ["model.name=U1,UMD", "seed=0,1"]
  found = sweep.points(tmp_path, tiny(), axes)
  names = ["U1_seed=0", "U1_seed=1", "UMD_seed=0", "UMD_seed=1"]
  assert [point.name for point in found] == names
  assert found[3].config.model.name == "UMD"
  assert found[3].config.seed == 1
  jobs = sweep.run_jobs(found, COMMAND)
  assert [j.name for j in jobs] == [
    f"{name}/fold_{fold}" for name in names for fold in (0, 1)
  ]
  last = jobs[-1]
  assert last.folder == tmp_path / "UMD_seed=1" / "fold_1"
  assert last.report == tmp_path / "UMD_seed=1" / "report.html"
  assert last.num_epochs == 7
  assert last.command[: len(COMMAND)] == tuple(COMMAND)
  flags = set(last.command[len(COMMAND) :])
  assert {
    "--config.model.name=UMD",
    "--config.seed=1",
    "--mode=crossval",
    "--fold=1",
    f"--workdir={tmp_path / 'UMD_seed=1'}",
    f"--config.data.cache={tmp_path / 'cache'}",
    f"--config.data.root={tmp_path / 'phantom'}",
  } == flags


def test_without_a_sweep_the_workdir_is_the_run(tmp_path):
  (point,) = sweep.points(tmp_path, tiny(), [])
  assert point.folder == tmp_path
  assert point.flags == []
  jobs = sweep.run_jobs([point], COMMAND)
  assert [job.name for job in jobs] == ["fold_0", "fold_1"]


def test_data_are_prepared_once_for_all_who_share_them(tmp_path):
  alike = sweep.points(tmp_path, tiny(), ["model.name=U1,UMD", "seed=0,1,2"])
  assert len(sweep.preparations(alike, COMMAND)) == 1
  other = sweep.points(tmp_path, tiny(), ["data.spacing_mm=0,1.5", "seed=0,1"])
  assert [p.config.data.spacing_mm for p in other] == [0.0, 0.0, 1.5, 1.5]
  commands = sweep.preparations(other, COMMAND)
  assert len(commands) == 2
  assert all("--mode=prepare" in command for command in commands)


def test_a_place_of_the_users_own_is_kept(tmp_path):
  config = tiny()
  config.data.update(cache="/fast/cache", root="/data/phantom")
  (point,) = sweep.points(tmp_path, config, ["model.name=U1"])
  assert point.flags == ["--config.model.name=U1"]


@pytest.mark.parametrize(
  ("axis", "words"),
  [
    ("model.name", "--sweep=model.name"),
    ("model.name=", "different values"),
    ("seed=1,1", "different values"),
    ("model.nme=U1", "did you mean model.name"),
    ("model.name=UMX", "did you mean UMD"),
    ("seed=one", "cannot be 'one'"),
    ("training.tensorboard=maybe", "cannot be 'maybe'"),
    ("data.num_folds=0", "between"),
  ],
)
def test_bad_axes_are_said(tmp_path, axis, words):
  with pytest.raises(InputError, match=words):
    sweep.points(tmp_path, tiny(), [axis])


def test_two_points_never_share_a_folder(tmp_path):
  axes = ["data.masks=a/b,a-b", "seed=0,1"]
  with pytest.raises(InputError, match=r"several points .*masks=a-b_seed=0"):
    sweep.points(tmp_path, tiny(), axes)


def test_what_jobs_have_of_their_own_is_taken_off_the_command_line():
  arguments = [
    *("--launcher=slurm", "--config=configs/midas.py:UMD", "--sweep", "seed=0"),
    *("-sweep=model.name=U1", "--workdir", "runs/x", "--resource=nodes=2"),
    *("--config.data.root=/data", "--parallel=3", "--distributed", "--fold=1"),
  ]
  assert sweep.job_flags(arguments) == [
    "--config=configs/midas.py:UMD",
    "--config.data.root=/data",
    "--distributed",
  ]


def test_a_study_has_a_job_for_each_fold_of_each_network(tmp_path):
  config = tiny()
  config.study.networks = ("FCN", "U1", "UMD")
  jobs = sweep.study_jobs(tmp_path, config, COMMAND)
  assert len(jobs) == 6
  assert jobs[-1].folder == tmp_path / "runs" / "UMD" / "fold_1"
  assert {"--mode=study", "--network=UMD", "--fold=1"} < set(jobs[-1].command)
  assert {job.report for job in jobs} == {tmp_path / "report.html"}
