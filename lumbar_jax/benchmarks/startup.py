"""How long it takes to begin: import, configuration, first results.

In a process without compiled programs, and in a second one that finds those of
the first (`compilation`).
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lumbar_jax.benchmarks import records
from lumbar_jax.benchmarks.cases import Case
from lumbar_jax.benchmarks.child import call_apart
from lumbar_jax.benchmarks.records import Record


def cases(config: Any) -> Iterator[Case]:
  """Yields a case for each network that is trained."""
  for name in config.benchmark.train_networks:
    yield Case(f"startup/{name}", measure, dict(name=name))


def begin(
  config: Any, folder: Path, name: str, started: float
) -> dict[str, float]:
  """Comes to a first score and a first train step; called in a fresh process.

  Args:
    config: of the benchmark.
    folder: of the run; nothing is written.
    name: of the network.
    started: time at which the process was started.

  Returns:
    {part: seconds}.
  """
  import jax

  from lumbar_jax import config as config_lib
  from lumbar_jax import modes, stages
  from lumbar_jax.benchmarks import forward, subjects, train_step

  del modes
  seconds = {"import": time.time() - started}

  def part(title, work):
    start = time.perf_counter()
    result = work()
    seconds[title] = time.perf_counter() - start
    return result

  part("config", lambda: config_lib.validate(config_lib.default()))
  part("device", jax.devices)
  run = subjects.make_run(config, folder, name)
  batch = config.benchmark.train_batches[0]
  run.config.training.batch_size = batch
  variables = subjects.random_variables(run)
  data = subjects.random_batch(config, run.scheme.num_classes, batch)
  part("first scores", forward.our_way(run, variables, data["images"]))
  part("first train step", train_step.our_way(run, variables, data))
  engine = stages.engine(run)
  create = lambda: engine.create(jax.random.key(0), 0)  # noqa: E731
  part("initial weights", lambda: jax.block_until_ready(create()))
  return seconds


def measure(config: Any, scratch: Path, case: str, name: str) -> list[Record]:
  """Times the start of a process, without and with compiled programs."""
  found = []
  with tempfile.TemporaryDirectory(dir=scratch) as cache:
    for kind in ("cold", "cached"):
      seconds = call_apart(
        begin,
        cache=cache,
        config=config,
        folder=scratch,
        name=name,
        started=0.0,
      )
      total = sum(seconds.values())
      made = records.make(f"{case}/{kind}", ours_s=total, stages=seconds)
      found.append(made)
  return found
