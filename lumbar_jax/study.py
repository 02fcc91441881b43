"""A study: many networks, all their ensembles, and what became of them.

runs/NAME/            a run for each network
ensembles/E12-NAD/    an ensemble's folder, see `ensembles.folder`
splits.json           one division of the patients for all
tables/  figures/  report.html

Stages, each resumable and usable alone: train -> stack -> tune -> evaluate ->
report. Paper 000 from section 5.1 to 6, for any data.

Several processes (`distributed`) train a network as one and divide the folds
whose thresholds are tuned; the main one trains meta-learners, evaluates and
reports while the others wait.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from lumbar_jax import config as config_lib
from lumbar_jax import distributed, records, remarks, stages
from lumbar_jax.combine import finished, make_ensemble, train_all_heads
from lumbar_jax.ensembles import assess, tuning
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.ensembles.model import Model, single
from lumbar_jax.ensembles.weights import Weights
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.results import Results
from lumbar_jax.runs import Run, begin_run, open_run, record_config
from lumbar_jax.study_data import share_data
from lumbar_jax.study_plan import network_config, planned, shown_models

if TYPE_CHECKING:
  from lumbar_jax.reports.study import Found


@dataclasses.dataclass(frozen=True)
class Study:
  """An opened study.

  Attributes:
    run: its folder, config and classes.
    data: what all its networks work on.
    members: a run for each network, in the config's order.
    weights: remembers the digests of what was trained.
  """

  run: Run
  data: stages.Material
  members: tuple[Member, ...]
  weights: Weights = dataclasses.field(default_factory=Weights)

  def sources(self, fold: int) -> stages.Sources:
    """Returns a fold's training and validation patches."""
    return stages.patch_sources(self.run, self.data, fold)

  def singles(self) -> list[Model]:
    """Returns every network as a model."""
    return [single(member.run) for member in self.members]

  def models(self) -> list[Model]:
    """Returns the networks, the ensembles and the ablations."""
    return [*self.singles(), *self.ensembles()]

  def ensembles(self, *, renew: bool = False) -> list[Model]:
    """Returns the ensembles and ablations, their folders made.

    Args:
      renew: whether those of networks that were trained on are made anew.

    Raises:
      InputError: a member is not trained, or was trained anew.
    """
    made = []
    for ensemble in planned(self.run.config, [m.name for m in self.members]):
      chosen = [m for m in self.members if m.name in ensemble.members]
      chosen.sort(key=lambda member: ensemble.members.index(member.name))
      folder = self.run.folder / "ensembles" / ensemble.title
      config, weights = self.run.config, self.weights
      made.append(
        make_ensemble(folder, ensemble, chosen, config, weights, renew=renew)
      )
    return made

  def parts(self) -> list[assess.Part]:
    """Returns who is evaluated on what: see `held_out.evaluate`."""
    return parts_of(self.run, self.data)


def parts_of(run: Run, data: stages.Material) -> list[assess.Part]:
  """Returns which folds are evaluated on which studies."""
  splits = data.splits
  if splits.test:
    return [assess.Part(tuple(run.folds), tuple(data.of(splits.test)), True)]
  logging.warning(
    "no test patients: the figures are of the validation patients, on which "
    "thresholds and epochs were chosen, and so are optimistic"
  )
  return [
    assess.Part((fold,), tuple(data.of(splits.validation(fold))), False)
    for fold in run.folds
  ]


def open_study(folder: str | Path, config: Any) -> Study:
  """Opens a study's folder, its data prepared and its runs begun.

  Raises:
    InputError: bad data or config, an unknown network, or a folder that was
      begun with something else.
  """
  if not config.study.networks:
    raise InputError("config.study.networks is empty", "name some networks")
  folder = Path(folder)
  wanted = {
    name: network_config(config, name) for name in config.study.networks
  }
  for own in wanted.values():
    config_lib.validate(own)
  planned(config, list(wanted))
  root = open_run(folder, config, write=False)
  data = stages.material(root)
  with distributed.main_first("runs"):
    members = _begin_runs(root, wanted)
  return Study(root, data, members)


def _begin_runs(root: Run, wanted: dict[str, Any]) -> tuple[Member, ...]:
  """Opens a run for each network, which shares the study's data."""
  record_config(root)
  members = []
  for name, own in wanted.items():
    run = open_run(root.folder / "runs" / name, own, write=False)
    share_data(root, run)
    begin_run(run)
    members.append(Member(name, run))
  return tuple(members)


def train_networks(
  study: Study, network: str | None = None, fold: int | None = None
) -> None:
  """Trains every fold of every network from where it was left.

  Args:
    study: the study.
    network: one of them alone.
    fold: one fold alone.

  Raises:
    InputError: no such network or fold.
  """
  members = [m for m in study.members if network in (None, m.name)]
  if not members:
    names = ", ".join(member.name for member in study.members)
    raise InputError(
      f"--network={network}: the study has {names}", "give one of them"
    )
  folds = study.run.folds if fold is None else [study.run.check_fold(fold)]
  num_epochs = study.run.config.training.num_epochs
  for number, member in enumerate(members, start=1):
    run = member.run
    left = [f for f in folds if not finished(run, f, num_epochs)]
    logging.info(
      "network %d of %d, %s: %d folds to train",
      *(number, len(members), member.name, len(left)),
    )
    if left:
      stages.train_folds(run, study.data, left, stages.engine(run))
  study.weights.forget()


def train_stackers(study: Study) -> None:
  """Trains every meta-learner, those of a fold at once."""
  with distributed.main_first("ensembles"):
    models = study.ensembles(renew=distributed.is_main())
    models = [m for m in models if m.ensemble.is_stacking]
  train_all_heads(models, study.run.config, study.sources, study.weights)


def tune(study: Study) -> None:
  """Tunes the thresholds of every model."""
  splits, data = study.data.splits, study.data
  with distributed.main_first("models"):
    models = study.models()
  tuning.tune_models(
    models,
    study.run.folds,
    lambda fold: data.of(splits.validation(fold)),
    study.weights,
    study.run.config,
  )


def evaluate(study: Study) -> None:
  """Evaluates every model; those of the figures keep their label maps."""
  distributed.on_main(_evaluate, study)


def _evaluate(study: Study) -> dict[str, Results]:
  run = study.run
  with records.evaluating(run.folder, records.reader(run, study=True)):
    return _evaluate_models(study, study.models())


def _evaluate_models(study: Study, models: list[Model]) -> dict[str, Results]:
  found = assess.evaluate_models(
    models,
    study.parts(),
    study.weights,
    study.run.config,
    keep=[model.title for model in shown_models(study.run, models)],
    labelling=study.run.config.study.labelling,
  )
  remarks.after_study(found, [member.name for member in study.members])
  return found


def gather(study: Study) -> "Found":
  """Returns what a study's tables and figures are made of.

  Raises:
    InputError: a model is not evaluated yet.
  """
  from lumbar_jax.reports.study import Found  # draws: needs matplotlib

  models = study.models()
  shown = shown_models(study.run, models)
  studies = [s for part in study.parts() for s in part.studies]
  whole = [m for m in models if m.ensemble and not m.ensemble.left_out]
  return Found(
    run=study.run,
    results={m.title: assess.load_results(m) for m in models},
    members={m.title: [member.name for member in m.members] for m in models},
    methods={m.title: (m.ensemble.name, m.ensemble.method) for m in whole},
    ablations={
      m.ensemble.left_out: m.title
      for m in models
      if m.ensemble and m.ensemble.left_out
    },
    shown=[model.title for model in shown],
    validation={
      m.title: tuning.validation_iou(m, study.run.folds) for m in models
    },
    label_maps={
      m.title: assess.load_label_maps(
        m, studies, study.run.config.study.labelling
      )
      for m in shown
    },
    studies=studies,
  )


def report(study: Study) -> None:
  """Writes tables, figures and report.html of what has been evaluated."""
  distributed.on_main(_report, study)


def _report(study: Study) -> None:
  from lumbar_jax.reports.study_page import write_study_report

  logging.info("report: %s", write_study_report(gather(study)))
  records.reported(study.run.folder)


RUN: dict[str, Callable[[Study], Any]] = {
  "train": train_networks,
  "stack": train_stackers,
  "tune": tune,
  "evaluate": evaluate,
  "report": report,
}
STAGES = tuple(RUN)
