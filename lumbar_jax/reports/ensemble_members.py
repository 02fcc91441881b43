"""An ensemble beside its members: who they are, and whether it beats them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar_jax import records
from lumbar_jax.ensembles.definitions import STACKING
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import paired
from lumbar_jax.evaluation.paired import Difference
from lumbar_jax.evaluation.results import Results, load_counts
from lumbar_jax.evaluation.statistics import bootstrap_options
from lumbar_jax.files import read_json
from lumbar_jax.runs import ENSEMBLE_FILE, Run, load_run

_DIGITS = 12  # of a digest


def view(
  run: Run, results: Results | None, labelling: str
) -> dict[str, Any] | None:
  """Returns what the page of an ensemble says of its members; None of a run.

  Args:
    run: an ensemble's folder, or a network's.
    results: the ensemble's counts, None before its evaluation.
    labelling: of the figures.

  Returns:
    {"method", "stacks", "epochs": of the meta-learner, "members": lines,
    "best": the line of the best comparable member or None}; a line has "name",
    "folder", "digest", "weight", "difference" (the ensemble's less the
    member's, or None) and "why" it is not comparable.
  """
  path = run.folder / ENSEMBLE_FILE
  if not path.is_file():
    return None
  content = read_json(path, ["members"])
  weights = content.get("weights") or [None] * len(content["members"])
  lines = []
  for entry, weight in zip(content["members"], weights, strict=True):
    folder = Path(os.path.normpath(run.folder / entry["path"]))
    found, why = _compare(folder, results, labelling, run)
    lines.append(
      {
        "name": entry["name"],
        "folder": entry["path"],
        "digest": ", ".join(w[:_DIGITS] for w in entry["weights"]),
        "weight": weight,
        "difference": found,
        "why": why,
      }
    )
  compared = [line for line in lines if line["difference"] is not None]
  return {
    "method": content["method"],
    "stacks": content["method"] in STACKING,
    "epochs": content.get("settings", {}).get("num_epochs"),
    "members": lines,
    "best": max(compared, key=_rank, default=None),
  }


def _rank(line: Mapping[str, Any]) -> float:
  return float(np.nan_to_num(line["difference"].second, nan=-1.0))


def _compare(
  folder: Path, results: Results | None, labelling: str, run: Run
) -> tuple[Difference | None, str]:
  """Returns the ensemble against a member, or why there is no comparison."""
  if results is None:
    return None, "the ensemble is not evaluated"
  try:
    own = load_counts(folder / "evaluation" / "counts.npz")
  except InputError as error:
    missing = error.problem == "no such file"
    return None, "it is not evaluated" if missing else error.problem
  if records.is_outdated(folder, load_run(folder).config):
    return None, "it was trained on since it was evaluated"
  if why := paired.not_comparable(results, own, labelling):
    return None, why
  options = bootstrap_options(run.config)
  return paired.difference(results, own, labelling, **options), ""


def verdict(name: str, member: str, found: Difference) -> str:
  """Returns a sentence that compares an ensemble with a member."""
  span = "too few patients for an interval"
  if not np.isnan(found.low):
    span = f"95 % interval {_signed(found.low)} to {_signed(found.high)}"
  change = f"difference {_signed(found.change)}, {span}"
  figures = (
    f"{found.first:.3f} against {found.second:.3f} on the same "
    f"{found.num_patients} patients ({change})"
  )
  if found.words == "not better":
    return f"{name} is not better than its best member {member}: {figures}"
  if found.words == "better":
    return f"{name} is better than its best member {member}: {figures}"
  return (
    f"{name} is better than its best member {member}, but this may be chance: "
    f"{figures}"
  )


def _signed(value: float) -> str:
  text = f"{value:+.3f}".replace("-", "−")
  return "0" if abs(value) < 0.0005 else text


def of_study(
  results: Mapping[str, Results],
  members: Mapping[str, Sequence[str]],
  ensembles: Sequence[str],
  labelling: str,
  **bootstrap: Any,
) -> list[dict[str, Any]]:
  """Returns each ensemble of a study against its best member.

  Args:
    results: {model: its counts}.
    members: {ensemble: names of its networks}.
    ensembles: which of them.
    labelling: of the figures.
    **bootstrap: see `statistics.bootstrap`.

  Returns:
    {"name", "member", "difference", "sentence"} of each that is comparable.
  """
  lines = []
  for name in ensembles:
    found = {
      member: paired.difference(
        results[name], results[member], labelling, **bootstrap
      )
      for member in members[name]
      if member in results
      and not paired.not_comparable(results[name], results[member], labelling)
    }
    if found:
      best = max(found, key=lambda m: np.nan_to_num(found[m].second, nan=-1.0))
      lines.append(
        {
          "name": name,
          "member": best,
          "difference": found[best],
          "sentence": verdict(name, best, found[best]),
        }
      )
  return lines
