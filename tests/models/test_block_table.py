"""A block is one entry of the table; what cannot be built is refused."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.models import block_table
from lumbar_jax.models.block_table import ENCODERS, FUSIONS, Encoder, Fusion
from lumbar_jax.models.layers import LayerStyle, conv
from lumbar_jax.models.summary import summarize
from lumbar_jax.reports import diagram_legend

IMAGE = (16, 32, 2)


def _summary(**topology):
  return summarize(models.build("U1", 3, width=2, **topology), IMAGE)


def _pairs():
  """Every encoder and every fusion, in as few networks as there can be."""
  letters, fusions = list(ENCODERS), list(FUSIONS)
  return [
    (letters[i % len(letters)], fusions[i % len(fusions)])
    for i in range(max(len(letters), len(fusions)))
  ]


@pytest.mark.parametrize(("letter", "fusion"), _pairs())
def test_every_entry_of_the_table_can_be_built(letter, fusion):
  rows = _summary(encoder=letter, fusion=fusion).rows
  there = {row.kind for row in rows} | {row.block for row in rows}
  assert ENCODERS[letter].module.__name__ in there
  assert ENCODERS[ENCODERS[letter].decoder].module.__name__ in there
  assert there >= set(FUSIONS[fusion].signs)


class RBlock(nn.Module):
  """R: a residual block that the table did not know."""

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, x, train: bool):
    del train
    y = conv(self.features, 3, self.style, name="conv")(x)
    return y + conv(self.features, 1, self.style, name="shortcut")(x)


def test_one_entry_is_all_that_a_new_block_needs(monkeypatch):
  with pytest.raises(InputError, match="encoder is 'R'"):
    models.build("U1", 3, encoder="R")
  entry = Encoder(RBlock, "#123456", decoder="R")
  monkeypatch.setitem(block_table.ENCODERS, "R", entry)
  summary = _summary(encoder="R")
  blocks = [row for row in summary.rows if row.kind == "RBlock"]
  assert len(blocks) == 9  # five down, four up
  for row in blocks:
    assert diagram_legend.sign(row) == ("R", "#123456")
    assert diagram_legend.describe(row).startswith("R: a residual block")
  with pytest.raises(InputError, match="allowed: 'U', 'V', 'Q', 'R'"):
    models.build("U1", 3, encoder="S")


def test_one_entry_is_all_that_a_new_fusion_needs(monkeypatch):
  def halved(skip, up, topology, style, level):
    del up, topology, style, level
    return skip / 2

  monkeypatch.setitem(block_table.FUSIONS, "half", Fusion(gate=halved))
  net = models.build("U1", 3, width=2, fusion="half")
  image = jax.ShapeDtypeStruct((1, *IMAGE), jnp.float32)
  key = jax.random.key(0)
  found, variables = jax.eval_shape(net.init_with_output, key, image)
  assert found.logits.shape == (1, 16, 32, 3)
  plain = models.build("U1", 3, width=2)
  assert variables == jax.eval_shape(plain.init, key, image)


def test_what_can_be_no_block_is_refused():
  class Undocumented(nn.Module):
    width: int

  with pytest.raises(InputError, match="features and style"):
    Encoder(Undocumented, "#000000")
  with pytest.raises(InputError, match="no documentation"):
    block_table.Sign("X", "#000000", lambda x: x)


def test_pytorch_has_a_twin_of_every_block(monkeypatch):
  pytest.importorskip("torch")
  from lumbar_jax.benchmarks.torch_networks import TorchUNet

  for letter in ENCODERS:
    TorchUNet(models.build("U1", 3, width=2, encoder=letter), 1)
  for fusion in FUSIONS:
    TorchUNet(models.build("U1", 3, width=2, fusion=fusion), 1)
  entry = Encoder(RBlock, "#123456")
  monkeypatch.setitem(block_table.ENCODERS, "R", entry)
  with pytest.raises(InputError, match="twins"):
    TorchUNet(models.build("U1", 3, width=2, encoder="R"), 1)
