"""How a study was run, for its page and for `study.json`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lumbar_jax import models as models_lib
from lumbar_jax.ensembles.train import stacking_settings
from lumbar_jax.evaluation.results import AVERAGED
from lumbar_jax.progress import duration
from lumbar_jax.reports.contents import Facts
from lumbar_jax.reports.study import Found
from lumbar_jax.training.writers import read_metrics


def is_held_out(found: Found) -> bool:
  """Whether the evaluated patients took no part in training or tuning.

  Only then the folds' averaged scores are evaluated, see `held_out.evaluate`.
  """
  return all(
    any(row.fold == AVERAGED for row in results.rows)
    for results in found.results.values()
  )


def evaluated(found: Found) -> dict[str, int]:
  """Returns how many studies and patients were evaluated."""
  rows = next(iter(found.results.values())).rows
  return {
    "studies": len({row.study for row in rows}),
    "patients": len({row.patient for row in rows}),
  }


def networks(found: Found) -> list[dict[str, Any]]:
  """Returns each network's settings, and how far its folds are trained."""
  config, table = found.run.config, []
  for name in found.networks:
    recipe = models_lib.topology(name)
    folder = found.run.folder / "runs" / name
    folds = [read_metrics(folder / f"fold_{f}") for f in found.run.folds]
    seconds = sum(line.get("time_s", 0.0) for fold in folds for line in fold)
    table.append(
      {
        "name": name,
        "width": config.model.width,
        "num_epochs": config.training.num_epochs,
        "epochs_done": [len(lines) for lines in folds],
        "optimizer": config.training.optimizer or recipe.optimizer,
        "learning_rate": config.training.learning_rate or recipe.learning_rate,
        "activation": config.model.activation or recipe.activation,
        "training_time": duration(seconds) if seconds else "",
        "validation_iou": found.validation[name],
      }
    )
  return table


def lists(found: Found) -> list[dict[str, Any]]:
  """Returns the ensembles' lists: name, members, methods."""
  table: dict[str, dict[str, Any]] = {}
  for title, (name, method) in found.methods.items():
    line = {"name": name, "members": list(found.members[title]), "methods": []}
    table.setdefault(name, line)["methods"].append(method)
  return list(table.values())


def record(found: Found, facts: Facts) -> dict[str, Any]:
  """Returns the content of study.json."""
  config, environment = found.run.config, facts.environment
  folds = facts.splits.folds if facts.splits else ()
  names = ("source", "root", "manifest", "channels", "num_folds")
  data = {name: _plain(config.data[name]) for name in names}
  if found.is_phantom:
    data["phantom"] = config.data.phantom.to_dict()
  return {
    "data": data | {"synthetic": found.is_phantom},
    "classes": list(found.run.scheme.names),
    "patients": {
      "test": list(facts.splits.test) if facts.splits else [],
      "training": list(facts.splits.training) if facts.splits else [],
      "folds": [list(patients) for patients in folds],
    },
    "evaluated": evaluated(found) | {"held_out": is_held_out(found)},
    "networks": [_jsonable(line) for line in networks(found)],
    "ensembles": {
      title: {"name": name, "method": method}
      | {"members": list(found.members[title])}
      for title, (name, method) in found.methods.items()
    },
    "ablations": dict(found.ablations),
    "meta_learner": _jsonable(stacking_settings(config)),
    "validation_iou": _jsonable(found.validation),
    "best": found.best,
    "reference": found.reference,
    "shown": list(found.compared),
    "labelling": found.labelling,
    "seed": config.seed,
    "python": environment.get("python", ""),
    "versions": environment.get("versions", {}),
    "devices": environment.get("devices", []),
  }


def _plain(value: Any) -> Any:
  return list(value) if isinstance(value, tuple) else value


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
  """Returns values as JSON has them: NaN is null."""
  return {
    n: None if isinstance(v, float) and np.isnan(v) else _plain(v)
    for n, v in values.items()
  }
