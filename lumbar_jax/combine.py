"""Finished runs joined to an ensemble, in a folder of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import config as config_lib
from lumbar_jax import distributed
from lumbar_jax.config_rules import check_whole_slice
from lumbar_jax.ensembles import definitions
from lumbar_jax.ensembles import folder as folder_lib
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.folder import Member, open_members
from lumbar_jax.ensembles.model import Model, load_model, merged_width
from lumbar_jax.ensembles.train import stacking_settings, train_heads
from lumbar_jax.ensembles.weights import Weights
from lumbar_jax.errors import InputError
from lumbar_jax.files import remove_folder
from lumbar_jax.runs import Run, load_run
from lumbar_jax.training.checkpoints import epochs_done


def open_ensemble(folder: Path, config: Any = None) -> Model:
  """Makes or opens the ensemble of a folder.

  Args:
    folder: of the ensemble.
    config: with `ensemble.members`; None where the folder is there already.

  Raises:
    InputError: too few members, or members that do not fit together.
  """
  if config is None:
    model = load_model(load_run(folder))
    if model.ensemble is None:
      raise InputError(
        "this is a network's run, not an ensemble",
        "give --config=configs/ensemble.py and members, or another --workdir",
        path=folder,
      )
  else:
    model = _make(folder, config)
  data = model.run.config.data
  data.cache = data.cache or str(model.members[0].run.cache)
  return model


def _make(folder: Path, config: Any) -> Model:
  chosen = config.ensemble
  if len(chosen.members) < 2:
    raise InputError(
      f"config.ensemble.members has {len(chosen.members)} runs",
      "give the folders of two or more finished runs: "
      "--config.ensemble.members=runs/u1,runs/umd",
    )
  config_lib.validate(config)
  opened = open_members(chosen.members)
  members = _of_table_4(chosen.name, opened)
  names = tuple(member.name for member in members)
  name = chosen.name or definitions.custom_name(names)
  weights = tuple(chosen.weights)
  if len(weights) == len(opened):  # given in the order of the folders
    of = dict(zip((m.name for m in opened), weights, strict=True))
    weights = tuple(of[name] for name in names)
  ensemble = Ensemble(name, names, chosen.method, weights)
  own = members[0].run.config.copy_and_resolve_references()
  own.ensemble, own.evaluation = config.ensemble, config.evaluation
  for field in folder_lib.WHERE:
    own.data[field] = config.data[field] or own.data[field]
  own.data.num_workers = config.data.num_workers
  own.training.allow_shared_patients = config.training.allow_shared_patients
  for member in members:
    check_whole_slice(own, member.run.config.model.name)
  return make_ensemble(folder, ensemble, members, own, Weights())


def _of_table_4(name: str, members: tuple[Member, ...]) -> tuple[Member, ...]:
  """Returns the members that an ensemble of Table 4 has, in its order.

  Under any other name it is all of them.

  Raises:
    InputError: a network of the table is not among them.
  """
  if name not in definitions.TABLE_4:
    return members
  known = {member.name: member for member in members}
  for wanted in definitions.TABLE_4[name]:
    if wanted not in known:
      raise InputError(
        f"{name} needs {wanted}, but the members are {', '.join(known)}",
        f"train {wanted} and add its folder to config.ensemble.members",
      )
  return tuple(known[wanted] for wanted in definitions.TABLE_4[name])


def make_ensemble(
  folder: Path,
  ensemble: Ensemble,
  members: Sequence[Member],
  config: Any,
  weights: Weights,
  *,
  renew: bool = False,
) -> Model:
  """Makes (or opens) an ensemble's folder.

  Args:
    folder: where.
    ensemble: what.
    members: in its order.
    config: of the folder.
    weights: remembers the members' digests.
    renew: whether a folder that was made of the members' older weights is made
      anew, with all that is in it, instead of being refused.

  Raises:
    InputError: a member is not trained or was trained anew, features that
      cannot be merged, or a folder of another ensemble.
  """
  definitions.check(ensemble)
  settings = stacking_settings(config)
  if ensemble.is_stacking:
    merged_width(members, ensemble)  # fails where they cannot be merged
  digests = {member.name: weights.digests(member) for member in members}
  if renew and folder_lib.outdated(folder, digests):
    logging.warning(
      "%s: its members were trained on since it was made: it is made anew",
      folder,
    )
    remove_folder(folder)
  run = folder_lib.create(folder, ensemble, members, config, settings, digests)
  return Model(ensemble.title, run, tuple(members), ensemble, settings)


def finished(run: Run, fold: int, num_epochs: int) -> bool:
  """Returns whether a fold has been trained to its last epoch."""
  return epochs_done(run.fold_folder(fold) / "checkpoints") >= num_epochs


def train_all_heads(
  models: Sequence[Model], config: Any, sources: Any, weights: Weights
) -> None:
  """Trains meta-learners fold by fold; those that are finished are left.

  Of several processes the main one does it, on its own devices, while the
  others wait: meta-learners are tiny, and orbax lets no other one save alone.

  Args:
    models: stacking ensembles.
    config: their augmentation, batch size, loss and seed.
    sources: fold -> (training, validation) patches.
    weights: remembers the members' digests.
  """
  folds = models[0].run.folds if models and distributed.is_main() else ()
  for number, fold in enumerate(folds, start=1):
    left = [
      model
      for model in models
      if not finished(model.run, fold, model.settings["num_epochs"])
    ]
    if left:
      logging.info("fold %d: %d meta-learners to train", fold, len(left))
      later = len(folds) - number
      train_heads(left, fold, sources(fold), config, weights, later)
    for model in models:  # of a training that was killed
      for path in model.run.fold_folder(fold).glob("*cache_*.npy"):
        path.unlink()
  distributed.barrier("meta-learners")
  weights.forget_heads()
