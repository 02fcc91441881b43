"""Our tables beside the paper's, down to the script's output."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lumbar_jax.anatomy import MIDAS12
from lumbar_jax.evaluation.results import Results, Row
from lumbar_jax.files import write_json
from lumbar_jax.reports import paper_tables
from lumbar_jax.reports.paper_comparison import compare_table, data_lines
from lumbar_jax.reports.paper_rows import Entry

SCRIPT = Path(__file__).parents[2] / "experiments" / "paper_000.py"


def row(model, name, value, metric="iou", labelling="TH"):
  named = {"model": model, "labelling": labelling, "metric": metric}
  return named | {"class": name, "value": value}


def lines_of(text, name):
  return [line.split() for line in text.splitlines() if line.startswith(name)]


def test_values_stand_beside_the_papers():
  text = compare_table(6, [row("UMD", "Vert", 0.9), row("UMD", "Sacrum", 0.8)])
  assert lines_of(text, "Vert") == [["Vert", "90.0", "86.3", "+3.7"]]
  assert lines_of(text, "Sacrum") == [["Sacrum", "80.0", "84.8", "-4.8"]]


def test_models_of_one_side_are_named():
  ours = [row("UMD", "Vert", 0.9), row("mine", "Vert", 0.9)]
  text = compare_table(6, ours)
  assert "Only here: mine TH\n" in text
  (alone,) = (x for x in text.splitlines() if x.startswith("Only in the paper"))
  assert "UMD MAP" in alone
  assert "UMD TH" not in alone


def test_absent_classes_and_foreign_schemes():
  text = compare_table(6, [row("UMD", "Vert", np.nan)])
  assert lines_of(text, "Vert") == [["Vert", "-", "86.3", "-"]]
  assert "No model and labelling is in both" in compare_table(6, [])


def test_table_7_has_its_three_metrics_side_by_side():
  ours = [row("U1", "Vert", 0.5, m) for m in ("f1", "precision", "recall")]
  text = compare_table(7, ours)
  (line,) = lines_of(text, "Vert")
  expected = "50.0 93.0 -43.0 50.0 92.3 -42.3 50.0 93.0 -43.0"
  assert " ".join(line[1:]) == expected
  assert max(map(len, text.splitlines())) <= 100


def test_table_8_has_a_members_impact_beside_its_iou():
  members = ("without U1", "without UA")
  ours = [
    row(member, "Sacrum", value, metric)
    for metric, value in (("iou", 0.85), ("impact", -0.002))
    for member in members
  ]
  expected = "Sacrum 85.0 85.2 -0.2 -0.2 -0.2 +0.0"
  first, _ = lines_of(compare_table(8, ours), "Sacrum")
  assert " ".join(first) == expected


def test_phantoms_are_never_hidden():
  assert "SYNTHETIC PHANTOM" in data_lines({"source": "phantom", "root": "x"})
  real = data_lines({"source": "mids", "root": "/data/mine"})
  assert "/data/mine" in real
  assert "PHANTOM" not in real


def run_script(folder):
  return subprocess.run(
    [sys.executable, SCRIPT, f"--workdir={folder}"],
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )


@pytest.fixture
def study(tmp_path):
  rng = np.random.default_rng(0)
  entries = []
  for model in ("U1", "UMD"):
    counts = rng.integers(0, 9, (12, 12)) + 200 * np.eye(12, dtype=int)
    rows = [Row(f, "TH", "s", "p", counts) for f in "01"]
    entries.append(Entry(model, "TH", Results(MIDAS12, rows)))
  folder = tmp_path / "tables"
  paper_tables.write_table6(folder, entries)
  paper_tables.write_table7(folder, entries)
  paper_tables.write_table8(folder, entries[0], {"UA": entries[1]})
  write_json(tmp_path / "study.json", {"data": {"source": "phantom"}})
  return tmp_path


def test_script_prints_every_table_of_a_study(study):
  found = run_script(study)
  assert found.returncode == 0, found.stderr
  assert "SYNTHETIC PHANTOM" in found.stdout.split("Table")[0]
  for number in (6, 7, 8):
    assert f"Table {number}:" in found.stdout
  # Two models of Table 6 in one block, one a block in 7, one in 8.
  assert len(lines_of(found.stdout, "Muscle")) == 4
  assert len(lines_of(found.stdout, "mean without background")) == 1


def test_script_says_what_is_missing(tmp_path):
  found = run_script(tmp_path)
  assert found.returncode == 1
  assert "study.json: not a study's folder" in found.stderr
  assert "Traceback" not in found.stderr
