"""The trained weights of members: loading, digests, pools."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lumbar_jax.config_rules import check_whole_slice
from lumbar_jax.ensembles import folder as folder_lib
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.ensembles.model import Model, check_trained, load_model
from lumbar_jax.ensembles.pool import MemberPool
from lumbar_jax.evaluation import scorers
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.files import digest, read_json
from lumbar_jax.progress import working
from lumbar_jax.runs import ENSEMBLE_FILE, Run
from lumbar_jax.training.networks import for_inference, load_fold


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
    check_trained(
      member.run,
      fold,
      member.run.config.training.num_epochs,
      f"train {member.name} first: give its own command again",
    )
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
    (folder, fold): for_inference(member.run, *weights.load(member, fold))
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
  content = read_json(path, ["members"])
  for entry, member in zip(content["members"], model.members, strict=True):
    for fold in folds:
      if entry["weights"][fold] != weights.digest(member, fold):
        folder_lib.raise_retrained(member.name, path)


@working("loading the networks")
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
    InputError: a fold that is not trained, or a network that cannot take what
      the config asks for.
  """
  if not (run.folder / ENSEMBLE_FILE).is_file():
    check_whole_slice(run.config)
    return scorers.fold_scorers(run, folds)
  folds = list(run.folds if folds is None else folds)
  model, weights = load_model(run), Weights()
  for member in model.members:
    check_whole_slice(run.config, member.run.config.model.name)
  batching = run.config.ensemble.batching
  if together:
    pool = make_pool([model], folds, weights, batching)
    return [model.scorer(pool, fold) for fold in folds]
  return [
    model.scorer(make_pool([model], [fold], weights, batching), fold)
    for fold in folds
  ]
