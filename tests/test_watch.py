"""Who is gone is found by the signs of life that stop."""

import threading

import pytest

from lumbar_jax import watch


class Store:
  """Stands in for the coordinator's key-value store."""

  def __init__(self):
    self.values, self.gone = {}, False

  def key_value_set(self, key, value, overwrite=False):
    if self.gone or (key in self.values and not overwrite):
      raise RuntimeError("UNAVAILABLE")
    self.values[key] = value

  def key_value_dir_get(self, prefix):
    if self.gone:
      raise RuntimeError("UNAVAILABLE")
    return [(k, v) for k, v in self.values.items() if k.startswith(prefix)]


@pytest.fixture
def store(monkeypatch):
  """A store, and less patience than usual."""
  monkeypatch.setattr(watch, "BEAT_S", 0.05)
  monkeypatch.setattr(watch, "GRACE_S", 2.0)
  return Store()


@pytest.fixture
def join(store, monkeypatch):
  """Returns index -> its Watch, one of three; all are dismissed at the end."""
  ended, started = [], []
  monkeypatch.setattr(
    watch.Watch, "_end", lambda self, *why: ended.append((self._index, *why))
  )

  def start(index):
    started.append(watch.Watch(store, index, 3))
    return started[-1]

  start.ended = ended
  yield start
  for one in started:
    one.stop()


def freeze(one: watch.Watch) -> None:
  """Ends a process' signs of life, as SIGKILL would."""
  one._stopped.set()
  one._thread.join()


def test_nobody_is_blamed_while_all_live(join):
  first, _, _ = (join(index) for index in range(3))
  assert first.find_culprit() is None
  assert join.ended == []


def test_the_one_whose_signs_stop_is_named(join):
  first, _, third = (join(index) for index in range(3))
  freeze(third)
  said = first.find_culprit()
  assert said.startswith("process 2 (")
  assert "of 3 has vanished" in said
  assert "same command" in said


def test_a_reason_that_was_left_is_passed_on(join):
  first, second = join(0), join(1)
  second.publish("the disk is full", 2)
  said = first.find_culprit()
  assert said.startswith("process 1 (")
  assert said.endswith("ended: the disk is full")


def test_without_the_store_the_coordinator_is_named(join, store):
  second = join(1)
  store.gone = True
  assert second.find_culprit().startswith("process 0, the coordinator,")


@pytest.mark.parametrize("speaks", [True, False])
def test_who_only_waits_ends_by_itself(join, monkeypatch, speaks):
  monkeypatch.setattr(watch, "LOST_S", 0.4)
  first, second = join(0), join(1)
  done = threading.Event()

  def end(_, text, code):
    join.ended.append((text, code))
    done.set()

  monkeypatch.setattr(watch.Watch, "_end", end)
  if speaks:
    second.publish("no GPU here", 2)
  else:
    freeze(second)
  assert done.wait(10)
  text, code = join.ended[0]
  assert "process 1 (" in text
  assert ("no GPU here" if speaks else "vanished") in text
  assert code == (2 if speaks else 1)
  del first


def test_the_shell_speaks_only_if_nobody_dismissed_it(capfd):
  quiet, loud = (watch.start_guard(text) for text in ("quiet", "loud"))
  watch.dismiss(quiet)
  loud.stdin.close()  # as the end of the process does
  assert loud.wait(10) == 0
  assert capfd.readouterr().err == "loud\n"
