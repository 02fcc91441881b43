"""Blocks, counts and receptive fields against networks made by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.models import fcn, layers, supervision, unet
from lumbar_jax.models.fcn import Upsampling
from lumbar_jax.models.layers import LayerStyle, TransposedConv
from lumbar_jax.models.summary import format_table, summarize
from lumbar_jax.models.unet import Outputs


class Chain(nn.Module):
  """Layers one after another; the last gives the logits."""

  layers: tuple

  @nn.compact
  def __call__(self, images, train=False):
    x = images
    for layer in self.layers:
      x = layer(x)
    return Outputs(x)


def _chain(*steps):
  return summarize(Chain(tuple(steps)), (64, 64, 3))


def _conv(width, kernel, **options):
  return nn.Conv(width, (kernel, kernel), **options)


def test_a_chain_by_hand():
  summary = _chain(_conv(4, 3), layers.max_pool, _conv(5, 5), _conv(2, 1))
  assert [row.receptive_field_px for row in summary.rows] == [3, 12, 12]
  assert [row.macs for row in summary.rows] == [
    64 * 64 * 9 * 3 * 4,
    32 * 32 * 25 * 4 * 5,
    32 * 32 * 5 * 2,
  ]
  assert [row.params for row in summary.rows] == [112, 505, 12]
  assert [row.kind for row in summary.rows] == ["Conv"] * 3
  assert summary.rows[1].shapes == ((32, 32, 5),)
  assert summary.output == (32, 32, 2)


@pytest.mark.parametrize(
  ("options", "macs", "field"),
  [
    ({"strides": 2}, 32 * 32 * 9 * 3 * 6, 3),
    ({"kernel_dilation": 4}, 64 * 64 * 9 * 3 * 6, 9),
    ({"feature_group_count": 3}, 64 * 64 * 9 * 6, 3),
    ({"padding": "VALID"}, 62 * 62 * 9 * 3 * 6, 3),
  ],
)
def test_convolutions_of_every_kind(options, macs, field):
  summary = _chain(_conv(6, 3, **options))
  assert summary.macs == macs
  assert summary.receptive_field_px == field


@pytest.mark.parametrize(
  ("ours", "kernel", "stride"),
  [
    (TransposedConv(3, LayerStyle(), 3), 3, 2),
    (TransposedConv(3, LayerStyle(), 2), 2, 2),
    (Upsampling(2), 4, 2),
    (Upsampling(8), 16, 8),
  ],
  ids=["TC 3", "TC 2", "up 2", "up 8"],
)
def test_rewritten_layers_count_as_the_plain_ones(ours, kernel, stride):
  plain = nn.ConvTranspose(3, (kernel,) * 2, (stride,) * 2, padding="SAME")
  rewrite, expected = _chain(ours), _chain(plain)
  assert rewrite.macs == expected.macs == 64 * 64 * kernel**2 * 3 * 3
  fields = rewrite.graph.logits.field, expected.graph.logits.field
  assert [fields[0].at(i) for i in range(40)] == [
    fields[1].at(i) for i in range(40)
  ]


def test_an_operation_without_a_rule_has_no_field_but_counts():
  summary = _chain(_conv(4, 3), lambda x: x[:, ::-1], nn.Dense(2))
  assert [row.receptive_field_px for row in summary.rows] == [3, None]
  assert summary.rows[1].macs == 64 * 64 * 4 * 2
  assert "-" in format_table(summary).splitlines()[-2]


def test_loops_are_refused_and_not_half_counted():
  def loop(x):
    return jax.lax.fori_loop(0, 3, lambda _, y: 2 * y, x)

  with pytest.raises(NotImplementedError, match=r"scan|while"):
    _chain(loop)


@pytest.mark.parametrize("remat", [False, True])
def test_blocks_edges_and_kinds_of_udd2(remat):
  net = models.build("UDD2", 5, width=4, remat=remat)
  summary = summarize(net, (64, 32, 1))
  rows = {row.block: row for row in summary.rows}
  assert list(rows)[:7] == [f"encoder_{i}" for i in range(1, 6)] + [
    *("ds1", "ds2")
  ]
  assert list(rows)[-2:] == ["ds3", "classify"]
  assert rows["encoder_3"].kind == "UBlock"
  assert rows["ds2"].kind == "ds2"
  assert rows["ds2"].shapes == ((32, 16, 4), (16, 8, 4), (8, 4, 4))
  assert (rows["ds2"].params, rows["ds2"].macs) == (0, 0)
  into = {
    (edge.source, edge.map.shape[1:])
    for edge in summary.graph.edges
    if edge.target == "decoder_2"
  }
  assert into == {("ds2", (32, 16, 4)), ("up_2", (32, 16, 8))}
  pooled = [e for e in summary.graph.edges if e.target == "encoder_2"]
  assert [(e.source, e.shape) for e in pooled] == [
    ("encoder_1", (1, 32, 16, 4))
  ]


def _mean_pool(x):
  """Sees what max-pooling can see, all of it at once."""
  return nn.avg_pool(x, (2, 2), (2, 2))


def _seen(net, image, pixels):
  """First and last input row that moves each of some output rows.

  Everything is positive: nothing cancels and every ReLU lets through.
  """
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, *image)))

  def fill(path, leaf):
    if path[-1].key in ("mean", "var"):
      return np.full(leaf.shape, float(path[-1].key == "var"), np.float32)
    return rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32)

  variables = jax.tree_util.tree_map_with_path(fill, shapes)
  images = rng.uniform(0, 1, (1, *image)).astype(np.float32)

  @jax.jit
  def rows(pixel):
    def value(images):
      logits = net.apply(variables, images).logits
      return jax.lax.dynamic_index_in_dim(logits, pixel, 1).sum()

    return jax.grad(value)(images).sum((0, 2, 3)) > 0

  ends = {}
  for pixel in pixels:
    found = np.flatnonzero(rows(pixel))
    ends[pixel] = (int(found[0]), int(found[-1]))
  return ends


@pytest.mark.parametrize("name", ["UMD", "UVDD", "UDD2", "UQD", "FCN"])
def test_receptive_field_is_where_the_gradient_is(name, monkeypatch):
  options = {"dropout": (0.0, 0.0)} if name == "FCN" else {}
  net = models.build(name, 1, width=1, **options)
  image = (704, 32, 1)
  middle = image[0] // 2
  pixels = [middle + shift for shift in (0, 1, 5, 8, 14, 15, 31)]
  summary = summarize(net, image)
  for module in (unet, fcn, supervision):
    monkeypatch.setattr(module, "max_pool", _mean_pool)
  field = summary.graph.logits.field
  assert _seen(net, image, pixels) == {p: field.at(p) for p in pixels}
  ends = [field.at(middle + i) for i in range(32)]
  assert summary.receptive_field_px == max(b - a + 1 for a, b in ends)


def test_a_size_that_the_network_cannot_take():
  with pytest.raises(InputError, match="40 x 64"):
    summarize(models.build("U1", 3), (40, 64, 1))


def test_table_has_a_line_a_block_and_the_whole():
  summary = summarize(models.build("UDD", 3, width=4), (32, 32, 2))
  lines = format_table(summary).splitlines()
  assert len(lines) == len(summary.rows) + 5
  assert max(map(len, lines)) <= 110
  (ds1,) = (line for line in lines if line.startswith("ds1"))
  assert "32 x 32 x 4 .. 4 x 4 x 4 (4)" in ds1
  assert f"{summary.params:,}" in lines[-2]
  assert f"{summary.macs:,}" in lines[-2]
  assert lines[-1].startswith(f"{summary.batch_stats:,} running statistics")
