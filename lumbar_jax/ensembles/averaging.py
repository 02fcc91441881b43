"""Model averaging: the arithmetic and the geometric mean of scores.

Paper 000, section 4.2.1, Eq. 1 and 2.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from lumbar_jax.arrays import Scores

FLOOR = 1e-7  # scores below count as this much in a geometric mean


def _shares(weights: Sequence[float], num_members: int) -> jax.Array:
  """Returns weights [r] that sum to 1."""
  shares = jnp.asarray(weights or [1.0] * num_members, jnp.float32)
  return shares / shares.sum()


def arithmetic_mean(
  scores: Sequence[Scores], weights: Sequence[float] = ()
) -> Scores:
  """Returns sum_r w_r y_r: paper 000 Eq. 1, with equal weights by default.

  Args:
    scores: r arrays [... k] of softmax scores.
    weights: r numbers >= 0; they are divided by their sum.
  """
  shares = _shares(weights, len(scores))
  return sum(share * value for share, value in zip(shares, scores, strict=True))


def geometric_mean(
  scores: Sequence[Scores], weights: Sequence[float] = (), floor: float = FLOOR
) -> Scores:
  """Returns prod_r y_r^w_r divided by its sum over the classes.

  Paper 000 Eq. 2, taken in log space. The equation does not renormalise, but
  section 5.4 says that an ensemble's scores sum to 1, and TH compares them with
  absolute thresholds.

  Args:
    scores: r arrays [... k] of softmax scores.
    weights: r numbers >= 0; they are divided by their sum.
    floor: the least score, so that one member's 0 is no veto.
  """
  shares = _shares(weights, len(scores))
  logs = sum(
    share * jnp.log(jnp.maximum(value, floor))
    for share, value in zip(shares, scores, strict=True)
  )
  return jax.nn.softmax(logs, axis=-1)


MEANS = {"arithmetic": arithmetic_mean, "geometric": geometric_mean}
