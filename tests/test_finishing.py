"""What follows the last training is done by one of many, and done once."""

import functools
import threading
import types

import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import finishing, records
from lumbar_jax.files import read_json, write_json, write_text
from lumbar_jax.launchers import command, status, sweep
from lumbar_jax.locks import locked
from lumbar_jax.training.identity import best_identity


def settings(**study):
  config = config_lib.default()
  config.data.num_folds = 2
  config.study.update(networks=("U1", "UMD"), ensembles=(), ablation="")
  config.study.update(study)
  return config


def train(folder, content="first", folds=(0, 1)):
  """Leaves behind what training does: weights that can be told from others."""
  for fold in folds:
    place = folder / f"fold_{fold}"
    info = place / "checkpoints" / "best" / "3" / "info" / "metadata"
    write_json(info, {"checksum": {"content": f"{content} {fold}"}})
    assert best_identity(place) == f"{content} {fold}"


def work(folder, config, *, study=False, shared=True, count=None):
  """Does what follows the last training if it is due; returns whether."""

  def state():
    return records.state_of(folder, config, study=study)

  with finishing.turn(folder, shared, state) as mine:
    if mine:
      with records.evaluating(folder, state):
        for name in ("U1", "UMD") if study else ("",):
          write_text(folder / name / "thresholds.json", "tuned")
      write_text(folder / "report.html", "report")
      records.reported(folder)
      if count is not None:
        count.append(folder)
  return mine


class TestOnce:
  def test_one_of_many_goes_on(self, tmp_path):
    config = settings()
    train(tmp_path)
    assert work(tmp_path, config)
    assert not work(tmp_path, config)
    (tmp_path / "report.html").unlink()
    assert work(tmp_path, config)

  def test_of_several_at_once_one_does_it(self, tmp_path, monkeypatch):
    monkeypatch.setattr(finishing, "_WAIT_S", 0.05)
    train(tmp_path)
    done = []
    start = threading.Barrier(4)

    def job():
      start.wait()
      work(tmp_path, settings(), count=done)

    jobs = [threading.Thread(target=job) for _ in range(4)]
    for job in jobs:
      job.start()
    for job in jobs:
      job.join()
    assert len(done) == 1

  def test_who_trains_all_folds_always_goes_on(self, tmp_path):
    train(tmp_path)
    assert work(tmp_path, settings())
    assert work(tmp_path, settings(), shared=False)

  def test_another_process_with_the_same_goal_is_left_to_it(self, tmp_path):
    config = settings()
    train(tmp_path)
    goal = records.goal(records.state_of(tmp_path, config))
    write_text(tmp_path / ".evaluating", goal)
    with locked(tmp_path):
      assert not work(tmp_path, config)
    assert work(tmp_path, config)  # it was killed before its report
    assert not (tmp_path / ".evaluating").exists()

  def test_a_goal_that_was_left_behind_keeps_nobody_away(
    self, tmp_path, monkeypatch
  ):
    """The study grows while its evaluation is killed, and goes on small."""
    for name in ("U1", "UMD"):
      train(tmp_path / "runs" / name)
    small, grown = settings(networks=("U1",)), settings()
    wanted = records.goal(records.state_of(tmp_path, grown, study=True))
    monkeypatch.setattr(finishing, "_WAIT_S", 0.02)
    monkeypatch.setattr(finishing, "_LOOK_S", 0.1)
    write_text(tmp_path / ".evaluating", wanted)  # it was killed
    in_state, other = threading.Event(), []
    is_done = records.is_done

    def state():
      return records.state_of(tmp_path, small, study=True)

    def slow(folder, now):
      if threading.current_thread() is threading.main_thread():
        in_state.set()
        other_job.join(0.3)
        assert other_job.is_alive()  # it waits: nobody else does its work
      return is_done(folder, now)

    def grow():
      in_state.wait()
      other.append(work(tmp_path, grown, study=True))

    other_job = threading.Thread(target=grow)
    other_job.start()
    monkeypatch.setattr(records, "is_done", slow)
    with finishing.turn(tmp_path, True, state) as mine:
      assert mine
    other_job.join()
    assert other == [True]

  def test_the_goal_of_one_just_taking_the_folder_is_looked_at_again(
    self, tmp_path, monkeypatch
  ):
    train(tmp_path)
    goal = records.goal(records.state_of(tmp_path, settings()))
    write_text(tmp_path / ".evaluating", goal)  # of one that was killed
    lock, sleeps = locked(tmp_path), []
    lock.__enter__()

    def sleep(seconds):
      sleeps.append(seconds)
      write_text(tmp_path / ".evaluating", "the holder's own")
      if len(sleeps) == 2:
        lock.__exit__(None, None, None)

    monkeypatch.setattr(finishing, "time", types.SimpleNamespace(sleep=sleep))
    assert work(tmp_path, settings())

  def test_what_is_evaluated_already_leaves_no_goal(self, tmp_path):
    train(tmp_path)
    assert work(tmp_path, settings())
    assert not work(tmp_path, settings())
    assert not (tmp_path / ".evaluating").exists()

  def test_one_that_makes_the_same_ensembles_is_not_waited_for(self, tmp_path):
    config = settings(ensembles=("U1+UMD",))
    for name in ("U1", "UMD"):
      train(tmp_path / "runs" / name)
    state = records.state_of(tmp_path, config, study=True)
    made = next(m for m in state["weights"] if m.startswith("ensembles/"))
    train(tmp_path / made, "meta-learner")
    after = records.state_of(tmp_path, config, study=True)
    assert after != state
    assert records.goal(after) == records.goal(state)
    train(tmp_path / "runs" / "U1", "more")
    again = records.state_of(tmp_path, config, study=True)
    assert records.goal(again) != records.goal(state)

  def test_one_with_another_goal_is_waited_for(self, tmp_path, monkeypatch):
    """It knows fewer networks: nobody would evaluate the new one."""
    train(tmp_path)
    write_text(tmp_path / ".evaluating", "an earlier state")
    lock = locked(tmp_path)
    lock.__enter__()
    waits = []

    def sleep(seconds):
      waits.append(seconds)
      if len(waits) == 3:
        lock.__exit__(None, None, None)

    monkeypatch.setattr(finishing, "time", types.SimpleNamespace(sleep=sleep))
    assert work(tmp_path, settings())
    assert len(waits) == 3


class TestStates:
  def test_a_report_asked_for_midway_is_no_evaluation(self, tmp_path):
    train(tmp_path)
    write_text(tmp_path / "report.html", "of an older version, or midway")
    records.reported(tmp_path)
    assert work(tmp_path, settings())

  def test_trained_on_it_is_evaluated_again(self, tmp_path):
    config = settings()
    train(tmp_path)
    assert work(tmp_path, config)
    assert not records.is_outdated(tmp_path, config)
    train(tmp_path, "more epochs", folds=(1,))
    assert records.is_outdated(tmp_path, config)
    assert work(tmp_path, config)
    assert not work(tmp_path, config)
    write_text(tmp_path / "thresholds.json", "tuned otherwise")
    assert work(tmp_path, config)

  def test_evaluated_is_not_reported(self, tmp_path):
    config = settings()
    train(tmp_path)
    assert work(tmp_path, config)
    train(tmp_path, "more epochs")
    with records.evaluating(
      tmp_path, lambda: records.state_of(tmp_path, config)
    ):
      pass  # --mode=evaluate
    assert work(tmp_path, config)

  def test_a_study_that_grows_is_evaluated_again(self, tmp_path):
    for name in ("U1", "UMD"):
      train(tmp_path / "runs" / name)
    small = settings(networks=("U1",))
    assert work(tmp_path, small, study=True)
    assert not work(tmp_path, small, study=True)
    assert work(tmp_path, settings(), study=True)
    assert not work(tmp_path, settings(), study=True)
    assert work(tmp_path, settings(ensembles=("U1+UMD",)), study=True)
    other = settings(ensembles=("U1+UMD",), labelling="MAP")
    assert work(tmp_path, other, study=True)
    other.evaluation.batch_size = 1  # of no matter
    assert not work(tmp_path, other, study=True)
    other.evaluation.num_bootstrap = 10
    assert work(tmp_path, other, study=True)

  def test_an_ensembles_state_is_its_members_and_its_own(self, tmp_path):
    folder = tmp_path / "ensembles" / "E4"
    train(tmp_path / "runs" / "U1")
    entry = {"name": "U1", "path": "../../runs/U1"}
    write_json(folder / "ensemble.json", {"members": [entry]})

    def state():
      return records.state_of(folder, settings())

    found = [state()]
    train(tmp_path / "runs" / "U1", "more")
    found.append(state())
    train(folder, "meta-learner")
    found.append(state())
    assert found[0] != found[1] != found[2]

  def test_weights_that_change_meanwhile_leave_no_record(self, tmp_path):
    train(tmp_path)
    state = records.state_of
    with records.evaluating(tmp_path, lambda: state(tmp_path, settings())):
      train(tmp_path, "by another process")
    assert records.read(tmp_path) == {}

  @pytest.mark.parametrize("text", ["{", "[]", "", '{"evaluated": 1}'])
  def test_a_damaged_record_is_none(self, tmp_path, text):
    train(tmp_path)
    assert work(tmp_path, settings())
    write_text(tmp_path / records.FILE, text)
    assert work(tmp_path, settings())
    assert set(read_json(tmp_path / records.FILE)) == {"evaluated", "reported"}


class TestLauncher:
  def jobs(self, folder, num_epochs=1):
    return [
      sweep.Job(n, folder / n, folder / "report.html", num_epochs, ())
      for n in ("runs/U1/fold_0", "runs/U1/fold_1")
    ]

  @pytest.fixture
  def all_done(self, tmp_path, monkeypatch):
    """All jobs have ended well, after one epoch each."""
    write_json(tmp_path / "launcher" / "jobs.json", {})
    entries = [
      status.Entry(j.name, status.DONE, 1, 1, tmp_path, j.report)
      for j in self.jobs(tmp_path)
    ]
    monkeypatch.setattr(status, "read_status", lambda _: entries)
    monkeypatch.setattr(status, "is_trained", lambda _, wanted: wanted <= 1)
    train(tmp_path / "runs" / "U1")
    return tmp_path

  def left(self, folder, jobs, config):
    return command._left(folder, jobs, {folder: config}, study=True)

  def test_a_study_that_grew_gets_a_job(self, all_done):
    config, jobs = settings(networks=("U1",)), self.jobs(all_done)
    assert self.left(all_done, jobs, config) == jobs[:1]
    work(all_done, config, study=True)
    assert self.left(all_done, jobs, config) == []
    config.study.reference = "U1"
    assert self.left(all_done, jobs, config) == jobs[:1]

  def test_more_epochs_get_jobs(self, all_done):
    config = settings(networks=("U1",))
    work(all_done, config, study=True)
    jobs = self.jobs(all_done, num_epochs=2)
    assert self.left(all_done, jobs, config) == jobs

  def test_a_run_to_be_evaluated_otherwise_gets_a_job(self, all_done):
    """Its config.json keeps the settings that it was begun with."""
    from lumbar_jax.runs import open_run

    run, jobs = open_run(all_done, settings()), self.jobs(all_done)
    train(all_done)
    for wanted in ({}, {"num_bootstrap": 77}, {"surface_tolerance_mm": 9.0}):
      config = settings()
      config.evaluation.update(wanted)
      left = functools.partial(command._left, all_done, jobs)
      assert left({all_done: config}) == jobs[:1]
      assert work(all_done, config)
      assert not work(all_done, config)
      assert left({all_done: config}) == []
      assert not records.is_outdated(all_done, run.config)
      assert records.describe(all_done) == "evaluated"
    config.evaluation.batch_size = 1  # of no matter
    assert left({all_done: config}) == []


def test_how_far_an_evaluation_is_in_words(tmp_path):
  from lumbar_jax.runs import open_run

  run = open_run(tmp_path, settings())
  train(tmp_path)
  assert records.describe(tmp_path) == "not evaluated yet"
  write_text(tmp_path / "report.html", "old")
  assert "without a record" in records.describe(tmp_path)
  work(tmp_path, run.config)
  assert records.describe(tmp_path) == "evaluated"
  train(tmp_path, "more")
  assert "not in its present state" in records.describe(tmp_path)
