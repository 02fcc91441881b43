"""Stages and turns, with a clock that the tests move."""

import threading

import pytest

from lumbar_jax import timing
from lumbar_jax.timing import collect, interleave, stage


class Clock:
  """A clock that stands still but for `spend`."""

  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now

  def spend(self, seconds):
    self.now += seconds


@pytest.fixture
def clock():
  return Clock()


def test_stages_share_all_of_the_time(clock):
  @stage("read")
  def read():
    clock.spend(2)

  @stage("prepare")
  def prepare():
    clock.spend(1)
    read()
    clock.spend(4)
    return "prepared"

  with collect(clock) as seconds:
    clock.spend(0.5)
    assert prepare() == "prepared"
    with stage("network"):
      clock.spend(8)
    read()
    clock.spend(0.25)
  clock.spend(1000)
  assert seconds == {"other": 0.75, "prepare": 5, "read": 4, "network": 8}


def test_a_stage_ends_with_an_error_too(clock):
  @stage("read")
  def read():
    clock.spend(2)
    raise ZeroDivisionError

  with collect(clock) as seconds:
    clock.spend(1)
    with pytest.raises(ZeroDivisionError):
      read()
    clock.spend(4)
  assert seconds == {"other": 5, "read": 2}


def test_a_stage_that_calls_itself_counts_once(clock):
  @stage("deep")
  def deep(depth):
    clock.spend(1)
    if depth:
      deep(depth - 1)

  with collect(clock) as seconds:
    deep(3)
  assert seconds == {"other": 0, "deep": 4}


def test_nothing_is_collected_outside_and_of_other_threads(clock):
  with stage("read"):
    clock.spend(1)

  def elsewhere():
    with stage("read"):
      clock.spend(2)

  with collect(clock) as seconds:
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
  assert seconds == {"other": 2}


def test_ways_take_turns_and_the_first_turns_do_not_count(clock):
  order, cost = [], iter([9, 9, 1, 10, 2, 20, 3, 30])

  def way(name):
    def work():
      order.append(name)
      clock.spend(next(cost))

    return work

  ways = {name: way(name) for name in ("ours", "peer")}
  times = interleave(ways, repeats=3, warm_up=1, clock=clock)
  assert order == ["ours", "peer"] * 4
  assert times == {"ours": [1, 2, 3], "peer": [10, 20, 30]}


def test_the_working_clock_stands_still_for_the_compiler(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(timing, "_compiling_s", 0.0)
  before = timing.working_s()
  now[0] = 190.0
  timing.note_compiling(60.0)
  timing.note_compiling(20.0)
  assert timing.working_s() - before == 10.0
