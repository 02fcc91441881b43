"""Folding changes no network's results, at odd sizes too.

Here are those networks where a normalisation is one of several readers of a
convolution; `experiments/verify_folding.py` (`make verify`) takes all of
`names()`, and whole backbones.
"""

import pytest

from lumbar_jax.models import folding_check
from lumbar_jax.models.review import densenet


@pytest.mark.parametrize("name", ["ResUNet++", "DenseASPP"])
def test_folded_equals_unfolded(name, monkeypatch):
  monkeypatch.setattr(
    densenet, "DEPTHS", (2, 2, 2, 2)
  )  # further ones are alike
  net, images = folding_check.build(name, 2, 32)
  found = folding_check.compare(net, images)
  assert found.equal, f"{name}: {found}"
