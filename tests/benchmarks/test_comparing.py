"""Medians and ratios of interleaved turns, by hand."""

import pytest

from lumbar_jax.benchmarks.timing import LEAST_TURN_S, Work, compare, summary


class Machine:
  """A clock, and work that takes the seconds it is told."""

  def __init__(self):
    self.now, self.order = 0.0, []

  def __call__(self):
    return self.now

  def work(self, name, seconds):
    """Work whose calls take the given seconds, the last for ever after."""
    left = list(seconds)

    def step():
      self.order.append(name)
      self.now += left.pop(0) if len(left) > 1 else left[0]

    return Work(step, lambda _: None)


def test_the_ratio_is_the_median_of_the_turns_ratios():
  found = summary([1.0, 4.0, 3.0], {"a": [2.0, 4.0, 12.0], "b": [9.0] * 3})
  assert found["ours_s"] == 3.0
  assert found["peer"] == "a"  # median 4, less than 9
  assert found["peer_s"] == 4.0
  assert found["ratio"] == 0.5  # of 1/2, 4/4, 3/12; not 3/4
  assert found["ratio_range"] == [0.25, 1.0]
  assert found["ways"] == {"a": 4.0, "b": 9.0}
  assert found["repeats"] == 3


def test_without_a_peer_its_fields_are_none():
  found = summary([2.0, 1.0], {})
  assert found["ours_s"] == 1.5
  assert [found[name] for name in ("peer", "peer_s", "ratio")] == [None] * 3


def test_ours_and_peers_take_turns_after_a_warm_up():
  machine = Machine()
  ours = machine.work("ours", [50, 50, 50, 1, 2, 3])
  peer = machine.work("peer", [70, 4, 4, 4])
  found = compare(ours, {"peer": peer}, repeats=3, clock=machine)
  # Ours alone twice (to compile, and to see how long it takes), then in turns.
  assert machine.order == ["ours"] * 2 + ["ours", "peer"] * 4
  assert found["ours_s"] == 2
  assert found["peer_s"] == 4
  assert found["ratio"] == 0.5


def test_short_work_is_repeated_within_a_turn():
  machine = Machine()
  ours, peer = (machine.work(n, [LEAST_TURN_S / 8]) for n in ("ours", "peer"))
  found = compare(ours, {"peer": peer}, repeats=1, warm_up=1, clock=machine)
  assert machine.order == ["ours"] * 2 + (["ours"] * 8 + ["peer"] * 8) * 2
  assert found["ours_s"] == pytest.approx(LEAST_TURN_S / 8)
  assert found["ratio"] == pytest.approx(1)


def test_work_waits_once_for_all_its_calls():
  waited = []
  results = iter("abc")
  work = Work(lambda: next(results), waited.append)
  assert work(3) == "c"
  assert waited == ["c"]
