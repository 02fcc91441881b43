"""Bad and odd inputs are read right, flagged or refused: never else."""

import collections
import re

import pytest

from corpus import document, harness, table
from corpus.entry import COMMANDS, FLAGGED


@pytest.mark.parametrize("entry", table.sample(), ids=lambda entry: entry.name)
def test_what_becomes_of_it(entry, tmp_path):
  _, problems = harness.run_entry(entry, tmp_path)
  assert not problems, "\n".join(problems)


def test_entries_are_told_apart():
  names = collections.Counter(entry.name for entry in table.ENTRIES)
  assert max(names.values()) == 1, names.most_common(3)
  assert len(names) > 400
  assert {entry.family for entry in table.sample()} == {
    entry.family for entry in table.ENTRIES
  }


def test_the_document_lists_the_entries():
  """The page is written by `make corpus`, if all outcomes are right."""
  text = document.PATH.read_text(encoding="utf-8")
  rows = [line for line in text.splitlines() if line.startswith("| ")]
  rows = [line for line in rows if line.count(" | ") == len(COMMANDS) + 1][1:]
  assert len(rows) == len(table.ENTRIES), "run make corpus"
  for entry, line in zip(table.ENTRIES, rows, strict=True):
    outcomes = line.strip("| ").split(" | ")[-len(COMMANDS) :]
    found = dict(zip(COMMANDS, outcomes, strict=True))
    assert line == document.row(entry, found), "run make corpus"
    for command, outcome in found.items():
      expect = entry.expected.get(command)
      allowed = expect.outcomes if expect else ("–",)
      assert outcome in allowed, (entry.name, command)


def test_a_wrong_result_is_seen(tmp_path):
  """The harness itself: a mirrored image must not count as read right."""
  entry = table.ENTRIES[0]

  def mirrored(world):
    world.save(world.array[:, ::-1])
    world.array = world.array[:, ::-1]

  changed = type(entry)(**{**vars(entry), "make": mirrored})
  _, problems = harness.run_entry(changed, tmp_path)
  wrong = [p for p in problems if re.search("another image|another class", p)]
  assert len(wrong) == 2, problems


def test_outcomes_are_judged():
  from corpus.entry import flagged, read, refused

  seen = harness.Seen(warnings=["p2: voxels in metres"])
  assert harness.judge(flagged("metre"), seen, None) == (FLAGGED, "")
  assert harness.judge(flagged("inch"), seen, None)[0] == ""
  assert harness.judge(read, seen, None)[0] == ""
  assert harness.judge(refused("metre"), seen, None)[0] == ""
  crash = harness.Seen(crash="Traceback")
  for expect in (read, flagged("x"), refused("x")):
    assert harness.judge(expect, crash, None)[0] == ""
  silent = harness.Seen(made=False)
  assert harness.judge(read, silent, None)[0] == ""
