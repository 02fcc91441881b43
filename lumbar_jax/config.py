"""Every field of a run's configuration, with its default and meaning.

The files in `configs/` start from `default()` and change what their experiment
needs. A field that no code reads is a bug; a test looks for one.
"""

import dataclasses
from typing import Any

import ml_collections

from lumbar_jax.errors import InputError, did_you_mean

MODES = (
  *("crossval", "train", "evaluate", "predict", "report", "doctor"),
  *("ensemble", "study", "summary", "benchmark"),
)
CHANNELS = ("T2w", "T1w")
DTYPES = ("float32", "bfloat16")
PEER_WAYS = ("eager", "compile", "freeze", "max-autotune")

# A run's folder may be continued with another value of these; every other
# field shapes the results, and a change of it is refused.
FREE_FIELDS = (
  "mode",
  "data.root",
  "data.manifest",
  "data.cache",
  "data.num_workers",
  "training.checkpoint_every_steps",
  "training.tensorboard",
  "evaluation.surface_tolerance_mm",  # surface.csv says what it was
)

# Ensembles keep a record of their own (ensemble.json); a study can grow; a
# benchmark measures.
FREE_SECTIONS = ("ensemble.", "study.", "benchmark.")


def _data() -> dict[str, Any]:
  return dict(
    source="mids",  # mids, manifest or phantom
    root="",  # folder of the data set (mids), or of the phantom to be made
    manifest="",  # TSV of source=manifest
    masks="manual_masks",  # the one derivative that truth is read from
    scheme="midas12",  # a name in anatomy.py, or the path of a dseg.tsv
    # {name in the masks' scheme: name in ours, or "ignore"}
    remap=ml_collections.ConfigDict(),
    channels=("T2w", "T1w"),  # the first one is the reference grid
    registration="affine",  # affine, rigid or none: other channels -> first
    registration_bound_mm=15.0,  # refuse a registration that moves more
    normalisation="volume",  # volume or nonzero (voxels in the statistics)
    spacing_mm=0.0,  # in-plane spacing to train at; 0 keeps each study's own
    patch_size=256,  # D of paper 000
    patch_stride=192,  # S of paper 000
    test_fraction=0.2,
    num_folds=3,
    stratify_by=("sex", "manufacturer"),  # columns of participants.tsv
    cache="",  # prepared studies; empty: WORKDIR/cache
    num_workers=2,  # threads that read patches ahead
    phantom=dict(
      preset="demo",  # tiny, demo or paper
      num_patients=0,  # 0: the preset's
      num_unlabelled=0,  # the last patients' masks are withheld
      seed=0,
    ),
  )


def _augmentation() -> dict[str, Any]:
  """Paper 000, section 5.1."""
  return dict(
    rotation_deg=20.0,
    zoom=(0.5, 1.5),
    zoom_per_axis=True,  # as Keras draws it; False: one factor for both
    shift=0.1,  # of height and width
    flip=0.5,  # probability of a horizontal flip
  )


def _model() -> dict[str, Any]:
  return dict(
    name="U1",
    width=64,  # m, the channels of the first level
    activation="",  # relu or prelu; empty: the topology's own (Table 3)
    batchnorm_momentum=0.99,  # Keras' default
    # Dropout rates after (pool 1, the other pools, each concatenation); the
    # first author's code has (.25, .5, .5), the paper mentions none. Of FCN:
    # (fc6, fc7). All 0: the network's own, which is .5 in FCN.
    dropout=(0.0, 0.0, 0.0),
    remat=False,  # recompute blocks in the backward pass to save memory
  )


def _training() -> dict[str, Any]:
  return dict(
    num_epochs=300,
    batch_size=20,  # the first author's code; paper 000 does not say
    optimizer="",  # adam, rmsprop or adadelta; empty: the topology's own
    learning_rate=0.0,  # 0: the topology's own (Table 3)
    dtype="float32",  # or bfloat16: what convolutions compute in
    cross_entropy=1.0,  # weight of categorical cross-entropy
    dice=0.0,  # weight of the soft Dice loss
    class_weights=(),  # of the cross-entropy; empty: all 1
    init_from="",  # folder of a run whose weights to start from
    checkpoint_every_steps=500,  # besides the end of each epoch
    tensorboard=True,
  )


def _evaluation() -> dict[str, Any]:
  return dict(
    batch_size=8,  # patches in one forward pass
    num_bootstrap=2000,  # resamples of the patients behind an interval
    # Of the normalised surface Dice; 0: no surface is measured at all, which
    # saves a second or two of a CPU core a study.
    surface_tolerance_mm=2.0,
  )


def _ensemble() -> dict[str, Any]:
  """Paper 000, sections 4.2 and 5.4."""
  return dict(
    # The first four are of mode ensemble; a study has its own lists.
    members=(),  # folders of the finished runs to combine
    name="",  # in tables and folders; empty: the members' names
    method="arithmetic",  # or geometric, or NAD NCD NSD TAD TCD TSD
    weights=(),  # of the members in an averaging; empty: equal
    # The meta-learner (stacking); its batch size, loss, seed and augmentation
    # are the members'.
    hidden=64,  # units of the dense layer; the paper does not give it
    num_epochs=50,
    optimizer="adam",
    learning_rate=3.3e-4,
    cached=False,  # compute the members' outputs once, without augmentation
    batching="auto",  # of members of one topology: loop, map or vmap
  )


def _study() -> dict[str, Any]:
  """What mode study runs, and what its tables and figures show."""
  return dict(
    networks=(
      *("FCN", "U1", "UA", "UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD"),
      *("UQD", "UDD", "UMDD", "UDD2"),
    ),
    ensembles=("E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13"),
    methods=("arithmetic", "geometric", "NAD", "TCD"),
    ablation="E12-NAD",  # Table 8: leave out each member; empty: no Table 8
    # Models in Tables 6 and 7 and the figures; empty: the baselines, the best
    # other network and the best ensemble of each method on validation data.
    columns=(),
    baselines=("FCN", "U1"),
    reference="UMD",  # whom Figure 8 tests the others against
    labelling="TH",  # of Tables 7 and 8 and the figures
    num_pictures=3,  # slices in Figure 7
  )


def _benchmark() -> dict[str, Any]:
  """What mode benchmark measures; the other sections give the rest.

  Patches, network, width and training are those of `data`, `model`, `training`.
  """
  return dict(
    only="",  # regular expression of the cases' names; empty: all
    networks=("U1", "UMD", "UVDD", "UQD", "FCN"),  # forward; empty: all
    train_networks=("U1",),  # train step, throughput, members, memory, start
    studies=("U1", "E4"),  # that segment a study; E12x3: in each of 3 folds
    study_repeats=2,
    dtypes=("float32",),  # and bfloat16
    forward_batches=(1, 8),  # patches
    train_batches=(1,),
    num_members=3,
    num_slices=12,  # of a study
    slice_px=512,
    num_studies=32,  # in one process, whose memory must not grow
    num_steps=4,  # of training in a turn
    repeats=5,  # turns; figures are medians
    # Of PyTorch's the quickest is the peer. freeze: compiled with the weights
    # folded (of forward passes alone); max-autotune: takes long to compile.
    peer_ways=("eager", "compile", "freeze"),
  )


def default() -> ml_collections.ConfigDict:
  """Returns paper 000's settings for U1 on a MIDS tree."""
  return ml_collections.ConfigDict(
    dict(
      mode="crossval",
      seed=0,
      data=_data(),
      augmentation=_augmentation(),
      model=_model(),
      training=_training(),
      evaluation=_evaluation(),
      ensemble=_ensemble(),
      study=_study(),
      benchmark=_benchmark(),
    )
  )


def flatten(config, prefix: str = "") -> dict[str, Any]:
  """Returns {"data.root": value, ...} of a nested config."""
  flat = {}
  for name, value in config.items():
    if isinstance(value, dict | ml_collections.ConfigDict) and len(value):
      flat.update(flatten(value, f"{prefix}{name}."))
    else:
      plain = {} if hasattr(value, "items") else value
      flat[prefix + name] = list(plain) if isinstance(plain, tuple) else plain
  return flat


def split_lists(config: ml_collections.ConfigDict) -> None:
  """Splits "a,b" in a field of several values, in place.

  The flag --config.study.networks=U1,UMD gives the one value "U1,UMD".
  """
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      split_lists(value)
    elif isinstance(value, tuple) and len(value) == 1 and "," in str(value[0]):
      config[name] = tuple(part.strip() for part in value[0].split(","))


def shaping(config) -> dict[str, Any]:
  """Returns the flat fields that shape a run's results."""
  return {
    name: value
    for name, value in flatten(config).items()
    if name not in FREE_FIELDS and not name.startswith(FREE_SECTIONS)
  }


@dataclasses.dataclass(frozen=True)
class _Rule:
  field: str
  allowed: tuple | None = None
  low: float | None = None
  high: float | None = None

  def check(self, flat: dict[str, Any]) -> None:
    value = flat[self.field]
    if self.allowed is not None:
      if value not in self.allowed:
        raise InputError(
          f"config.{self.field} is {value!r}",
          did_you_mean(value, self.allowed)
          + f"allowed: {', '.join(map(repr, self.allowed))}",
        )
      return
    high = float("inf") if self.high is None else self.high
    if not self.low <= value <= high:
      raise InputError(
        f"config.{self.field} is {value!r}",
        f"it must lie between {self.low:g} and {high:g}",
      )


_RULES = (
  _Rule("mode", allowed=MODES),
  _Rule("data.source", allowed=("mids", "manifest", "phantom")),
  _Rule("data.phantom.num_patients", low=0),
  _Rule("data.phantom.num_unlabelled", low=0),
  _Rule("data.registration", allowed=("affine", "rigid", "none")),
  _Rule("data.registration_bound_mm", low=0),
  _Rule("data.normalisation", allowed=("volume", "nonzero")),
  _Rule("data.spacing_mm", low=0),
  _Rule("data.patch_size", low=16),
  _Rule("data.patch_stride", low=1),
  _Rule("data.test_fraction", low=0, high=0.9),
  _Rule("data.num_folds", low=2),
  _Rule("data.num_workers", low=0),
  _Rule("augmentation.rotation_deg", low=0, high=180),
  _Rule("augmentation.shift", low=0, high=1),
  _Rule("augmentation.flip", low=0, high=1),
  _Rule("model.width", low=1),
  _Rule("model.activation", allowed=("", "relu", "prelu")),
  _Rule("model.batchnorm_momentum", low=0, high=1),
  _Rule("training.num_epochs", low=1),
  _Rule("training.batch_size", low=1),
  _Rule("training.optimizer", allowed=("", "adam", "rmsprop", "adadelta")),
  _Rule("training.learning_rate", low=0),
  _Rule("training.dtype", allowed=DTYPES),
  _Rule("training.cross_entropy", low=0),
  _Rule("training.dice", low=0),
  _Rule("training.checkpoint_every_steps", low=0),
  _Rule("evaluation.batch_size", low=1),
  _Rule("evaluation.num_bootstrap", low=0),
  _Rule("evaluation.surface_tolerance_mm", low=0),
  _Rule("ensemble.hidden", low=1),
  _Rule("ensemble.num_epochs", low=1),
  _Rule("ensemble.optimizer", allowed=("adam", "rmsprop", "adadelta")),
  _Rule("ensemble.learning_rate", low=1e-12),
  _Rule("ensemble.batching", allowed=("auto", "loop", "map", "vmap")),
  _Rule("study.labelling", allowed=("TH", "MAP")),
  _Rule("study.num_pictures", low=0),
  _Rule("benchmark.num_members", low=2),
  _Rule("benchmark.num_slices", low=1),
  _Rule("benchmark.slice_px", low=16),
  _Rule("benchmark.num_studies", low=2),
  _Rule("benchmark.num_steps", low=1),
  _Rule("benchmark.repeats", low=1),
  _Rule("benchmark.study_repeats", low=1),
)


def _check_network(config: ml_collections.ConfigDict) -> None:
  """Checks what depends on the network: its name, patch size and dropout."""
  from lumbar_jax import models  # heavy; reading a config needs none of it

  name, size = config.model.name, config.data.patch_size
  network = models.module(name)
  multiple = network.size_multiple
  if size % multiple:
    raise InputError(
      f"config.data.patch_size is {size}",
      f"patches of {name} must be a multiple of {multiple} wide, "
      f"for example {max(multiple, round(size / multiple) * multiple)}",
    )
  rates, places = tuple(config.model.dropout), len(network.dropout)
  if (any(rates) and len(rates) != places) or not all(
    0 <= rate < 1 for rate in rates
  ):
    raise InputError(
      f"config.model.dropout is {rates!r}",
      f"{name} takes {places} rates from 0 to below 1",
    )


def _check_each(flat: dict[str, Any], field: str, allowed: tuple) -> None:
  """Checks each value of a field that has several."""
  for value in flat[field]:
    _Rule(field, allowed=allowed).check({field: value})


def validate(config: ml_collections.ConfigDict) -> None:
  """Checks values that the types cannot.

  Raises:
    InputError: names the field, its value and what is allowed.
  """
  flat = flatten(config)
  for rule in _RULES:
    rule.check(flat)
  _check_network(config)
  data = config.data
  _check_each(flat, "data.channels", CHANNELS)
  _check_each(flat, "benchmark.dtypes", DTYPES)
  _check_each(flat, "benchmark.peer_ways", PEER_WAYS)
  if not data.channels or len(set(data.channels)) < len(data.channels):
    raise InputError(
      f"config.data.channels is {tuple(data.channels)!r}",
      "give one or two different channels, the reference grid first",
    )
  low, high = config.augmentation.zoom
  if not 0 < low <= high:
    raise InputError(
      f"config.augmentation.zoom is {(low, high)!r}",
      "give (smallest, largest) with 0 < smallest <= largest",
    )
  if config.training.cross_entropy + config.training.dice <= 0:
    raise InputError(
      "config.training.cross_entropy and config.training.dice are both 0",
      "give one of them a positive weight",
    )
