"""What a study found: all that its tables, figures and report are made of."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from lumbar_jax.evaluation.results import Results
from lumbar_jax.evaluation.statistics import bootstrap_options
from lumbar_jax.runs import Run


@dataclasses.dataclass(frozen=True)
class Found:
  """All that a study's tables and figures are made of.

  Attributes:
    run: the study's folder, config and classes.
    results: {model: its counts}, networks first.
    members: {model: names of its networks}.
    methods: {ensemble: (its list's name, method)}; no networks, no ablations.
    ablations: {member: the ensemble without it}, empty without Table 8.
    shown: models of the tables' columns and the figures.
    validation: {model: mean IoU on validation pixels, see
      `tuning.validation_iou`}.
    label_maps: {model: {study: [n H W] uint8}} of the shown models.
    studies: the prepared studies that were evaluated.
  """

  run: Run
  results: Mapping[str, Results]
  members: Mapping[str, Sequence[str]]
  methods: Mapping[str, tuple[str, str]]
  ablations: Mapping[str, str]
  shown: Sequence[str]
  validation: Mapping[str, float]
  label_maps: Mapping[str, Mapping[str, np.ndarray]]
  studies: Sequence[Any]

  @property
  def networks(self) -> list[str]:
    """The single networks; an ablation can have one member too."""
    joined = {*self.methods, *self.ablations.values()}
    return [model for model in self.results if model not in joined]

  @property
  def is_phantom(self) -> bool:
    """Whether the data are synthetic."""
    return self.run.config.data.source == "phantom"

  @property
  def labelling(self) -> str:
    """Of Tables 7 and 8 and the figures."""
    return self.run.config.study.labelling

  @property
  def reference(self) -> str:
    """Whom the others are tested against: the config's, or the best network."""
    wanted = self.run.config.study.reference
    if wanted in self.results:
      return wanted
    networks = self.networks
    best = max(networks, key=lambda name: self.validation[name])
    logging.info("no network %s: %s is the reference", wanted, best)
    return best

  @property
  def whole(self) -> list[str]:
    """The networks and the ensembles, without the ablations."""
    return [m for m in self.results if m not in self.ablations.values()]

  @property
  def patients(self) -> dict[str, str]:
    """{study: whose it is} of all that was evaluated."""
    rows = [row for results in self.results.values() for row in results.rows]
    return {row.study: row.patient for row in rows}

  @property
  def best(self) -> str:
    """The best of them by IoU on validation data, the first of equals."""
    return max(self.whole, key=lambda name: self.validation[name])

  @property
  def baselines(self) -> list[str]:
    """The config's baselines as far as they were run."""
    wanted = self.run.config.study.baselines
    return [name for name in wanted if name in self.results]

  @property
  def compared(self) -> list[str]:
    """The shown models, the reference among them."""
    return list(dict.fromkeys([*self.shown, self.reference]))

  @property
  def bootstrap(self) -> dict[str, int]:
    """How intervals are drawn."""
    return bootstrap_options(self.run.config)
