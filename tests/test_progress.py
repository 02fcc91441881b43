"""The progress display: what is left, and a sign of life."""

import time

import pytest
from absl import logging as absl_logging

from lumbar_jax import progress
from lumbar_jax.progress import Pace, Progress, time_left


@pytest.fixture
def lines(monkeypatch):
  """Collects what is logged, as where there is no terminal."""
  lines = []
  monkeypatch.setattr(
    progress.logging, "info", lambda text, *values: lines.append(text % values)
  )
  monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
  assert progress.logging is absl_logging
  return lines


def test_durations_are_read_at_a_glance():
  assert progress.duration(12.4) == "12 s"
  assert progress.duration(200) == "3 min 20 s"
  assert progress.duration(7500) == "2 h 5 min"


def test_the_pace_leaves_the_first_unit_out_once_there_are_others():
  pace = Pace(4, now=100.0)  # four epochs were done by an earlier process
  assert pace.seconds is None
  pace.update(5, now=190.0)  # compiled meanwhile
  assert pace.seconds == 90.0
  pace.update(7, now=210.0)
  assert pace.seconds == 10.0


def test_the_pace_waits_for_the_first_unit():
  pace = Pace(0, now=0.0)
  pace.update(0, now=50.0)
  assert pace.seconds is None
  pace.update(0.5, now=60.0)
  assert pace.seconds == 120.0
  pace.update(1.5, now=70.0)
  assert pace.seconds == 10.0


def test_what_costs_nothing_does_not_quicken_the_pace():
  pace = Pace(0, now=0.0)
  pace.shift(90)  # were done before
  pace.update(90, now=1.0)
  assert pace.seconds is None
  pace.update(91, now=31.0)
  assert pace.seconds == 31.0
  pace.shift(5)
  pace.update(97, now=61.0)
  assert pace.seconds == 30.0


def test_skipped_units_are_shown_as_done(lines):
  with Progress("predicting", 3) as shown:
    shown.skip(2, "old")
    shown.add(1, "new")
  assert shown.done == 3
  assert "new" in lines[-1]


def test_the_time_left_is_of_this_piece_and_of_all():
  assert time_left(3, None) == "time left not known yet"
  assert time_left(3, 20.0) == "1 min 0 s left"
  assert time_left(3, 20.0, 27, "all folds") == (
    "1 min 0 s left (10 min 0 s for all folds)"
  )
  assert time_left(3, 20.0, 0, "all folds") == "1 min 0 s left"


def test_work_that_does_not_move_is_still_told_of(monkeypatch, lines):
  monkeypatch.setattr(progress, "LOG_EVERY_S", 0.05)
  monkeypatch.setattr(progress, "_POLL_S", 0.01)
  with Progress("reading, studies", 3):
    deadline = time.monotonic() + 5
    while len(lines) < 2 and time.monotonic() < deadline:
      time.sleep(0.01)
  assert len(lines) >= 2
  assert "reading, studies: 0 of 3, time left not known yet" in lines[0]
  said = len(lines)
  time.sleep(0.1)
  assert len(lines) == said  # the end ends it


def test_work_without_units_is_told_of_if_it_takes_long(monkeypatch, lines):
  monkeypatch.setattr(progress, "SILENT_S", 0.02)
  with progress.working("writing"):
    deadline = time.monotonic() + 5
    while not lines and time.monotonic() < deadline:
      time.sleep(0.01)
  assert lines[0].startswith("writing, 0 s so far")
  monkeypatch.setattr(progress, "SILENT_S", 60)
  said = len(lines)
  with progress.working("writing"):
    pass
  assert len(lines) == said


def test_work_that_counts_itself_is_shown(lines):
  with progress.shown("checking studies") as show:
    for done in (1, 2, 3):
      show(done, 3, f"study {done}")
  assert lines[-1].startswith("checking studies: done in")
  lines.clear()
  with progress.shown("checking studies"):
    pass
  assert lines == []


def test_a_quiet_one_says_nothing(monkeypatch, lines):
  monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
  with Progress("training", 2, quiet=True) as shown:
    shown.update(1)
    shown.update(2)
  assert lines == []
  assert shown.done == 2


def test_what_was_done_before_does_not_make_it_look_quicker(monkeypatch, lines):
  now = [0.0]
  monkeypatch.setattr(progress, "working_s", lambda: now[0])
  monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
  monkeypatch.setattr(progress.threading.Thread, "start", lambda self: None)
  with Progress("epochs", 20, start=10, after=10, whole="all") as shown:
    now[0] = 100.0
    shown.update(11)
    now[0] = 130.0
    shown.update(12)
  assert "11 of 20, 15 min 0 s left (31 min 40 s for all)" in lines[0]
  assert "12 of 20, 4 min 0 s left (9 min 0 s for all)" in lines[1]


def test_one_display_holds_all_bars_that_are_open(monkeypatch):
  made = []

  class Bars:
    def __init__(self):
      self.calls = []
      made.append(self)

    def __getattr__(self, name):
      def call(*values, **_):
        self.calls.append((name, *values))
        return len(self.calls)

      return call

  monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
  monkeypatch.setattr(progress, "_new_bars", Bars)
  with Progress("networks", 2) as outer:
    with Progress("folds", 3) as inner:
      inner.update(1)
    outer.update(1)
  names = [call[0] for call in made[0].calls]
  assert len(made) == 1
  assert names == [
    *("start", "add_task", "add_task", "update", "remove_task", "update"),
    "stop",
  ]
  assert Progress._bars is None
