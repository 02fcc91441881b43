"""Paper 000 as a whole, on your own data: networks, ensembles, tables, figures.

Data   your studies in a MIDS or BIDS tree with masks in
       derivatives/manual_masks, or a manifest; see README.md
Paper  Saenz-Gamboa et al. 2023: thirteen networks by 3-fold cross-validation,
       E4 to E13 by averaging and stacking, Tables 6 to 8, Figures 7 to 9
Cost   300 epochs of 3 folds of 13 networks: the paper's V100 took 12 hours for
       one fold of one; tiny: a few minutes on 2 CPU cores
Score  paper 000, Table 6 (MIDAS): E12-NAD .753, U1 .741, FCN .714 (TH, mean IoU
       without background)

  python launch.py --config=configs/study.py --workdir=runs/study \\
      --config.data.root=/data/midas
  python launch.py --config=configs/study.py:tiny --workdir=runs/study_tiny

A study can be stopped and started again at any point, and grow: name more
networks or ensembles (`--config.study.ensembles=E4,MINE=U1+UMD`) and give the
same command. `--stage=train`, stack, tune, evaluate or report does one stage.
`configs/study.py:tiny` is the same on a tiny synthetic phantom.
"""

from lumbar_jax import config as config_lib
from lumbar_jax.errors import InputError


def get_config(variant="full"):
  if variant not in ("full", "tiny"):
    raise InputError(
      f"configs/study.py has no variant {variant!r}", "there are full and tiny"
    )
  config = config_lib.default()
  config.mode = "study"
  if variant == "full":
    return config
  config.data.update(
    source="phantom",
    phantom=dict(preset="tiny", num_patients=10, num_unlabelled=0, seed=0),
    registration="none",
    patch_size=64,
    patch_stride=60,
    num_workers=1,
  )
  config.augmentation.update(
    rotation_deg=5.0, zoom=(0.93, 1.07), shift=0.03, flip=0.0
  )
  config.model.update(width=4, batchnorm_momentum=0.9)
  config.training.update(
    num_epochs=2, batch_size=8, optimizer="adam", learning_rate=3e-3
  )
  config.ensemble.update(num_epochs=2, learning_rate=3e-3)
  config.study.update(
    networks=("U1", "UAD", "UMD", "UQD", "UDD"),
    ensembles=("U1+UMD", "E4", "ALL=U1+UAD+UMD+UQD+UDD"),
    ablation="E4-NAD",
    baselines=("U1",),
  )
  return config
