"""One interface to whatever is evaluated: a single network or an ensemble."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lumbar_jax.ensembles import folder as folder_lib
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.ensembles.members import forward
from lumbar_jax.ensembles.pool import MemberPool, ensemble_scorer
from lumbar_jax.ensembles.stacking import StackingHead, merge
from lumbar_jax.evaluation import scorers
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.files import digest
from lumbar_jax.runs import ENSEMBLE_FILE, Run
from lumbar_jax.training.checkpoints import load_best
from lumbar_jax.training.networks import (
  abstract_variables,
  build_network,
  load_fold,
)


@dataclasses.dataclass(frozen=True)
class Model:
  """A single network (its own only member) or an ensemble.

  Attributes:
    title: its name in tables.
    run: the folder of its thresholds and results.
    members: the networks.
    ensemble: how they are combined; None of a single network.
    settings: what shaped a meta-learner (`config.ensemble`).
  """

  title: str
  run: Run
  members: tuple[Member, ...]
  ensemble: Ensemble | None = None
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def keys(self, fold: int) -> list[tuple[Path, int]]:
    """The members' keys in a pool of a fold's networks."""
    return [(member.run.folder, fold) for member in self.members]

  def head(self) -> StackingHead:
    """Returns the meta-learner's module."""
    return StackingHead(self.run.scheme.num_classes, self.settings["hidden"])

  def load_head(self, fold: int) -> tuple[StackingHead, Any]:
    """Returns a fold's meta-learner and the variables of its best epoch.

    Raises:
      InputError: it is not trained.
    """
    net = self.head()
    width = merged_width(self.members, self.ensemble)
    folder = self.run.fold_folder(fold) / "checkpoints"
    return net, load_best(folder, abstract_head(net, width))[0]

  def scorer(self, pool: MemberPool, fold: int) -> Scorer:
    """Returns a fold's scores, from a pool that has its members.

    Raises:
      InputError: the fold's meta-learner is not trained.
    """
    keys = self.keys(fold)
    if self.ensemble is None:
      return lambda images: pool(keys[0], images).scores
    head = self.load_head(fold) if self.ensemble.is_stacking else None
    return ensemble_scorer(pool, self.ensemble, keys, head)


def single(run: Run) -> Model:
  """Returns a run as a model."""
  name = run.config.model.name
  return Model(name, run, (Member(name, run),))


def load_model(run: Run) -> Model:
  """Returns the model of a folder, be it a run's or an ensemble's.

  Raises:
    InputError: as `folder.read`.
  """
  if not (run.folder / ENSEMBLE_FILE).is_file():
    return single(run)
  ensemble, members, content = folder_lib.read(run.folder)
  return Model(ensemble.title, run, members, ensemble, content["settings"])


def merged_width(members: Sequence[Member], ensemble: Ensemble) -> int:
  """Returns the channels that a meta-learner sees; nothing is computed.

  Raises:
    InputError: features of unequal width cannot be averaged or added.
  """
  widths = [member_width(m.run, ensemble.reads_features) for m in members]
  maps = [jax.ShapeDtypeStruct((1, n), jnp.float32) for n in widths]
  return jax.eval_shape(lambda x: merge(x, ensemble.method[1]), maps).shape[-1]


def member_width(run: Run, features: bool) -> int:
  """Returns the channels of what a member gives a meta-learner."""
  if not features:
    return run.scheme.num_classes
  data = run.config.data
  return _features(build_network(run), data.patch_size, len(data.channels))


@functools.lru_cache
def _features(net: nn.Module, size: int, channels: int) -> int:
  images = jnp.zeros((1, size, size, channels))
  variables = abstract_variables(net, size, channels)
  apply = functools.partial(forward, net, True)
  return jax.eval_shape(apply, variables, images).features.shape[-1]


def abstract_head(net: StackingHead, width: int) -> Any:
  """Returns the shapes of a meta-learner's variables."""
  maps = jnp.zeros((1, 1, 1, width))
  return dict(jax.eval_shape(net.init, jax.random.key(0), maps))


class Weights:
  """Loads trained weights and remembers their digests.

  Whoever trains tells it to forget.
  """

  def __init__(self):
    """Nothing is loaded yet."""
    self._digests: dict[tuple[Path, int], str] = {}
    self._heads: dict[tuple[Path, int], str] = {}

  def forget(self) -> None:
    """Forgets all digests: weights have changed."""
    self._digests.clear()
    self._heads.clear()

  def forget_heads(self) -> None:
    """Forgets the digests of meta-learners."""
    self._heads.clear()

  def load(self, member: Member, fold: int) -> tuple[nn.Module, Any]:
    """Returns a member's network and variables.

    Raises:
      InputError: the fold is not trained.
    """
    net, variables = load_fold(member.run, fold)
    self._digests[member.run.folder, fold] = weights_digest(variables)
    return net, variables

  def digest(self, member: Member, fold: int) -> str:
    """Returns the digest of a member's weights."""
    key = (member.run.folder, fold)
    if key not in self._digests:
      self.load(member, fold)
    return self._digests[key]

  def of_model(self, model: Model, fold: int) -> str:
    """Returns the digest of all that shapes a model's scores in a fold."""
    parts = [self.digest(member, fold) for member in model.members]
    if model.ensemble is not None:
      parts += [model.ensemble.method, list(model.ensemble.weights)]
      if model.ensemble.is_stacking:
        parts.append(self._head(model, fold))
    return digest(parts)

  def _head(self, model: Model, fold: int) -> str:
    """Returns the digest of a meta-learner's weights."""
    key = (model.run.folder, fold)
    if key not in self._heads:
      self._heads[key] = weights_digest(model.load_head(fold)[1])
    return self._heads[key]

  def digests(self, member: Member) -> list[str]:
    """Returns the digests of all folds."""
    return [self.digest(member, fold) for fold in member.run.folds]


def weights_digest(variables: Any) -> str:
  """Returns 16 hex digits of every leaf's name and bytes."""
  state = hashlib.sha256()
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  for path, leaf in sorted(leaves, key=lambda item: str(item[0])):
    state.update(jax.tree_util.keystr(path).encode())
    state.update(np.ascontiguousarray(leaf).tobytes())
  return state.hexdigest()[:16]


def make_pool(
  models: Sequence[Model],
  folds: Sequence[int],
  weights: Weights,
  batching: str = "auto",
) -> MemberPool:
  """Returns a pool of all that some models need for some folds.

  Args:
    models: which will ask the pool.
    folds: whose networks to load.
    weights: remembers digests from call to call.
    batching: see `members.apply_stacked`.

  Raises:
    InputError: a member lacks a fold, or was trained anew since its ensemble
      was made.
  """
  members = {m.run.folder: m for model in models for m in model.members}
  readers = {
    member.run.folder
    for model in models
    if model.ensemble is not None and model.ensemble.reads_features
    for member in model.members
  }
  found = {
    (folder, fold): weights.load(member, fold)
    for fold in folds
    for folder, member in members.items()
  }
  for model in models:
    _check_weights(model, folds, weights)
  return MemberPool(
    found,
    with_features=[key for key in found if key[0] in readers],
    batching=batching,
  )


def _check_weights(
  model: Model, folds: Sequence[int], weights: Weights
) -> None:
  """Raises InputError if a member is not what its ensemble was made of."""
  path = model.run.folder / ENSEMBLE_FILE
  if model.ensemble is None or not path.is_file():
    return
  _, _, content = folder_lib.read(model.run.folder)
  for entry, member in zip(content["members"], model.members, strict=True):
    for fold in folds:
      if entry["weights"][fold] != weights.digest(member, fold):
        folder_lib.raise_retrained(member.name, path)


def fold_scorers(
  run: Run, folds: Sequence[int] | None = None, *, together: bool = False
) -> list[Scorer]:
  """Returns the scorers of a run's or an ensemble's folds.

  Args:
    run: its folder.
    folds: all of them by default.
    together: whether the folds will be asked for the same batches: an
      ensemble's folds are then computed at once.

  Raises:
    InputError: a fold that is not trained.
  """
  if not (run.folder / ENSEMBLE_FILE).is_file():
    return scorers.fold_scorers(run, folds)
  folds = list(run.folds if folds is None else folds)
  model, weights = load_model(run), Weights()
  batching = run.config.ensemble.batching
  if together:
    pool = make_pool([model], folds, weights, batching)
    return [model.scorer(pool, fold) for fold in folds]
  return [
    model.scorer(make_pool([model], [fold], weights, batching), fold)
    for fold in folds
  ]
