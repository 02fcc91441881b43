"""Training one fold: epochs, validation, checkpoints, resuming."""

import hashlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lumbar_jax import allocation, stopping
from lumbar_jax.anatomy import Scheme
from lumbar_jax.data import artefacts
from lumbar_jax.data.pipeline import PatchSource, eval_batches, train_batches
from lumbar_jax.errors import InputError
from lumbar_jax.progress import Progress
from lumbar_jax.training import learnt, sharding
from lumbar_jax.training.checkpoints import LATEST, Checkpoints
from lumbar_jax.training.engine import Engine
from lumbar_jax.training.position import EpochSums, Position
from lumbar_jax.training.state import TrainState
from lumbar_jax.training.writers import MetricWriter, read_metrics, summary

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
    place: (epoch, steps taken, validation batches done in this epoch).
    best_counts: [k k] of the best epoch's validation; None if it was not this
      process that had it.
  """

  def __init__(
    self,
    engine: Engine,
    config: Any,
    scheme: Scheme,
    sources: tuple[PatchSource, PatchSource],
    folder: Path,
    fold: int,
    initial: Any = None,
    *,
    purpose: str = "",
    title: str = "",
    follow: tuple[float, str] = (0, ""),
    quiet: bool = False,
  ):
    """Restores the latest checkpoint if there is one, else starts afresh.

    Args:
      engine: the run's compiled functions.
      config: the run's config.
      scheme: the label scheme.
      sources: training and validation patches.
      folder: the fold's folder.
      fold: its number.
      initial: function variables -> variables applied to fresh ones
        (`config.training.init_from`), or None.
      purpose: tells its random streams from those of another training of the
        same seed and fold.
      title: of the progress display; empty: the fold's.
      follow: epochs that other trainings take after this one, and what all of
        them are together, such as "all folds": for the time left.
      quiet: whether to show no progress.
    """
    self._purpose = (purpose,) if purpose else ()
    self._together = engine.mesh.is_multi_process
    self._shard = sharding.process_share(engine.mesh)
    self._title = title or f"fold {fold}, epochs"
    self._follow = follow
    self._quiet = quiet or self._shard[0] > 0
    self._engine, self._config, self._scheme = engine, config, scheme
    self._train, self._val = sources
    self._folder, self._fold = Path(folder), fold
    self._local_batch = config.training.batch_size // self._shard[1]
    self._learnt = learnt.facts(config, scheme, fold, network=not purpose)
    place = self._folder / "checkpoints"
    self._checkpoints = Checkpoints(place, together=self._together)
    found = self._checkpoints.restore_latest(engine.abstract)
    if found is not None:
      self.state: TrainState = found[0]
      info = learnt.check(found[1], self._learnt, place / LATEST)
      self.position = Position.from_json(info)
    else:
      _refuse_lost(self._folder)
      self.state = self._fresh(initial)
      self.position = Position(0, None, EpochSums.zeros(scheme.num_classes))
    self._checkpoints.drop_best_from(self.position.epoch)
    self.place = (self.position.epoch, int(self.state.step), 0)
    self.best_counts: np.ndarray | None = None
    self._counts: np.ndarray | None = None  # of the last validation

  def _fresh(self, initial: Any) -> TrainState:
    seed, fold = self._config.seed, self._fold
    key = jax.random.key(stream(seed, *self._purpose, "init", fold))
    steps = stream(seed, *self._purpose, "fold", fold)
    state = self._engine.create(key, steps)
    if initial is None:
      return state
    whole = sharding.replicated(self._engine.mesh)
    variables = jax.device_put(initial(state.variables), whole)
    params = variables.pop("params")
    return state.replace(params=params, collections=variables)

  @property
  def done(self) -> bool:
    """Whether all epochs have been run."""
    return self.position.epoch >= self._config.training.num_epochs

  def run(self) -> Position:
    """Runs the remaining epochs and returns the final position."""
    for _ in self.steps():
      pass
    return self.position

  def steps(self) -> Iterator[None]:
    """Runs the remaining epochs, pausing after each batch.

    Several trainers can so be run in turns; each does what it would do alone.

    Raises:
      Stopped: the process was told to end; the state is saved.
      InputError: a loss that is not finite, or a disk that is full.
    """
    num_epochs = self._config.training.num_epochs
    if not self.done:
      self._checkpoints.check_room(self.state)
    writer = MetricWriter(
      self._folder,
      first_epoch=self.position.epoch,
      tensorboard=self._config.training.tensorboard,
      silent=self._shard[0] > 0,
    )
    progress = Progress(
      *(self._title, num_epochs),
      start=self.position.epoch,
      after=self._follow[0],
      whole=self._follow[1],
      quiet=self._quiet,
    )
    try:
      with stopping.deferred(), progress:
        while not self.done:
          start = time.monotonic()
          scalars = yield from self._epoch(progress)
          scalars["time_s"] = round(time.monotonic() - start, 3)
          writer.write(self.position.epoch, scalars)
          self._finish_epoch(scalars)
          progress.update(self.position.epoch, summary(scalars))
          if stopping.wanted(together=False) and not self.done:
            self._stop()
    finally:
      writer.close()
      self._checkpoints.close()

  def _epoch(self, progress: Progress) -> Generator[None, None, dict]:
    """Runs the rest of the epoch and validates; returns its scalars."""
    position, config = self.position, self._config
    batches, num_batches = train_batches(
      self._train,
      self._local_batch,
      seed=stream(config.seed, *self._purpose, "shuffle", self._fold),
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
      if artefacts.wanted(config.augmentation):
        batch["spacing_mm"] = self._train.spacing_mm(studies)
      batch = sharding.put_batch(batch, self._engine.mesh)
      self.state, sums = self._engine.train_step(self.state, batch)
      if step == first + 1:
        allocation.return_memory()  # the compiler's, and the last validation's
      pending.append((step, studies, sums))
      stop = stopping.wanted(together=self._together)
      save = stop or (every and step % every == 0)
      save = save and step < start + num_batches  # else the epoch's end does
      if save or len(pending) >= DRAIN_EVERY:
        self._drain(pending)
        done = position.epoch + self._step_share * (step - start) / num_batches
        progress.update(done, f"step {step - start} of {num_batches}")
      if save:
        position.iterator = batches.get_state()
        self._save_latest()
      if save and stop:
        self._stop(f"step {step - start} of {num_batches} of ")
      self.place = (position.epoch, step, 0)
      yield
    self._drain(pending)
    validation = yield from self._validate()
    self._counts = validation.confusion
    return {
      **position.sums.scalars("train", self._scheme),
      **validation.scalars("val", self._scheme),
    }

  @property
  def _step_share(self) -> float:
    """An epoch's share that is training; a forward pass is 1/3 of a step."""
    return len(self._train) / (len(self._train) + len(self._val) / 3)

  def _stop(self, place: str = "") -> None:
    """Ends the run as it was told to, the state just saved."""
    epoch = self.position.epoch + bool(place)
    raise stopping.Stopped(
      f"fold {self._fold}: stopped by SIGTERM after {place}epoch {epoch}; the "
      "same command goes on from here"
    )

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
          "lower the learning rate (config.training.learning_rate; a meta-"
          "learner's is config.ensemble.learning_rate) or look at those "
          "patients' images; the last good checkpoint is "
          + (f"of step {last}" if last is not None else "none yet"),
          path=self._folder,
        )
      self.position.sums.add(sums)
    pending.clear()

  def _validate(self) -> Generator[None, None, EpochSums]:
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
      batch = sharding.put_batch(batch, self._engine.mesh)
      waiting.append(self._engine.eval_step(self.state.variables, batch))
      epoch, step, validated = self.place
      self.place = (epoch, step, validated + 1)
      yield
    for value in jax.device_get(waiting):
      sums.add(value)
    return sums

  def _finish_epoch(self, scalars: dict[str, float]) -> None:
    """Saves the best weights if they are, then moves to the next epoch."""
    position = self.position
    name = f"val/{self._config.training.best_by}"
    score = 0.0 if np.isnan(scalars[name]) else scalars[name]
    if score > position.best_score:
      position.best_score, position.best_epoch = score, position.epoch
      self.best_counts = self._counts
      info = {"epoch": position.epoch, name: score, learnt.FIELD: self._learnt}
      self._checkpoints.save_best(position.epoch, self.state.variables, info)
    position.epoch += 1
    self.place = (position.epoch, int(self.state.step), 0)
    position.iterator = None
    position.sums = EpochSums.zeros(self._scheme.num_classes)
    self._save_latest()

  def _save_latest(self) -> None:
    info = self.position.to_json() | {learnt.FIELD: self._learnt}
    self._checkpoints.save_latest(int(self.state.step), self.state, info)


def _refuse_lost(folder: Path) -> None:
  """Raises InputError if epochs were run here and their checkpoint is gone."""
  epochs = len(read_metrics(folder))
  if epochs > 1:  # the first one's line may be written, its state not yet
    raise InputError(
      f"{epochs} epochs were run here, but their checkpoint is gone",
      "restore the checkpoints from a copy, or delete the folder to train it "
      "from the start",
      path=folder,
    )
