"""Training meta-learners: several at once, on shared forward passes.

Each meta-learner has its own trainer, checkpoints and best epoch, and goes
through the same batches with the same augmentation (their random streams have
the seed and the fold in them, not the ensemble; they are not the networks' own,
which have fitted what those show). So trainers that take turns batch by batch
find the members' outputs in the pool's memory, and every one of them learns bit
for bit what it would have learnt alone.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from lumbar_jax.data.pipeline import Sources
from lumbar_jax.ensembles.cache import write_caches
from lumbar_jax.ensembles.engine import make_stacking_engine
from lumbar_jax.ensembles.model import Model
from lumbar_jax.ensembles.weights import Weights, make_pool
from lumbar_jax.locks import locked
from lumbar_jax.training.loop import FoldTrainer

SETTINGS = ("hidden", "num_epochs", "optimizer", "learning_rate", "cached")
_END = object()


def stacking_settings(config: Any) -> dict[str, Any]:
  """Returns the fields of `config.ensemble` that shape a meta-learner.

  The rest of its training is that of the members: batch size, loss, seed and
  augmentation (paper 000, section 5.4: the same transformations).
  """
  return {name: config.ensemble[name] for name in SETTINGS}


def training_config(model: Model, config: Any) -> Any:
  """Returns the config that a meta-learner's trainer reads."""
  own = config.copy_and_resolve_references()
  for name in ("num_epochs", "optimizer", "learning_rate"):
    own.training[name] = model.settings[name]
  return own


def train_heads(
  models: Sequence[Model],
  fold: int,
  sources: Sources,
  config: Any,
  weights: Weights,
  later: int = 0,
) -> None:
  """Trains a fold's meta-learners from where each was left.

  Args:
    models: stacking ensembles of one data set.
    fold: whose networks, training and validation patches they see.
    sources: training and validation patches.
    config: augmentation, batch size, loss, seed, and `ensemble.batching`.
    weights: remembers the members' digests.
    later: folds that follow, for the time left.

  Raises:
    InputError: a member lacks the fold or was trained anew; features that
      cannot be merged.
  """
  with contextlib.ExitStack() as stack:
    for model in models:
      stack.enter_context(locked(model.run.fold_folder(fold)))
    pool = make_pool(models, [fold], weights, config.ensemble.batching)
    cached = [model for model in models if model.settings["cached"]]
    kept = write_caches(cached, fold, pool, sources, config)
    trainers = []
    for number, model in enumerate(models):
      own, found = training_config(model, config), kept.get(model.title)
      engine = make_stacking_engine(model, fold, None if found else pool, own)
      trainers.append(
        FoldTrainer(
          *(engine, own, model.run.scheme, found or sources),
          *(model.run.fold_folder(fold), fold),
          purpose="stacking",
          title=f"fold {fold}, {len(models)} meta-learners, epochs",
          follow=(later * own.training.num_epochs, "all folds"),
          quiet=number > 0,
        )
      )
    _take_turns(trainers)
    for entry in kept.values():
      for part in entry:
        part.delete()


def _take_turns(trainers: Sequence[FoldTrainer]) -> None:
  """Runs trainers batch by batch; those that are behind go first."""
  running = {trainer: trainer.steps() for trainer in trainers}
  while running:
    least = min(trainer.place for trainer in running)
    for trainer in [t for t in running if t.place == least]:
      if next(running[trainer], _END) is _END:
        del running[trainer]
