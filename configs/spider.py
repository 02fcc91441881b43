"""Vertebrae, discs and the canal on real sagittal T2 SPACE volumes (SPIDER).

Data   SPIDER's T2 SPACE series (van der Graaf et al., Sci Data 2024, 11:264,
       CC BY 4.0) as a MIDS tree: T2w, and masks in derivatives/manual_masks
Net    U1 of paper 000; Adam, since Adadelta needs many more epochs
Cost   narrow (default): 2 CPU cores, one to two hours; full: a GPU
Score  see experiments/results/spider.md

  python launch.py --config=configs/spider.py --workdir=runs/spider \\
      --config.data.root=/data/spider_t2space

`configs/spider.py:full` trains 64 channels on 256 x 256 patches at the
scanner's own resolution; the default trains 16 channels on whole slices at half
of it. Both are evaluated on the scanner's grid.
"""

from lumbar_jax import config as config_lib
from lumbar_jax.variants import pick_variant


def get_config(variant="narrow"):
  change = pick_variant({"narrow": _narrow, "full": _full}, variant, __file__)
  config = config_lib.default()
  config.data.update(scheme="spider", channels=("T2w",), registration="none")
  config.augmentation.update(rotation_deg=10.0, zoom=(0.85, 1.15), shift=0.05)
  config.model.update(name="U1", batchnorm_momentum=0.9)
  config.training.update(optimizer="adam", learning_rate=1e-3)
  change(config)
  return config


def _full(config):
  config.training.update(num_epochs=30, batch_size=16, dtype="bfloat16")


def _narrow(config):
  config.data.update(spacing_mm=0.9375, patch_size=320, patch_stride=320)
  config.model.update(width=16)
  config.training.update(num_epochs=6, batch_size=4)
  config.training.update(checkpoint_every_steps=40)
  config.evaluation.batch_size = 4
