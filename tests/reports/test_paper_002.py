"""The review's numbers: known cells, and that they agree with each other."""

import collections

import numpy as np
import pytest

from lumbar_jax.anatomy import MRSPINESEG
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.metrics import REVIEW
from lumbar_jax.reports.paper_002 import TABLES, paper_values


def cells(table):
  return {
    (r["model"], r["class"], r["metric"]): r["value"]
    for r in paper_values(table)
  }


@pytest.mark.parametrize(
  ("table", "key", "value"),
  [
    (1, ("U-Net", "overall", "fnr"), 0.3404),
    (1, ("DeepLabv3+", "overall", "dice"), 0.8755),
    (1, ("TransUNet", "overall", "recall"), 0.7956),
    (2, ("AttentionU-Net", "T11", "dice"), 0.0986),
    (2, ("Inf-Net", "T9", "dice"), 0.0097),
    (2, ("MiniSeg", "T9-T10", "dice"), 0.9730),
    (2, ("DenseASPP", "L4-L5", "dice"), 0.1420),
    (2, ("ResUNet++", MEAN_ROWS[0], "dice"), 0.8185),
    (3, ("MiniSeg", "-", "parameters"), 83e3),
    (3, ("PSANet", "ResNet101", "flops"), 482.13e9),
    (3, ("DANet", "ResNet101", "memory_gb"), 2.53),
  ],
)
def test_known_cells(table, key, value):
  assert cells(table)[key] == value


def test_every_cell_is_there_once():
  assert [len(paper_values(table)) for table in TABLES] == [60, 240, 36]
  assert [len(cells(table)) for table in TABLES] == [60, 240, 36]
  assert {row["metric"] for row in paper_values(1)} == REVIEW.keys()
  known = {*MRSPINESEG.names[1:], MEAN_ROWS[0]}
  assert {row["class"] for row in paper_values(2)} == known
  models = [{row["model"] for row in paper_values(t)} for t in TABLES]
  assert models[0] == models[1] == models[2]
  with pytest.raises(ValueError, match="table 4"):
    paper_values(4)


def test_table_2_means_are_those_of_its_classes():
  found = cells(2)
  for model in {key[0] for key in found}:
    values = [found[model, name, "dice"] for name in MRSPINESEG.names[1:]]
    printed = found[model, MEAN_ROWS[0], "dice"]
    assert np.mean(values) == pytest.approx(printed, abs=1.3e-4), model


def test_values_that_networks_share_are_shares_of_507_slices():
  """What `metrics.slice_scores` says of them."""
  count = collections.Counter((r["class"], r["value"]) for r in paper_values(2))
  shared = {value for (_, value), number in count.items() if number > 2}
  assert len(shared) >= 5
  for value in shared:
    assert value == pytest.approx(round(507 * value) / 507, abs=5e-5)
