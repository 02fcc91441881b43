"""The frozen forward passes that several ensembles share.

The members' networks are the cost of an ensemble. A pool computes each of them
once a batch, whoever asks first; the others find the result in its memory. It
only remembers, so everyone gets what they would have got alone.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import NamedSharding

from lumbar_jax.arrays import Images, Scores
from lumbar_jax.choices import check_choice
from lumbar_jax.ensembles import members
from lumbar_jax.ensembles.averaging import MEANS
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.members import MemberOutputs
from lumbar_jax.ensembles.stacking import StackingHead, merge


class _Group:
  """Members of one network; one by one, or stacked and batched."""

  def __init__(
    self, net: nn.Module, trees: Sequence[Any], features: bool, batching: str
  ):
    """Puts the members on the devices."""
    check_choice("batching", batching, ("auto", *members.BATCHINGS))
    self._net, self._features = net, features
    self._mesh = members.member_mesh(len(trees))
    if batching == "auto":  # measured at first use where it is not known
      batching = members.MEASURED.get(jax.default_backend(), batching)
    self._trees = self._stacked = None
    self._batching = batching
    if self._mesh is None and (len(trees) == 1 or batching == "loop"):
      self._trees = [members.place(tree, None) for tree in trees]
    else:
      self._stacked = members.place(members.stack(trees), self._mesh)

  def __call__(self, images: Images) -> list[MemberOutputs]:
    """Returns each member's outputs, all on the first device."""
    if self._trees is not None:
      return [
        members.forward_jit(self._net, self._features, tree, images)
        for tree in self._trees
      ]
    if self._mesh is not None:
      rows = NamedSharding(self._mesh, members.image_spec(self._mesh, images))
      images = jax.device_put(images, rows)
    found = members.apply_stacked(
      self._net,
      self._stacked,
      images,
      with_features=self._features,
      batching=self._batching,
      mesh=self._mesh,
    )
    if self._mesh is not None:
      found = jax.device_put(found, jax.local_devices()[0])
    return members.unstack(found)


class MemberPool:
  """Members by key, grouped by network, each group's parameters stacked.

  It remembers one batch: its users take turns batch by batch.
  """

  def __init__(
    self,
    found: Mapping[Any, tuple[nn.Module, Any]],
    *,
    with_features: Sequence[Any] = (),
    batching: str = "auto",
  ):
    """Stacks the members of equal networks and puts them on the devices.

    Args:
      found: {key: (network, variables)}.
      with_features: keys whose features will be asked for.
      batching: see `members.apply_stacked`.
    """
    groups: dict[nn.Module, list[Any]] = {}
    for key, (net, _) in found.items():
      groups.setdefault(net, []).append(key)
    self._groups = {
      net: _Group(
        net,
        [found[key][1] for key in keys],
        any(key in with_features for key in keys),
        batching,
      )
      for net, keys in groups.items()
    }
    self._place = {
      key: (net, number)
      for net, keys in groups.items()
      for number, key in enumerate(keys)
    }
    self._batch: Any = None
    self._known: dict[nn.Module, list[MemberOutputs]] = {}

  def __call__(self, key: Any, images: Images) -> MemberOutputs:
    """Returns a member's outputs for a batch."""
    net, number = self._place[key]
    known = self._recall(images)
    if net not in known:
      known[net] = self._groups[net](images)
    return known[net][number]

  def _recall(self, images: Images) -> dict[nn.Module, MemberOutputs]:
    """Returns what is known of a batch; equal images are the same batch."""
    seen = self._batch
    if seen is None or not (seen is images or _equal(seen, images)):
      self._batch, self._known = images, {}
    return self._known


def _equal(a: Any, b: Any) -> bool:
  if a.shape != b.shape:
    return False
  return np.array_equal(np.asarray(a), np.asarray(b))


def merged_input(
  pool: MemberPool, ensemble: Ensemble, keys: Sequence[Any], images: Images
) -> jax.Array:
  """Returns what a meta-learner sees: [b h w m].

  Args:
    pool: with the members.
    ensemble: a stacking ensemble.
    keys: its members' keys in the pool.
    images: [b h w c].

  Raises:
    InputError: features of unequal width cannot be averaged or added.
  """
  outputs = [pool(key, images) for key in keys]
  if ensemble.reads_features:
    return merge([out.features for out in outputs], ensemble.method[1])
  return merge([out.scores for out in outputs], ensemble.method[1])


_MEANS = {name: jax.jit(mean, static_argnums=1) for name, mean in MEANS.items()}


@functools.partial(jax.jit, static_argnums=0)
def _head_scores(
  net: StackingHead, variables: Any, merged: jax.Array
) -> Scores:
  return jax.nn.softmax(net.apply(variables, merged).logits, axis=-1)


def ensemble_scorer(
  pool: MemberPool,
  ensemble: Ensemble,
  keys: Sequence[Any],
  head: tuple[StackingHead, Any] | None = None,
) -> Callable[[Images], Scores]:
  """Returns an ensemble's scores: images [b h w c] -> [b h w k].

  Args:
    pool: with the members.
    ensemble: how they are combined.
    keys: the members' keys in the pool.
    head: a stacking ensemble's meta-learner and its variables.
  """
  if ensemble.is_stacking:
    net, variables = head[0], members.place(head[1], None)
    return lambda images: _head_scores(
      net, variables, merged_input(pool, ensemble, keys, images)
    )
  mean = _MEANS[ensemble.method]
  return lambda images: mean(
    [pool(key, images).scores for key in keys], ensemble.weights
  )
