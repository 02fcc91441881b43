"""Tables 1 and 2 of the review, down to the script's output."""

import csv
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import metrics, runs
from lumbar_jax.anatomy import MRSPINESEG, SPIDER
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.results import Results, make_row, save_counts
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.files import write_text
from lumbar_jax.reports import review_tables
from lumbar_jax.reports.paper_comparison import compare_table

SCRIPT = Path(__file__).parents[2] / "experiments" / "paper_002.py"


def results_of(seed, scheme=SPIDER, folds="01", absent=3):
  """Two studies of two and three slices; one class is in none of them."""
  rng, rows = np.random.default_rng(seed), []
  for fold in folds:
    for number in range(2):
      size = scheme.num_classes
      slices = rng.integers(0, 9, (2 + number, size, size))
      slices += 30 * np.eye(size, dtype=int)
      slices[:, absent] = slices[:, :, absent] = 0
      study = types.SimpleNamespace(name=f"s{number}", patient=f"p{number}")
      rows.append(make_row((fold, "MAP"), study, slices))
  return Results(scheme, rows)


@pytest.fixture
def scores():
  models = {"PSPNet": results_of(0), "mine": results_of(1)}
  return review_tables.scores_of(models, "MAP")


def test_pooled_is_the_mean_over_the_fold_models(scores):
  found = results_of(0)
  by_fold = []
  for fold in "01":
    counts = sum(row.counts for row in found.rows if row.fold == fold)
    by_fold.append(metrics.false_positive_rate(counts))
  expected = np.mean(by_fold, axis=0)
  values = scores["PSPNet"]["pooled"]["fpr"]
  np.testing.assert_allclose(values[:4], expected)
  assert np.isnan(values[3])  # absent: in no mean
  np.testing.assert_allclose(values[4], expected[1:3].mean())
  np.testing.assert_allclose(values[5], expected[:3].mean())


def test_by_slice_is_of_all_slices_and_counts_absent_classes(scores):
  found = results_of(0)
  by_fold = [
    metrics.slice_scores(
      np.concatenate([row.slices for row in found.rows if row.fold == fold])
    )["dice"]
    for fold in "01"
  ]
  expected = np.mean(by_fold, axis=0)
  values = scores["PSPNet"]["by slice"]["dice"]
  np.testing.assert_allclose(values[:4], expected)
  assert values[3] == 1
  np.testing.assert_allclose(values[4], expected[1:].mean())


def test_files_hold_both_rules_and_bold_bests(scores, tmp_path):
  review_tables.write_table1(tmp_path, scores, "Synthetic.")
  review_tables.write_table2(tmp_path, scores, SPIDER.names)
  with open(tmp_path / "table1.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert [(r["model"], r["rule"]) for r in rows[::2]] == [
    *(("PSPNet", "pooled"), ("mine", "pooled")),
    *(("PSPNet", "by slice"), ("mine", "by slice")),
  ]
  assert rows[0]["classes"] == MEAN_ROWS[0]
  value = scores["PSPNet"]["pooled"]["recall"][-2]
  assert float(rows[0]["recall"]) == pytest.approx(value, abs=1e-6)
  tex = (tmp_path / "table1.tex").read_text()
  assert "Synthetic." in tex
  pooled = [scores[m]["pooled"] for m in ("PSPNet", "mine")]
  for name, best in (("dice", max), ("fnr", min)):
    value = best(values[name][-2] for values in pooled)
    assert rf"\textbf{{{100 * value:.2f}}}" in tex
  assert tex.count(r"\textbf") == 10  # five columns, two rules
  with open(tmp_path / "table2.csv", newline="") as file:
    first = next(csv.DictReader(file))
  assert list(first) == ["model", "rule", *SPIDER.names[1:], MEAN_ROWS[0]]
  assert first["Canal"] == "nan"
  assert "--" in (tmp_path / "table2.tex").read_text()


def lines_of(text, name):
  return [line.split() for line in text.splitlines() if line.startswith(name)]


def test_values_stand_beside_the_papers():
  """A network of ours has a dash where the paper has nothing."""
  scores = review_tables.scores_of(
    {"PSPNet": results_of(0, MRSPINESEG), "mine": results_of(1, MRSPINESEG)},
    "MAP",
  )
  text = compare_table(
    1, *review_tables.comparable(1, scores, MRSPINESEG.names)
  )
  dice = 100 * scores["PSPNet"]["pooled"]["dice"][-2]
  first = lines_of(text, "Dice")[0]
  assert first[1:4] == [f"{dice:.1f}", "87.4", f"{dice - 87.38:+.1f}"]
  assert first[5:7] == ["-", "-"]
  text = compare_table(
    2, *review_tables.comparable(2, scores, MRSPINESEG.names)
  )
  (t9, _) = lines_of(text, "T9 ")
  assert t9[2] == "94.7"
  # L4 is absent: nothing by our rule, the paper's number stands.
  assert lines_of(text, "L4 ")[0][1:4] == ["-", "85.5", "-"]
  assert "Only" not in text


def test_older_counts_have_our_rule_only(caplog):
  results = results_of(0)
  results.rows = [
    type(row)(*(row.fold, row.labelling, row.study, row.patient, row.counts))
    for row in results.rows
  ]
  with caplog.at_level("WARNING", logger="absl"):
    scores = review_tables.scores_of({"U1": results}, "MAP")
  assert scores["U1"].keys() == {"pooled"}
  assert "evaluate it anew" in caplog.text
  with pytest.raises(InputError, match="U1 was not evaluated with TH"):
    review_tables.scores_of({"U1": results}, "TH")


@pytest.fixture
def study(tmp_path):
  """A study's folder of two networks, one of them not evaluated."""
  config = config_lib.default()
  config.mode = "study"
  config.data.update(source="phantom", scheme="spider", num_folds=2)
  config.study.networks = ("U1", "UMD")
  run = runs.open_run(tmp_path, config)
  folder = tmp_path / "runs" / "U1"
  save_counts(folder / "evaluation" / "counts.npz", results_of(0))
  for fold, length in ((0, 3), (1, 2)):
    lines = [
      {"epoch": n, "train/loss": 1.0, "val/loss": 0.5 + n, "val/iou": 0.3}
      | {f"val/iou/{name}": 0.5 for name in SPIDER.names}
      for n in range(length)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(folder / f"fold_{fold}" / "metrics.jsonl", text)
  return run


def run_script(folder, *flags):
  return subprocess.run(
    [sys.executable, SCRIPT, f"--workdir={folder}", *flags],
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def test_script_prints_tables_and_writes_them(study):
  found = run_script(study.folder)
  assert found.returncode == 0, found.stderr
  assert "SYNTHETIC PHANTOM" in found.stdout.split("Table")[0]
  assert len(lines_of(found.stdout, "FN rate")) == 1
  names = {path.name for path in (study.folder / "tables").iterdir()}
  tables = {f"table{n}.{end}" for n in (1, 2) for end in ("csv", "tex")}
  assert names == tables | {"table3.csv"}
  assert len(lines_of(found.stdout, "| UMD")) == 1  # costs need no evaluation
  assert (study.folder / "figures" / "figure19.png").stat().st_size > 5000


def test_a_folder_without_an_evaluation_is_refused(study):
  (study.folder / "runs" / "U1" / "evaluation" / "counts.npz").unlink()
  with pytest.raises(InputError, match="nothing is evaluated of U1, UMD"):
    review_tables.load_models(study)
