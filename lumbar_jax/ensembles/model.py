"""One interface to whatever is evaluated: a single network or an ensemble."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.ensembles import folder as folder_lib
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.ensembles.members import forward
from lumbar_jax.ensembles.pool import MemberPool, ensemble_scorer
from lumbar_jax.ensembles.stacking import StackingHead, merge
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.scorers import Scorer
from lumbar_jax.runs import ENSEMBLE_FILE, Run
from lumbar_jax.training import learnt
from lumbar_jax.training.checkpoints import BEST, epochs_done, load_best
from lumbar_jax.training.networks import (
  abstract_variables,
  build_network,
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
      InputError: it is not trained, or of another fold.
    """
    check_trained(
      self.run,
      fold,
      self.settings["num_epochs"],
      "train the meta-learner first: --mode=ensemble, or --mode=study "
      "--stage=stack",
    )
    net = self.head()
    width = merged_width(self.members, self.ensemble)
    folder = self.run.fold_folder(fold) / "checkpoints"
    head, info = load_best(folder, abstract_head(net, width))
    wanted = learnt.facts(None, self.run.scheme, fold, network=False)
    learnt.check(info, wanted, folder / BEST)
    return net, head

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


def check_trained(run: Run, fold: int, num_epochs: int, remedy: str) -> None:
  """Raises InputError unless a fold has been trained to its last epoch."""
  folder = run.fold_folder(fold)
  done = epochs_done(folder / "checkpoints")
  if done < num_epochs:
    raise InputError(
      f"fold {fold} is trained for {done} of {num_epochs} epochs",
      remedy,
      path=folder,
    )


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
