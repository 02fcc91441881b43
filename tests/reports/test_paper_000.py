"""The paper's numbers: known cells, and that they agree with each other."""

import numpy as np
import pytest

from lumbar_jax.anatomy import MIDAS12
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.models import names
from lumbar_jax.reports.paper_000 import TABLES, paper_values


def cells(table):
  return {
    (r["model"], r["labelling"], r["class"], r["metric"]): r["value"]
    for r in paper_values(table)
  }


@pytest.mark.parametrize(
  ("table", "key", "value"),
  [
    (6, ("FCN", "TH", "Background", "iou"), 0.918),
    (6, ("UMD", "TH", "Nerve-Root", "iou"), 0.523),
    (6, ("E13-geometric", "MAP", "Sacrum", "iou"), 0.853),
    (6, ("E10-TCD", "MAP", MEAN_ROWS[0], "iou"), 0.746),
    (6, ("E11-stacking", "MAP", "Vert", "iou"), 0.869),
    (6, ("E12-NAD", "TH", MEAN_ROWS[0], "iou"), 0.753),
    (6, ("E12-NAD", "TH", MEAN_ROWS[1], "iou"), 0.767),
    (7, ("U1", "TH", "Background", "f1"), 0.960),
    (7, ("E12-NAD", "TH", "Background", "precision"), 0.967),
    (7, ("UMD", "TH", "Nerve-Root", "recall"), 0.610),
    (8, ("without U1", "TH", "Nerve-Root", "iou"), 0.536),
    (8, ("without U1", "TH", "Nerve-Root", "impact"), 0.003),
    (8, ("without UMD", "TH", "Sacrum", "impact"), -0.003),
    (8, ("without UDD2", "TH", "Muscle", "iou"), 0.821),
    (8, ("without UDD2", "TH", "Vert", "impact"), 0.0),
  ],
)
def test_known_cells(table, key, value):
  assert cells(table)[key] == value


@pytest.mark.parametrize(("table", "size"), [(6, 154), (7, 108), (8, 288)])
def test_every_cell_is_there_once_under_our_class_names(table, size):
  rows = paper_values(table)
  assert len(rows) == len(cells(table)) == size
  assert {row["table"] for row in rows} == {table}
  known = {*MIDAS12.names, *(MEAN_ROWS if table == 6 else ())}
  assert {row["class"] for row in rows} == known


def test_table_6_means_are_those_of_its_classes():
  found = cells(6)
  for model, labelling in {key[:2] for key in found}:
    values = [found[model, labelling, n, "iou"] for n in MIDAS12.names]
    for part, name in zip((values[1:], values), MEAN_ROWS, strict=True):
      printed = found[model, labelling, name, "iou"]
      assert np.mean(part) == pytest.approx(printed, abs=0.0011), (model, name)


def test_table_7_f1_lies_where_precision_and_recall_put_it():
  found = cells(7)
  for model, labelling, name, _ in found:
    f1, precision, recall = (
      found[model, labelling, name, m] for m in ("f1", "precision", "recall")
    )
    both = 2 * precision * recall / (precision + recall)
    assert f1 == pytest.approx(both, abs=0.011), (model, name)


def test_table_8_impacts_are_differences_to_table_6():
  whole, found = cells(6), cells(8)
  for model, labelling, name, metric in found:
    if metric == "impact":
      iou = found[model, labelling, name, "iou"]
      apart = iou - whole["E12-NAD", "TH", name, "iou"]
      printed = found[model, labelling, name, "impact"]
      assert apart == pytest.approx(printed, abs=0.0016), (model, name)


def test_left_out_are_twelve_networks_we_build():
  left_out = {r["model"].removeprefix("without ") for r in paper_values(8)}
  assert len(left_out) == 12
  assert left_out <= set(names())


def test_other_tables_are_refused():
  assert TABLES == (6, 7, 8)
  with pytest.raises(ValueError, match="table 9"):
    paper_values(9)
