"""From a run's config to its network, optimizer and trained weights."""

import functools
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lumbar_jax import models, origins
from lumbar_jax.errors import InputError
from lumbar_jax.leaks import source_fold
from lumbar_jax.models.inference import FoldedNetwork, fold
from lumbar_jax.runs import Run, load_run
from lumbar_jax.training import learnt
from lumbar_jax.training.checkpoints import BEST, load_best
from lumbar_jax.training.imported_weights import replace_backbone
from lumbar_jax.training.optimizers import make_optimizer
from lumbar_jax.training.state_dicts import read_state_dict


def build_network(run: Run) -> nn.Module:
  """Returns the network that a run's config describes."""
  config = run.config.model
  overrides = {"activation": config.activation} if config.activation else {}
  if any(config.dropout):  # else the network's own
    overrides["dropout"] = tuple(config.dropout)
  return models.build(
    config.name,
    run.scheme.num_classes,
    run.config.data.patch_size,
    width=config.width,
    batchnorm_momentum=config.batchnorm_momentum,
    remat=config.remat,
    dtype=jnp.dtype(run.config.training.dtype),
    **overrides,
  )


def optimizer_settings(run: Run) -> tuple[str, float]:
  """Returns (name, learning rate): the config's, or the topology's."""
  config, row = run.config.training, models.topology(run.config.model.name)
  return (
    config.optimizer or row.optimizer,
    config.learning_rate or row.learning_rate,
  )


def build_optimizer(run: Run) -> optax.GradientTransformation:
  """Returns the optimizer: the config's, or the topology's of Table 3."""
  return make_optimizer(*optimizer_settings(run))


@functools.lru_cache
def abstract_variables(
  net: nn.Module, size: int, channels: int
) -> dict[str, Any]:
  """Returns the shapes of a network's variables.

  Args:
    net: the network.
    size: rows and columns of a patch.
    channels: of a patch.
  """
  images = jnp.zeros((1, size, size, channels))
  return dict(jax.eval_shape(net.init, jax.random.key(0), images))


def load_fold(run: Run, fold: int) -> tuple[nn.Module, dict[str, Any]]:
  """Returns a fold's network and the variables of its best epoch.

  Raises:
    InputError: no such fold, not trained, of another network or fold, or
      weights that learnt with other settings than the run's.
  """
  run.check_fold(fold)
  net = build_network(run)
  folder, data = run.fold_folder(fold) / "checkpoints", run.config.data
  shapes = abstract_variables(net, data.patch_size, len(data.channels))
  variables, info = load_best(folder, shapes)
  wanted = learnt.facts(run.config, run.scheme, fold)
  learnt.check(info, wanted, folder / BEST)
  return net, variables


def for_inference(
  run: Run, net: nn.Module, variables: dict[str, Any]
) -> tuple[FoldedNetwork, dict[str, Any]]:
  """Returns a run's network and variables in the form that is quick to apply.

  Args:
    run: whose patches they will see.
    net: the network.
    variables: as `load_fold` returns them.
  """
  data = run.config.data
  size, channels = data.patch_size, len(data.channels)
  return fold(net, variables, (1, size, size, channels))


def transfer(fresh: Any, trained: Any, path: Path) -> Any:
  """Returns `trained`'s leaves in the tree of `fresh`.

  Classification blocks keep their fresh values where their shape differs (other
  classes); everything else has to fit.

  Raises:
    InputError: names the first leaf that does not fit.
  """
  source = dict(jax.tree_util.tree_leaves_with_path(trained))

  def pick(place, leaf):
    found = source.get(place)
    if found is not None and found.shape == leaf.shape:
      return found
    names = [str(entry.key) for entry in place]
    if any(name.startswith("classify") for name in names):
      return leaf
    raise InputError(
      f"its weights do not fit this network: {'/'.join(names)} is "
      f"{None if found is None else found.shape} there, {leaf.shape} here",
      "config.training.init_from takes a run of the same topology, width and "
      "channels",
      path=path,
    )

  return jax.tree_util.tree_map_with_path(pick, fresh)


def initial_weights(run: Run, fold: int):
  """Returns variables -> variables for what a config starts from, or None.

  Only the function reads the weights: a fold that has begun needs them no more,
  and they may be gone by then.

  Of `config.training.init_from` the same fold is taken where that run has one,
  else its fold 0; `config.model.backbone_weights` is a file. Weights that have
  changed since the run began are refused.
  """
  file = run.config.model.backbone_weights
  folder = run.config.training.init_from
  if not (file or folder):
    return None
  field = "model.backbone_weights" if file else "training.init_from"

  def start(fresh):
    origins.check_start(run.folder, run.config, field, fold)
    if file:
      return replace_backbone(fresh, read_state_dict(file), file)
    _, trained = load_fold(load_run(folder), source_fold(folder, fold))
    return transfer(fresh, trained, Path(folder))

  return start
