"""What a study consists of: its networks, ensembles, and what it shows."""

import re
from collections.abc import Sequence
from typing import Any

from absl import logging

from lumbar_jax import models as models_lib
from lumbar_jax.choices import check_choice
from lumbar_jax.ensembles import definitions
from lumbar_jax.ensembles.definitions import Ensemble
from lumbar_jax.ensembles.model import Model
from lumbar_jax.ensembles.tuning import validation_iou
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.runs import Run

# Networks without a tensor as wide as the others' before the classification.
_ODD_FEATURES = ("FCN", *models_lib.names("002"))


def network_config(config: Any, name: str) -> Any:
  """Returns the config of a study's run of one network."""
  own = config.copy_and_resolve_references()
  own.mode, own.model.name, own.data.cache = "crossval", name, ""
  if len(models_lib.module(name).dropout) != len(own.model.dropout):
    own.model.dropout = (0.0,) * len(own.model.dropout)  # the network's own
  return own


def _split(text: str) -> tuple[str, ...]:
  """Returns the members of "U1+UMD"; a network's own name may end with +."""
  known = sorted(map(re.escape, models_lib.names()), key=len, reverse=True)
  found = re.findall(rf"(?:{'|'.join(known)}|[^+]+)(?=\+|$)", text)
  return tuple(found)


def members_of(entry: str) -> tuple[str, tuple[str, ...]]:
  """Returns (name, members) of "E4", "U1+UMD" or "MINE=U1+UMD".

  Raises:
    InputError: it is none of these.
  """
  if entry in definitions.TABLE_4:
    return entry, definitions.TABLE_4[entry]
  name, _, text = entry.rpartition("=")
  members = _split(text)
  if len(members) < 2:
    raise InputError(
      f"config.study.ensembles has {entry!r}",
      did_you_mean(entry, definitions.TABLE_4)
      + f"give {', '.join(definitions.TABLE_4)}, or members as U1+UMD+UDD, "
      "or NAME=U1+UMD+UDD",
    )
  return name or definitions.custom_name(members), members


def planned(config: Any, networks: Sequence[str]) -> list[Ensemble]:
  """Returns the ensembles and ablations that a study's networks allow.

  Averaging or adding features is left out where a member has none of the
  others' width (FCN, and paper 002's networks).

  Raises:
    InputError: an unknown method, a name, member or column that does not
      exist, or an ensemble that is named twice.
  """
  found = []
  for entry in config.study.ensembles:
    name, names = members_of(entry)
    missing = [member for member in names if member not in networks]
    for member in missing:
      models_lib.topology(member)  # a misspelt one is an error
    if missing:
      logging.info("no ensemble %s: %s not run", name, ", ".join(missing))
      continue
    for method in config.study.methods:
      ensemble = definitions.check(Ensemble(name, names, method))
      odd = [name for name in names if name in _ODD_FEATURES]
      if method in ("TAD", "TSD") and odd:
        logging.info("no ensemble %s: %s has no tensor", ensemble.title, odd[0])
      else:
        found.append(ensemble)
  titles = [ensemble.title for ensemble in found]
  for title in titles:
    if titles.count(title) > 1:
      raise InputError(
        f"config.study has the ensemble {title} twice",
        "give each list of members a name of its own (NAME=U1+UMD)",
      )
  ablation = config.study.ablation
  if ablation and ablation not in titles:
    logging.info("no Table 8: there is no ensemble %s", ablation)
  whole = [e for e in found if e.title == ablation]
  found += [e.without(m) for e in whole for m in e.members]
  for title in config.study.columns:
    known = (*networks, *(ensemble.title for ensemble in found))
    check_choice("a name of config.study.columns", title, known)
  return found


def shown_models(run: Run, models: Sequence[Model]) -> list[Model]:
  """Returns the models of the tables' columns and of the figures.

  By default: the baselines, the reference, the best other network, and the best
  ensemble of each method; the best by IoU on the validation patients, not the
  test ones. Without ensembles the study compares networks: all of them.
  """
  by_title = {model.title: model for model in models}
  config = run.config.study
  if config.columns:
    for title in config.columns:
      if title not in by_title:
        raise InputError(
          f"config.study.columns has {title!r}",
          did_you_mean(title, by_title) + f"there are {', '.join(by_title)}",
        )
    return [by_title[title] for title in config.columns]
  if not config.ensembles:
    return list(models)
  scores = {m.title: validation_iou(m, run.folds) for m in models}
  networks = [m for m in models if m.ensemble is None]
  fixed = (*config.baselines, config.reference)
  shown = [m for m in networks if m.title in fixed]
  groups = [[m for m in networks if m not in shown]]
  for method in config.methods:
    groups.append(
      [
        m
        for m in models
        if m.ensemble is not None
        and m.ensemble.method == method
        and not m.ensemble.left_out
      ]
    )
  return shown + [
    max(group, key=lambda m: scores[m.title]) for group in groups if group
  ]
