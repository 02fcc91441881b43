"""Scorers: `scores(images [b h w c]) -> [b h w k]`, of networks and folds."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.arrays import Images, Scores
from lumbar_jax.runs import Run
from lumbar_jax.training.networks import for_inference, load_fold

Scorer = Callable[[Images], Scores]


@functools.partial(jax.jit, static_argnums=0)
def _scores(net: nn.Module, variables, images: Images) -> Scores:
  logits = net.apply(variables, images, train=False).logits
  return jax.nn.softmax(logits.astype(jnp.float32), axis=-1)


def make_scorer(net: nn.Module, variables: dict[str, Any]) -> Scorer:
  """Returns a network's softmax scores; equal networks compile once."""
  return functools.partial(_scores, net, jax.device_put(variables))


def fold_scorers(run: Run, folds: Sequence[int] | None = None) -> list[Scorer]:
  """Returns the scorers of a run's folds (all of them by default).

  Raises:
    InputError: a fold that is not trained.
  """
  folds = run.folds if folds is None else folds
  return [
    make_scorer(*for_inference(run, *load_fold(run, fold))) for fold in folds
  ]


def average(scorers: Sequence[Scorer]) -> Scorer:
  """Returns the arithmetic mean of scorers."""
  if len(scorers) == 1:
    return scorers[0]
  return lambda images: sum(s(images) for s in scorers) / len(scorers)
