"""Paper 000 as a whole, on your own data: networks, ensembles, tables, figures.

Data   your studies in a MIDS or BIDS tree with masks in
       derivatives/manual_masks, or a manifest; see docs/data.md
Paper  Saenz-Gamboa et al. 2023: thirteen networks by 3-fold cross-validation,
       E4 to E13 by averaging and stacking, Tables 6 to 8, Figures 7 to 9
Cost   300 epochs of 3 folds of 13 networks: the paper's V100 took 12 hours for
       one fold of one; on 2 CPU cores, tiny: ten minutes, phantom: three hours
Score  paper 000, Table 6 (MIDAS): E12-NAD .753, U1 .741, FCN .714 (TH, mean IoU
       without background)

  python launch.py --config=configs/study.py --workdir=runs/study \\
      --config.data.root=/data/midas
  python launch.py --config=configs/study.py:tiny --workdir=runs/study_tiny
  python launch.py --config=configs/study.py:phantom --workdir=runs/phantom_13

A study can be stopped and started again at any point, and grow: name more
networks or ensembles (`--config.study.ensembles=E4,MINE=U1+UMD`) and give the
same command. `--stage=train`, stack, tune, evaluate or report does one stage.
Two variants are of synthetic phantom data: `tiny` has everything, but of five
narrow networks on tiny images; `phantom` has all networks, 8 channels wide, on
the demo's phantom at 3 mm.
"""

from lumbar_jax import config as config_lib
from lumbar_jax.variants import pick_variant


def get_config(variant="full"):
  variants = {"full": _full, "tiny": _tiny, "phantom": _phantom}
  change = pick_variant(variants, variant, __file__)
  config = config_lib.default()
  config.mode = "study"
  change(config)
  return config


def _full(config):
  del config  # the defaults are the paper's settings


def _on_phantom(config):
  """What both phantom variants share: mild augmentation, few epochs, Adam."""
  config.data.update(source="phantom", registration="none", num_workers=1)
  config.augmentation.update(
    rotation_deg=5.0, zoom=(0.93, 1.07), shift=0.03, flip=0.0
  )
  config.model.batchnorm_momentum = 0.9
  config.training.update(optimizer="adam", learning_rate=3e-3)
  config.ensemble.learning_rate = 3e-3


def _tiny(config):
  _on_phantom(config)
  config.data.update(patch_size=64, patch_stride=60)
  config.data.phantom.update(preset="tiny", num_patients=10)
  config.model.width = 4
  config.training.update(num_epochs=2, batch_size=8)
  config.ensemble.num_epochs = 2
  config.study.update(
    networks=("U1", "UAD", "UMD", "UQD", "UDD"),
    ensembles=("U1+UMD", "E4", "ALL=U1+UAD+UMD+UQD+UDD"),
    ablation="E4-NAD",
    baselines=("U1",),
  )


def _phantom(config):
  _on_phantom(config)
  config.data.update(spacing_mm=3.0, patch_size=96, patch_stride=96)
  config.data.phantom.update(preset="demo", num_patients=15)
  config.model.width = 8
  config.training.update(num_epochs=10, batch_size=4, dice=1.0)
  config.ensemble.num_epochs = 10
