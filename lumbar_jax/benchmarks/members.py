"""Stacked members of one topology, however they are batched, beside singles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax

from lumbar_jax.benchmarks import records, subjects
from lumbar_jax.benchmarks.cases import Case
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.benchmarks.timing import summary
from lumbar_jax.ensembles import members
from lumbar_jax.timing import interleave


def cases(config: Any) -> Iterator[Case]:
  """Yields a case for each network, of the first batch size."""
  chosen = config.benchmark
  batch = chosen.forward_batches[0]
  for name in chosen.train_networks:
    yield Case(
      f"members/{name}/x{chosen.num_members}/batch{batch}",
      measure,
      dict(name=name, batch=batch),
    )


def time_members(
  net: nn.Module, trees: list[Any], images: Any, repeats: int
) -> dict[str, list[float]]:
  """Returns {batching, or "single": seconds [repeats]}, turn by turn.

  Args:
    net: the members' network.
    trees: their variables.
    images: a batch [b h w c].
    repeats: turns that count.
  """
  stacked = members.place(members.stack(trees), None)
  single = members.place(trees[0], None)
  images = members.place(images, None)

  def apply(batching):
    if batching == "single":
      found = members.forward_jit(net, False, single, images)
    else:
      found = members.apply_stacked(net, stacked, images, batching=batching)
    return jax.block_until_ready(found)

  ways = ("single", *members.BATCHINGS)
  return interleave({way: lambda way=way: apply(way) for way in ways}, repeats)


def measure(
  config: Any, scratch: Path, case: str, name: str, batch: int
) -> list[Record]:
  """Compares r stacked members with r times one member."""
  run = subjects.make_run(config, scratch, name)
  count = config.benchmark.num_members
  trees = [subjects.random_variables(run, seed) for seed in range(count)]
  images = subjects.random_batch(config, run.scheme.num_classes, batch)
  times = time_members(
    subjects.network(run), trees, images["images"], config.benchmark.repeats
  )
  singles = [count * seconds for seconds in times.pop("single")]
  return [
    records.make(
      f"{case}/{way}", summary(found, {f"{count} single members": singles})
    )
    for way, found in times.items()
  ]
