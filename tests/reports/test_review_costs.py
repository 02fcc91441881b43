"""Table 3 of the review, against hand counts and the printed table."""

import csv

import flax.linen as nn
import pytest

from lumbar_jax import models
from lumbar_jax.models.unet import Outputs
from lumbar_jax.reports import review_costs


class Tiny(nn.Module):
  """A convolution with a bias, a normalisation and a ReLU."""

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Conv(3, (3, 3), use_bias=True)(x)
    x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    return Outputs(x, x)


def test_the_paper_s_rule_by_hand():
  # 8 x 8 pixels, 3 channels: 9 taps of 2 channels and a bias each; then two
  # and one for each element.
  found = review_costs.costs("tiny", Tiny(), (8, 8, 2), memory=True)
  elements = 8 * 8 * 3
  assert found.flops == elements * (9 * 2 + 1) + 2 * elements + elements
  assert found.macs == elements * 9 * 2
  assert found.parameters == 9 * 2 * 3 + 3 + 2 * 3
  least = 4 * (8 * 8 * 2 + elements)  # the image and the result, in float32
  assert least <= found.peak_bytes < 20 * least
  assert found.cells()["printed_gflops"] == ""  # not the paper's


def test_the_printed_figures_come_out():
  net = models.build("U-Net", 20, 880)
  found = review_costs.costs("U-Net", net, (880, 880, 1), memory=False)
  printed = review_costs.PRINTED["U-Net"]
  assert found.flops == pytest.approx(printed["flops"], rel=2e-3)
  assert found.parameters == pytest.approx(printed["parameters"], rel=4e-2)
  assert found.cells()["peak_gib"] == ""


def test_it_is_written_as_it_is_shown(tmp_path):
  lines = []
  found = review_costs.count_all(
    [("tiny", Tiny()), ("other", Tiny())], (4, 4, 1), lines.append, memory=False
  )
  path = tmp_path / "table3.csv"
  review_costs.write_table3(path, found)
  with open(path, newline="", encoding="utf-8") as file:
    header, *rows = csv.reader(file)
  assert header == list(review_costs.TITLES)
  shown = lines[1:]
  cells = [[c.strip() for c in s.split("|")[1:-1]] for s in shown]
  assert cells == rows
  assert [row[0] for row in rows] == ["tiny", "other"]
