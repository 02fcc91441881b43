"""Peak memory of each piece of work, and what it grows with.

Each figure is of a process of its own: on a GPU the most that JAX (or PyTorch)
held there; on a CPU the largest resident set, XLA's compiler included, less
what Python and the libraries took before the work.
"""

import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lumbar_jax import allocation
from lumbar_jax.benchmarks import (
  fabricate,
  forward,
  records,
  subjects,
  train_step,
)
from lumbar_jax.benchmarks.cases import Case
from lumbar_jax.benchmarks.child import call_apart
from lumbar_jax.benchmarks.records import Record
from lumbar_jax.benchmarks.timing import Work
from lumbar_jax.runs import Run

_STATUS = Path("/proc/self/status")
FORWARD, TRAIN, MEMBERS = "forward", "train_step", "members"


def _status_mib(field: str) -> float | None:
  """Returns a size of this process as Linux counts it."""
  if not _STATUS.is_file():
    return None
  found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.M)
  return int(found.group(1)) / 2**10 if found else None


def resident_mib() -> float | None:
  """Returns the memory that this process holds now; None where unknown."""
  return _status_mib("VmRSS")


def peak_mib() -> float:
  """Returns the most memory that this process has held on its device."""
  stats = jax.local_devices()[0].memory_stats()
  if stats and jax.default_backend() != "cpu":
    return stats["peak_bytes_in_use"] / 2**20
  # Not ru_maxrss, which begins with the size of the process that started us.
  peak = _status_mib("VmHWM")
  if peak is not None:
    return peak
  unit = 2**20 if sys.platform == "darwin" else 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _forget_peak() -> bool:
  """Lets a new peak begin; returns whether this system can."""
  try:
    Path("/proc/self/clear_refs").write_text("5")
  except OSError:
    return False
  return True


def cases(config: Any) -> Iterator[Case]:
  """Yields the cases of memory."""
  chosen = config.benchmark
  for name in chosen.train_networks:
    for kind, sizes in (
      (FORWARD, chosen.forward_batches),
      (TRAIN, chosen.train_batches),
      (MEMBERS, (1, chosen.num_members)),
    ):
      for size in sizes:
        what = f"x{size}" if kind == MEMBERS else f"batch{size}"
        yield Case(
          f"memory/{kind}/{name}/{what}",
          measure,
          dict(kind=kind, name=name, size=size),
        )
  for factor in (1, 2):
    slices = factor * chosen.num_slices
    yield Case(f"memory/study/slices{slices}", one_study, dict(slices=slices))
  yield Case("memory/studies", many_studies)


def _our_work(run: Run, kind: str, size: int) -> Work:
  batch = 1 if kind == MEMBERS else size
  data = subjects.random_batch(run.config, run.scheme.num_classes, batch)
  variables = subjects.random_variables(run)
  if kind == TRAIN:
    return train_step.our_way(run, variables, data)
  if kind == FORWARD:
    return forward.our_way(run, variables, data["images"])
  from lumbar_jax.ensembles import members

  trees = [subjects.random_variables(run, seed) for seed in range(size)]
  stacked, net = (
    members.place(members.stack(trees), None),
    subjects.network(run),
  )
  return Work(
    lambda: members.apply_stacked(net, stacked, data["images"]),
    jax.block_until_ready,
  )


def _their_work(run: Run, kind: str, size: int) -> Work:
  from lumbar_jax.benchmarks import torch_work

  data = subjects.random_batch(run.config, run.scheme.num_classes, size)
  variables, dtype = subjects.random_variables(run), run.config.training.dtype
  net = subjects.network(run, train=kind == TRAIN)
  if kind == TRAIN:
    optimizer = train_step.optimizer_settings(run)
    ways = torch_work.train_ways(
      net, variables, data, optimizer, dtype, ["eager"]
    )
  else:
    ways = torch_work.forward_ways(
      net, variables, data["images"], dtype, ["eager"]
    )
  return next(iter(ways.values()))


def probe(
  config: Any, folder: Path, kind: str, name: str, size: int, ours: bool
) -> dict[str, float | None]:
  """Does one piece of work, twice; called in a fresh process.

  Args:
    config: of the benchmark.
    folder: of the run; nothing is written.
    kind: forward, train_step or members.
    name: of the network.
    size: patches in the batch, or members.
    ours: whether we or PyTorch do it.

  Returns:
    peak and, on a CPU, peak_again (the second time, when all is compiled), MiB.
  """
  run = subjects.make_run(config, folder, name)
  if not ours:
    import torch
  on_cpu = jax.default_backend() == "cpu"
  before = (resident_mib() or 0.0) if on_cpu else 0.0
  work = (_our_work if ours else _their_work)(run, kind, size)
  work(2)
  if not ours and not on_cpu:
    peak = torch.cuda.max_memory_allocated() / 2**20
    return {"peak": peak, "peak_again": None}
  peak, again = peak_mib() - before, None
  allocation.return_memory()  # as training does when it has compiled
  if on_cpu and _forget_peak():
    work(2)
    again = peak_mib() - before
  return {"peak": peak, "peak_again": again}


def measure(
  config: Any, scratch: Path, case: str, kind: str, name: str, size: int
) -> list[Record]:
  """Compares the peaks of one piece of work."""
  asked = dict(config=config, folder=scratch, kind=kind, name=name, size=size)
  ours = call_apart(probe, cache="", ours=True, **asked)
  fields = dict(ours=ours["peak"], again=ours["peak_again"])
  net = subjects.network(subjects.make_run(config, scratch, name))
  if kind != MEMBERS and subjects.has_peer(net):
    theirs = call_apart(probe, cache="", ours=False, **asked)
    fields |= dict(
      peer="torch eager",
      peer_value=theirs["peak"],
      peer_again=theirs["peak_again"],
      ratio=fields["ours"] / theirs["peak"],
    )
  return [records.make(case, fields, unit="MiB")]


def growth(
  config: Any, folder: Path, slices: int, number: int
) -> dict[str, Any]:
  """Predicts studies with a narrow network; called in a fresh process.

  Returns:
    peak_mib, and resident_mib after each study.
  """
  from lumbar_jax.inference.predict import predict_studies

  run = fabricate.trained_run(config, folder / "run", "U1", "float32")
  study = fabricate.study(folder / "phantom", slices, config.benchmark.slice_px)
  held = []

  def look(_):
    allocation.return_memory()  # what is free is no growth
    held.append(resident_mib())

  results = predict_studies(
    run,
    fabricate.copies(study, folder / "studies", number),
    folder / "output",
    on_study=look,
  )
  failed = [result.error for result in results if result.error]
  if failed:
    raise RuntimeError(failed[0])
  return {"peak_mib": peak_mib(), "resident_mib": held}


def _narrow(config: Any) -> Any:
  """Returns settings under which what is not the network's memory shows."""
  own = config.copy_and_resolve_references()
  own.model.width, own.data.registration, own.data.num_folds = 4, "none", 2
  return own


def one_study(
  config: Any, scratch: Path, case: str, slices: int
) -> list[Record]:
  """Measures the peak of predicting one study of so many slices."""
  found = call_apart(
    growth, config=_narrow(config), folder=scratch, slices=slices, number=1
  )
  note = f"width 4, {config.benchmark.slice_px} px; phantom"
  fields = dict(ours=found["peak_mib"], unit="MiB", note=note)
  return [records.make(case, fields)]


def many_studies(config: Any, scratch: Path, case: str) -> list[Record]:
  """Measures what a process grows by with each study that it predicts."""
  number = config.benchmark.num_studies
  own = _narrow(config)
  own.benchmark.slice_px = min(own.benchmark.slice_px, own.data.patch_size)
  found = call_apart(
    growth, config=own, folder=scratch, slices=3, number=number
  )
  held = found["resident_mib"]
  if None in held:
    return []  # this system does not say
  settled = held[number // 2 :]  # the first ones fill caches
  slope = np.polyfit(range(len(settled)), settled, 1)[0]
  note = f"{held[0]:.0f} MiB after the first of {number}, {held[-1]:.0f} after"
  return [
    records.make(
      case,
      ours=float(slope),
      unit="MiB/study",
      resident_mib=held,
      note=f"{note} the last; phantom, width 4",
    )
  ]
