"""Forward passes, from images to softmax scores, beside PyTorch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lumbar_jax.benchmarks import records, subjects
from lumbar_jax.benchmarks.cases import Case, of_networks
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.benchmarks.timing import Work, compare
from lumbar_jax.evaluation.scorers import make_scorer
from lumbar_jax.runs import Run


def cases(config: Any) -> Iterator[Case]:
  """Returns a case for each network, type and batch size."""
  chosen = config.benchmark
  return of_networks(
    *("forward", measure, subjects.names(config)),
    *(chosen.dtypes, chosen.forward_batches),
  )


def our_way(run: Run, variables: Any, images: np.ndarray) -> Work:
  """Returns our way to compute scores [b h w k] of images [b h w c]."""
  scorer = make_scorer(subjects.network(run), variables)
  placed = jax.device_put(images, jax.devices()[0])
  return Work(lambda: scorer(placed), jax.block_until_ready)


def measure(
  config: Any, scratch: Path, case: str, name: str, dtype: str, batch: int
) -> list[Record]:
  """Compares one network's forward pass; its scores are compared first."""
  run = subjects.make_run(config, scratch, name, dtype)
  variables = subjects.random_variables(run)
  images = subjects.random_batch(config, run.scheme.num_classes, batch)[
    "images"
  ]
  ours = our_way(run, variables, images)
  expected, peers, error = np.asarray(ours(), np.float32), {}, None
  net = subjects.network(run)
  if subjects.has_peer(net):
    from lumbar_jax.benchmarks import torch_work

    ways = config.benchmark.peer_ways
    peers, error = torch_work.usable(
      torch_work.forward_ways(net, variables, images, dtype, ways),
      [expected],
      torch_work.scores,
      subjects.tolerance(dtype),
    )
  found = compare(ours, peers, config.benchmark.repeats)
  rate = subjects.operations(run, batch) / found["ours_s"]
  return [records.make(case, found, error=error, operations_per_s=rate)]
