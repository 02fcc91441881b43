"""What benchmark.json keeps, and how it is shown."""

import json

import pytest

from lumbar_jax import files
from lumbar_jax.benchmarks import records, table
from lumbar_jax.errors import InputError

REQUIRED = {"name", "device", "ours_s", "peer_s", "ratio", "repeats"}


def make(name, ours_s, device="A", **more):
  more = {"peer_s": None, "ratio": None, "peer": None, **more}
  record = {"name": name, "device": device, "ours_s": ours_s}
  return {**record, "repeats": 5, **more}


def test_a_record_without_a_peer_has_nulls():
  record = records.make("forward/U1", {"ours_s": 1.23456789, "repeats": 7})
  assert record.keys() >= REQUIRED
  assert record["peer_s"] is record["ratio"] is record["peer"] is None
  assert record["repeats"] == 7
  assert record["ours_s"] == 1.2346  # five digits
  assert record["versions"]["jax"]
  assert json.loads(json.dumps(record)) == record


def test_a_later_run_replaces_its_own_names_and_keeps_others(tmp_path):
  path = tmp_path / "benchmark.json"
  first = [make("a", 1.0), make("b", 2.0), make("a", 3.0, device="B")]
  assert records.add(path, first) == first
  merged = records.add(path, [make("c", 4.0), make("a", 5.0)])
  assert [(r["name"], r["device"], r["ours_s"]) for r in merged] == [
    ("a", "A", 5.0),
    ("b", "A", 2.0),
    ("a", "B", 3.0),
    ("c", "A", 4.0),
  ]
  assert json.loads(path.read_text()) == merged == records.read(path)


def test_the_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
  path = tmp_path / "benchmark.json"
  records.add(path, [make("a", 1.0)])
  before = path.read_text()

  def fail(*_):
    raise OSError("no space left")

  monkeypatch.setattr(files.os, "replace", fail)
  with pytest.raises(OSError, match="no space"):
    records.add(path, [make("b", 2.0)])
  assert path.read_text() == before
  assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '[{"name": "a"}]'])
def test_another_file_is_refused(text, tmp_path):
  path = tmp_path / "benchmark.json"
  path.write_text(text)
  with pytest.raises(InputError, match="not a list of benchmark records"):
    records.add(path, [make("a", 1.0)])
  assert path.read_text() == text


def test_the_table_shows_figures_with_their_units():
  peer = dict(peer="torch compile", peer_s=0.5, ratio=0.9, load=0.2)
  rows = [
    make("forward/U1", 0.45, ratio_range=[0.8, 0.95], **peer),
    make("memory/U1", None, unit="MiB", ours=2064.0, repeats=1),
    make("study/U1", 61.0, stages={"write": 1.0, "network": 60.0}),
    make("forward/U1", 0.001, device="B"),
  ]
  text = table.format_table(rows)
  assert "| forward/U1 | 450 ms | 500 ms | torch compile | 0.90 |" in text
  assert "0.80 to 0.95" in text
  assert "| memory/U1 | 2064 MiB |  |  |  |" in text
  assert "| case | network | write |" in text  # in a study's order
  assert "| study/U1 | 60.00 | 1.00 |" in text
  assert text.index("**A**") < text.index("**B**") < text.index("1 ms")


def test_the_chart_shows_what_was_measured_beside_torch(tmp_path):
  peer = dict(peer="torch eager", peer_s=2.0)
  rows = [
    make("a", 1.0, ratio=0.5, **peer),
    make("b", 3.0, ratio=1.5, **peer),
    make("c", 1.0, ratio=0.9, peer_s=1.0, peer="3 single members"),
    make("d", 1.0),
  ]
  (axes,) = table.draw(rows).axes
  assert [bar.get_width() for bar in axes.patches] == [1.5, 0.5]  # from below
  assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "a"]
  assert table.save_chart(tmp_path / "chart.png", rows)
  assert (tmp_path / "chart.png").stat().st_size > 2000
  assert not table.save_chart(tmp_path / "none.png", rows[2:])
  assert not (tmp_path / "none.png").exists()
