"""Every field of a run's configuration, with its default and meaning.

The files in `configs/` start from `default()` and change what their experiment
needs. A field that no code reads is a bug; a test looks for one.
"""

from typing import Any

import ml_collections

MODES = (
  *("crossval", "train", "evaluate", "predict", "report", "doctor"),
  *("ensemble", "study", "summary", "prepare", "benchmark"),
)
CHANNELS = ("T2w", "T1w")
SOURCES = ("mids", "manifest", "phantom", "mrspineseg")
PRESETS = ("tiny", "demo", "paper", "tall", "tall_tiny")
DTYPES = ("float32", "bfloat16")
PEER_WAYS = ("eager", "compile", "freeze", "max-autotune")

# A run's folder may be continued with another value of these; every other
# field shapes the results, and a change of it is refused.
FREE_FIELDS = (
  "mode",
  "data.root",
  "data.manifest",
  "data.columns",
  "data.cache",
  "data.assume_orientation",  # part of the digests of the studies
  "data.num_workers",
  "training.checkpoint_every_steps",
  "training.tensorboard",
  "training.allow_shared_patients",  # environment.json says it
  "model.remat",
  "evaluation.batch_size",
  "evaluation.num_bootstrap",
  "evaluation.surface_tolerance_mm",  # surface.csv says what it was
)

# Compared by content, see `runs`; and what may be raised.
BY_CONTENT = ("data.scheme", "model.backbone_weights", "training.init_from")
EPOCHS = "training.num_epochs"

# Fields that came to be free after digests of configs were kept.
_FREED = ("model.remat", "evaluation.batch_size", "evaluation.num_bootstrap")

# Ensembles keep a record of their own (ensemble.json); a study can grow; a
# benchmark measures.
FREE_SECTIONS = ("ensemble.", "study.", "benchmark.")


def _data() -> dict[str, Any]:
  return dict(
    source="mids",  # mids, manifest, phantom or mrspineseg
    root="",  # folder of the data set, or of the phantom to be made
    manifest="",  # TSV of source=manifest
    # What the manifest calls its columns, such as ("patient=ID", "T2w=sag").
    columns=(),
    masks="manual_masks",  # the one derivative that truth is read from
    scheme="midas12",  # a name in anatomy/, or the path of a dseg.tsv
    # {name in the masks' scheme: name in ours, or "ignore"}
    remap=ml_collections.ConfigDict(),
    channels=("T2w", "T1w"),  # the first one is the reference grid
    # Where the three axes of a NIfTI file run to, such as RAS or LPI, if its
    # header does not say it (sform_code and qform_code are 0); empty: refuse.
    assume_orientation="",
    registration="affine",  # affine, rigid or none: other channels -> first
    registration_bound_mm=15.0,  # refuse a registration that moves more
    # volume, nonzero (z-scores of all, or of the voxels that are not 0), or
    # percentile (.5 to 99.5 become 0 to 1)
    normalisation="volume",
    spacing_mm=0.0,  # in-plane spacing to train at; 0 keeps each study's own
    # Or rows and columns that every slice is resampled to, stretched if it is
    # not square; 0: none.
    image_size=0,
    patch_size=256,  # D of paper 000
    patch_stride=192,  # S of paper 000
    # Share of patients set aside for testing. 0: nobody; each is evaluated by
    # the fold that has not trained on that patient (out-of-fold tables), which
    # is better for few patients: below ten to test, figures say little.
    test_fraction=0.2,
    # With one fold, the best epoch is chosen on validation_fraction of the
    # patients who are not for testing; without test patients the figures are
    # of the same ones (paper 002: 8:2), and so optimistic.
    num_folds=3,
    validation_fraction=0.2,  # of num_folds=1
    stratify_by=("sex", "manufacturer"),  # columns of participants.tsv
    cache="",  # prepared studies; empty: WORKDIR/cache
    num_workers=2,  # threads that read patches ahead
    phantom=dict(
      preset="demo",  # tiny, demo, paper; tall, tall_tiny: up to T9
      num_patients=0,  # 0: the preset's
      num_unlabelled=0,  # the last patients' masks are withheld
      seed=0,
    ),
  )


def _augmentation() -> dict[str, Any]:
  """Paper 000, section 5.1; the artefacts are paper 002's, off by default."""
  return dict(
    rotation_deg=20.0,
    zoom=(0.5, 1.5),
    zoom_per_axis=True,  # as Keras draws it; False: one factor for both
    shift=0.1,  # of height and width
    flip=0.5,  # probability of a horizontal flip
    # Artefacts; in brackets TorchIO's defaults.
    noise=0.0,  # largest standard deviation (.25), of the scaled intensities
    blur_mm=0.0,  # largest standard deviation, drawn for each axis (2)
    motions=0,  # movements during the acquisition (2)
    motion_deg=10.0,  # largest rotation
    motion_mm=10.0,  # largest shift along each axis
    ghosts=(0, 0),  # fewest and most (4, 10)
    ghost_intensity=(0.5, 1.0),
    ghost_restore=0.02,  # share of k-space, in its middle, without ghosts
    artefact_probability=1.0,  # of each of the four kinds
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
    # File (.safetensors or .npz) of a ResNet's weights, as torchvision or timm
    # name them, to start the backbone of a network of paper 002 from.
    backbone_weights="",
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
    dice_smoothing=1e-6,  # added above and below each class's fraction
    dice_absent=False,  # whether classes that a batch lacks are in its mean
    structure=0.0,  # weight of Inf-Net's loss: rims count more, and IoU
    auxiliary=1.0,  # factor of the network's own losses of auxiliary outputs
    class_weights=(),  # of the cross-entropy; empty: all 1
    init_from="",  # folder of a run whose weights to start from
    # Whether a fold may validate or test on patients whom the weights that it
    # starts from were trained on; tables and reports then say so.
    allow_shared_patients=False,
    best_by="accuracy",  # or iou: what the best epoch has most of, validated
    checkpoint_every_steps=500,  # besides the end of each epoch
    tensorboard=True,
  )


def _evaluation() -> dict[str, Any]:
  return dict(
    batch_size=8,  # patches in one forward pass
    # Slices in one pass instead of overlapping patches: less than half of the
    # time for 512 x 512; other scores, see experiments/results/speed_cpu.md.
    whole_slice=False,
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
    num_studies=64,  # in one process, whose memory must not grow
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


def shaping(config) -> dict[str, Any]:
  """Returns the flat fields that shape a run's results."""
  return {
    name: value
    for name, value in flatten(config).items()
    if name not in FREE_FIELDS and not name.startswith(FREE_SECTIONS)
  }


def identity(config, begun) -> dict[str, Any]:
  """Returns the flat fields that tell a run's results from another's.

  As `shaping`, but with the values that older versions' digests cover too:
  those that the folder was begun with (`begun`), whatever is used by now.
  """
  old = flatten(begun)
  return shaping(config) | {name: old[name] for name in _FREED}


def validate(config: ml_collections.ConfigDict) -> None:
  """Checks values that the types cannot.

  Raises:
    InputError: names the field, its value and what is allowed.
  """
  from lumbar_jax import config_rules  # which reads what is above

  config_rules.check(config)
