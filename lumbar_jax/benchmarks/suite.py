"""All cases of a benchmark: chosen by name, each in a process of its own."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import models
from lumbar_jax.benchmarks import (
  forward,
  members,
  memory,
  records,
  startup,
  study,
  table,
  throughput,
  train_step,
)
from lumbar_jax.benchmarks.cases import Case
from lumbar_jax.benchmarks.child import call_apart
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.ensembles.definitions import TABLE_4
from lumbar_jax.errors import InputError

KINDS = (startup, forward, train_step, members, throughput, study, memory)
FILE = "benchmark.json"


def cases(config: Any) -> Iterator[Case]:
  """Yields the cases of a config that `config.benchmark.only` selects.

  Raises:
    InputError: an unknown network or ensemble, not a regular expression, or one
      that selects nothing.
  """
  pattern = config.benchmark.only
  try:
    only = re.compile(pattern)
  except re.error as error:
    raise InputError(
      f"config.benchmark.only is {pattern!r}: {error}",
      "give a regular expression, such as forward/U1",
    ) from None
  _check_names(config.benchmark)
  every = [case for kind in KINDS for case in kind.cases(config)]
  chosen = [case for case in every if only.search(case.name)]
  if not chosen:
    names = ", ".join(case.name for case in every)
    raise InputError(
      f"config.benchmark.only={pattern!r} selects no case", f"there are {names}"
    )
  yield from chosen


def _check_names(chosen: Any) -> None:
  """Raises InputError if a network or an ensemble does not exist."""
  networks = [study.folds_of(name)[0] for name in chosen.studies]
  networks = [name for name in networks if name not in TABLE_4]
  for name in (*chosen.networks, *chosen.train_networks, *networks):
    models.topology(name)


def run_case(config: Any, case: Case) -> list[Record]:
  """Measures a case in this process."""
  with tempfile.TemporaryDirectory(prefix="lumbar_jax_benchmark_") as scratch:
    return case.measure(config, Path(scratch), case.name, **case.arguments)


def run(config: Any, folder: Path) -> list[Record]:
  """Measures a config's cases and writes what they found as it comes.

  Args:
    config: `config.benchmark` says what; the other sections are the network's,
      the patches' and so on.
    folder: of benchmark.json (to whose records these are added), benchmark.md
      and benchmark.png.

  Returns:
    All records of the file.

  Raises:
    InputError: cases failed; the others are done.
  """
  path, failed = Path(folder) / FILE, []
  chosen = list(cases(config))
  found = records.read(path)
  for number, case in enumerate(chosen, start=1):
    logging.info("case %d of %d: %s", number, len(chosen), case.name)
    try:
      new = call_apart(run_case, config=config, case=case)
    except RuntimeError as error:
      logging.error("%s failed: %s", case.name, error)
      failed.append(case.name)
      continue
    found = records.add(path, new)
    logging.info("\n%s", table.format_table(new))
  logging.info("\n%s", table.write(folder, found))
  if failed:
    raise InputError(
      f"{len(failed)} of {len(chosen)} cases failed: {', '.join(failed)}",
      "what they said stands above; --config.benchmark.only=REGEX runs some",
      path=path,
    )
  return found
