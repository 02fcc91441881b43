"""Train steps (forward, loss, backward, optimizer) beside PyTorch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lumbar_jax.benchmarks import records, subjects
from lumbar_jax.benchmarks.cases import Case, of_networks
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.benchmarks.timing import Work, compare
from lumbar_jax.runs import Run
from lumbar_jax.training import sharding
from lumbar_jax.training.engine import Engine, make_engine
from lumbar_jax.training.networks import build_optimizer, optimizer_settings
from lumbar_jax.training.state import TrainState

COMPARED = 2  # steps whose losses are compared; the second sees the update
PASSES = 3  # backward costs twice as much as forward


def cases(config: Any) -> Iterator[Case]:
  """Returns a case for each network, type and batch size."""
  chosen = config.benchmark
  return of_networks(
    *("train_step", measure, chosen.train_networks),
    *(chosen.dtypes, chosen.train_batches),
  )


def engine(run: Run, batch: int) -> Engine:
  """Returns a run's train step as PyTorch's does it: no augmentation.

  Cross-entropy alone is the loss; one device does it.
  """
  settings = run.config.copy_and_resolve_references()
  settings.training.update(batch_size=batch, cross_entropy=1.0, dice=0.0)
  settings.training.class_weights = ()
  with settings.ignore_type():
    settings.augmentation = None
  return make_engine(
    subjects.network(run, train=True),
    build_optimizer(run),
    settings,
    sharding.make_mesh(batch, jax.devices()[:1]),
  )


def fresh_state(run: Run, mesh: Mesh, variables: Any) -> TrainState:
  """Returns a state with given variables on a mesh."""
  rest = dict(variables)
  params = rest.pop("params")
  optimizer = build_optimizer(run).init(jax.tree.map(jnp.asarray, params))
  state = TrainState(np.int32(0), np.int32(0), params, rest, optimizer)
  return jax.device_put(state, sharding.replicated(mesh))


def our_way(run: Run, variables: Any, batch: dict[str, np.ndarray]) -> Work:
  """Returns our way to take train steps; a step's result is its loss."""
  compiled = engine(run, len(batch["images"]))
  placed = sharding.put_batch(batch, compiled.mesh)
  state = fresh_state(run, compiled.mesh, variables)

  def step():
    nonlocal state
    state, sums = compiled.train_step(state, placed)
    return sums.loss, state.step

  return Work(step, jax.block_until_ready)


def measure(
  config: Any, scratch: Path, case: str, name: str, dtype: str, batch: int
) -> list[Record]:
  """Compares one network's train step; the first losses are compared first."""
  run = subjects.make_run(config, scratch, name, dtype)
  variables = subjects.random_variables(run)
  data = subjects.random_batch(config, run.scheme.num_classes, batch)
  ours = our_way(run, variables, data)
  losses = [np.asarray(ours()[0]) for _ in range(COMPARED)]
  net, peers, error = subjects.network(run, train=True), {}, None
  if subjects.has_peer(net):
    from lumbar_jax.benchmarks import torch_work

    peers, error = torch_work.usable(
      torch_work.train_ways(
        *(net, variables, data, optimizer_settings(run), dtype),
        config.benchmark.peer_ways,
      ),
      losses,
      lambda loss: loss.float().cpu().numpy(),
      subjects.tolerance(dtype) * max(1.0, *map(float, losses)),
    )
  found = compare(ours, peers, config.benchmark.repeats)
  work = PASSES * subjects.operations(run, batch)
  rate = work / found["ours_s"]
  return [records.make(case, found, error=error, operations_per_s=rate)]
