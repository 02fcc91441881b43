"""What failed of a call, said on the console and in `OUTPUT/failed.tsv`."""

from collections.abc import Sequence
from pathlib import Path

from absl import logging

from lumbar_jax import crashes
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, explain, printable
from lumbar_jax.escaping import cell
from lumbar_jax.files import write_text
from lumbar_jax.inference.jobs import (
  BUSY,
  DONE,
  FAILED,
  SKIPPED,
  Job,
  Prediction,
)

FAILED_TSV = "failed.tsv"


def count(results: Sequence[Prediction]) -> str:
  """Returns "2 done, 1 skipped, 0 failed"; busy ones where there are any."""
  states = [result.status for result in results]
  shown = [DONE, SKIPPED, FAILED] + [BUSY] * (BUSY in states)
  return ", ".join(f"{states.count(s)} {s}" for s in shown)


def check_failures(results: Sequence[Prediction], output: str | Path) -> None:
  """Raises InputError if a study failed, after the others are done."""
  failed = [result for result in results if result.status == FAILED]
  if failed:
    raise InputError(
      f"{len(failed)} of {len(results)} studies failed, the first being "
      f"{failed[0].name} ({failed[0].error.rstrip('.')})",
      "mend them and give the same command again: what is done is kept",
      path=Path(output) / FAILED_TSV,
    )


def failed(job: Job, study: Study, error: Exception) -> Prediction:
  """Returns a failed study's result, and logs it in a line.

  The traceback of what nobody foresaw goes into a log in the output folder.
  """
  name, known = printable(study.name), explain(error)
  if known is not None:
    text = known[0]
  else:
    text = crashes.summary(error)
    path = crashes.write_log(error, f"study {name}", [job.output])
    text += f" (not foreseen: the traceback is in {path})" if path else ""
  logging.error("study %s failed: %s", name, text)
  return Prediction(name, FAILED, error=text)


def record(output: Path, results: Sequence[Prediction]) -> None:
  """Writes `failed.tsv`; where that cannot be, the log has to do."""
  try:
    _write_failed(output / FAILED_TSV, results)
  except OSError as error:
    logging.error("%s", explain(error)[0])


def _write_failed(path: Path, results: Sequence[Prediction]) -> None:
  """Writes `failed.tsv`, or takes it away where nothing failed."""
  failed = [result for result in results if result.status == FAILED]
  if not failed:
    path.unlink(missing_ok=True)
    return
  rows = [f"{cell(r.name)}\t{cell(r.error)}\n" for r in failed]
  write_text(path, "study\tproblem\n" + "".join(rows))
