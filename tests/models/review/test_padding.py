"""Padding to sizes that a network can take, and the refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import images

from lumbar_jax.errors import InputError
from lumbar_jax.models.review.padding import (
  check_built_size,
  check_minimum,
  crop_as,
  pad_to_multiple,
)


@pytest.mark.parametrize(
  ("size", "multiple", "remainder", "expected"),
  [
    ((5, 8), 8, 0, (8, 8)),
    ((16, 17), 8, 0, (16, 24)),
    ((880, 873), 8, 1, (881, 873)),
    ((1, 2), 8, 1, (1, 9)),
  ],
)
def test_padding_repeats_the_last_row_and_column(
  size, multiple, remainder, expected
):
  x = images(2, *size, 1)
  padded = pad_to_multiple(jnp.asarray(x), multiple, remainder)
  more = [(0, new - old) for new, old in zip(expected, size, strict=True)]
  np.testing.assert_array_equal(
    padded, np.pad(x, ((0, 0), *more, (0, 0)), "edge")
  )
  np.testing.assert_array_equal(crop_as(padded, x), x)


def test_refusals_name_the_sizes():
  with pytest.raises(InputError, match=r"12 x 40.*nearest are 16 x 40"):
    check_minimum(jnp.zeros((1, 12, 40, 1)), 16)
  check_minimum(jnp.zeros((1, 16, 16, 1)), 16)
  with pytest.raises(InputError, match=r"64 x 32.*made for 64 x 64"):
    check_built_size(jnp.zeros((1, 64, 32, 1)), 64)
