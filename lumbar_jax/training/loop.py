"""Training one fold: epochs, validation, checkpoints, resuming."""

import hashlib
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lumbar_jax.anatomy import Scheme
from lumbar_jax.data.pipeline import PatchSource, eval_batches, train_batches
from lumbar_jax.errors import InputError
from lumbar_jax.progress import Progress
from lumbar_jax.training import sharding
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.losses import make_loss
from lumbar_jax.training.position import EpochSums, Position
from lumbar_jax.training.state import TrainState, create_state
from lumbar_jax.training.steps import make_eval_step, make_train_step
from lumbar_jax.training.writers import MetricWriter

DRAIN_EVERY = 16  # steps whose sums may wait on the device


def stream(seed: int, *names: Any) -> int:
  """Returns a 31-bit seed of a named random stream."""
  text = "/".join(map(str, (seed, *names)))
  return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2**31


class FoldTrainer:
  """Trains one fold into a folder, from where it was left.

  Attributes:
    state: the current `TrainState`.
    position: the current `Position`.
  """

  def __init__(
    self,
    net: nn.Module,
    optimizer: Any,
    config: Any,
    scheme: Scheme,
    sources: tuple[PatchSource, PatchSource],
    folder: Path,
    fold: int,
    initial: Any = None,
  ):
    """Compiles nothing yet; restores the latest checkpoint if there is one.

    Args:
      net: the network.
      optimizer: its optimizer.
      config: the run's config.
      scheme: the label scheme.
      sources: training and validation patches.
      folder: the fold's folder.
      fold: its number.
      initial: function variables -> variables applied to fresh ones
        (`config.training.init_from`), or None.
    """
    self._config, self._scheme, self._fold = config, scheme, fold
    self._train, self._val = sources
    self._folder = Path(folder)
    train = config.training
    self._mesh = sharding.make_mesh(train.batch_size)
    self._shard = (jax.process_index(), jax.process_count())
    self._local_batch = train.batch_size // self._shard[1]
    loss = make_loss(train)
    seed = stream(config.seed, "fold", fold)
    self._step = sharding.jit_train_step(
      make_train_step(net, optimizer, loss, config.augmentation, seed),
      self._mesh,
    )
    self._eval = sharding.jit_eval_step(make_eval_step(net, loss), self._mesh)
    self._checkpoints = Checkpoints(self._folder / "checkpoints")
    self._restore(net, optimizer, initial)

  def _restore(self, net: nn.Module, optimizer: Any, initial: Any) -> None:
    shape = (*[self._train.size] * 2, len(self._config.data.channels))
    key = jax.random.key(stream(self._config.seed, "init", self._fold))
    whole = sharding.replicated(self._mesh)

    def create(key):
      return create_state(net, optimizer, key, shape)

    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
      jax.eval_shape(create, key),
    )
    found = self._checkpoints.restore_latest(abstract)
    if found is not None:
      self.state, info = found
      self.position = Position.from_json(info)
      self._checkpoints.drop_best_from(self.position.epoch)
      return
    self._checkpoints.drop_best_from(0)
    self.state: TrainState = jax.jit(create, out_shardings=whole)(key)
    if initial is not None:
      variables = jax.device_put(initial(self.state.variables), whole)
      collections = {k: v for k, v in variables.items() if k != "params"}
      self.state = self.state.replace(
        params=variables["params"], collections=collections
      )
    zeros = EpochSums.zeros(self._scheme.num_classes)
    self.position = Position(0, None, zeros)

  @property
  def done(self) -> bool:
    """Whether all epochs have been run."""
    return self.position.epoch >= self._config.training.num_epochs

  def run(self) -> Position:
    """Runs the remaining epochs and returns the final position."""
    num_epochs = self._config.training.num_epochs
    writer = MetricWriter(
      self._folder,
      first_epoch=self.position.epoch,
      tensorboard=self._config.training.tensorboard,
    )
    try:
      with Progress(f"fold {self._fold}, epochs", num_epochs) as progress:
        while not self.done:
          scalars = self._epoch(progress)
          writer.write(self.position.epoch, scalars)
          self._finish_epoch(scalars)
          progress.update(self.position.epoch, _summary(scalars))
    finally:
      writer.close()
      self._checkpoints.close()
    return self.position

  def _epoch(self, progress: Progress) -> dict[str, float]:
    """Runs the rest of the epoch and validates; returns its scalars."""
    position, config = self.position, self._config
    batches, num_batches = train_batches(
      self._train,
      self._local_batch,
      seed=stream(config.seed, "shuffle", self._fold),
      epoch=position.epoch,
      num_workers=config.data.num_workers,
      shard=self._shard,
    )
    if position.iterator is not None:
      batches.set_state(position.iterator)
    pending: list[tuple[int, np.ndarray, Any]] = []
    first = int(self.state.step)
    start = position.epoch * num_batches
    every = config.training.checkpoint_every_steps
    for step, batch in enumerate(batches, start=first + 1):
      studies = batch.pop("studies")
      self.state, sums = self._step(
        self.state, sharding.put_batch(batch, self._mesh)
      )
      pending.append((step, studies, sums))
      save = every and step % every == 0 and step < start + num_batches
      if save or len(pending) >= DRAIN_EVERY:
        self._drain(pending)
        progress.update(position.epoch, f"step {step - start} of {num_batches}")
      if save:
        position.iterator = batches.get_state()
        self._save_latest()
    self._drain(pending)
    return {
      **position.sums.scalars("train", self._scheme),
      **self.validate().scalars("val", self._scheme),
    }

  def _drain(self, pending: list[tuple[int, np.ndarray, Any]]) -> None:
    """Fetches waiting sums; stops the run if one is not finite."""
    for step, studies, sums in jax.device_get(pending):
      if not (np.isfinite(sums.loss) and np.isfinite(sums.update_norm)):
        names = sorted({self._train.studies[i].patient for i in studies})
        last = self._checkpoints.latest_step()
        raise InputError(
          f"fold {self._fold}: the loss became {float(sums.loss)} (norm of "
          f"the update {float(sums.update_norm)}) at step {step}; the batch "
          f"was of patients {', '.join(names)}",
          "lower config.training.learning_rate or look at those patients' "
          "images; the last good checkpoint is "
          + (f"of step {last}" if last is not None else "none yet"),
          path=self._folder,
        )
      self.position.sums.add(sums)
    pending.clear()

  def validate(self) -> EpochSums:
    """Returns the sums over all validation patches."""
    sums = EpochSums.zeros(self._scheme.num_classes)
    batches = eval_batches(
      self._val,
      self._local_batch,
      num_workers=self._config.data.num_workers,
      shard=self._shard,
    )
    waiting = []
    for batch in batches:
      batch.pop("studies")
      on_device = sharding.put_batch(batch, self._mesh)
      waiting.append(self._eval(self.state.variables, on_device))
    for value in jax.device_get(waiting):
      sums.add(value)
    return sums

  def _finish_epoch(self, scalars: dict[str, float]) -> None:
    """Saves the best weights if they are, then moves to the next epoch."""
    position = self.position
    accuracy = scalars["val/accuracy"]
    if accuracy > position.best_accuracy:
      position.best_accuracy, position.best_epoch = accuracy, position.epoch
      info = {"epoch": position.epoch, "val/accuracy": accuracy}
      self._checkpoints.save_best(position.epoch, self.state.variables, info)
    position.epoch += 1
    position.iterator = None
    position.sums = EpochSums.zeros(self._scheme.num_classes)
    self._save_latest()

  def _save_latest(self) -> None:
    self._checkpoints.save_latest(
      int(self.state.step), self.state, self.position.to_json()
    )


def _summary(scalars: dict[str, float]) -> str:
  return (
    f"loss {scalars['train/loss']:.3f} / {scalars['val/loss']:.3f}, "
    f"val accuracy {scalars['val/accuracy']:.3f}, "
    f"val IoU {scalars['val/iou']:.3f}"
  )
