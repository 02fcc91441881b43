"""Which ensembles there are, and which are refused."""

import pytest

from lumbar_jax import models
from lumbar_jax.ensembles import definitions
from lumbar_jax.ensembles.definitions import TABLE_4, Ensemble
from lumbar_jax.errors import InputError


def test_table_4_has_as_many_networks_as_its_names_say():
  assert {name: len(members) for name, members in TABLE_4.items()} == {
    f"E{n}": n for n in range(4, 14)
  }
  for members in TABLE_4.values():
    assert len(set(members)) == len(members)
    assert set(members) <= set(models.names())


def test_only_e8_and_e13_have_fcn():
  # Paper 000, section 5.4.
  assert [n for n, members in TABLE_4.items() if "FCN" in members] == [
    *("E8", "E13")
  ]


def test_leaving_a_member_out_keeps_order_and_weights():
  whole = Ensemble("MINE", ("U1", "UMD", "UD"), "arithmetic", (1.0, 2.0, 3.0))
  part = whole.without("UMD")
  assert part.members == ("U1", "UD")
  assert part.weights == (1.0, 3.0)
  assert part.title == "MINE-arithmetic-without-UMD"


@pytest.mark.parametrize(
  ("ensemble", "words"),
  [
    (Ensemble("E", (), "NAD"), "no members"),
    (Ensemble("E", ("U1", "U1"), "NAD"), "U1 more than once"),
    (Ensemble("E", ("U1", "UD"), "NAD", (1.0, 1.0)), "takes no weights"),
    (Ensemble("E", ("U1", "UD"), "arithmetic", (1.0,)), "1 weights for 2"),
    (Ensemble("E", ("U1", "UD"), "geometric", (1.0, -1.0)), "weights 1.0, -1"),
    (Ensemble("E", ("U1", "UD"), "geometric", (0.0, 0.0)), "weights 0.0, 0.0"),
  ],
)
def test_bad_ensembles_are_refused(ensemble, words):
  with pytest.raises(InputError, match=words):
    definitions.check(ensemble)
