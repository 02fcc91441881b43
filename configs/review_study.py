"""Paper 002 as a whole: twelve networks, their tables, curves and pictures.

Data   as configs/review.py, or the phantom: twenty classes, sacrum to T9
Paper  Zhou et al. 2022: Tables 1 to 3 and Figures 18 and 19 by
       experiments/paper_002.py
Cost   full: twelve times configs/review.py; phantom: 30 epochs, 16 channels at
       176 x 176, an hour or so on a GPU; tiny: minutes a network on 2 CPU cores
Score  paper 002, Table 1: see configs/review.py

  python launch.py --config=configs/review_study.py --workdir=runs/review \\
      --config.data.root=/data/MRSpineSeg
  python launch.py --config=configs/review_study.py:tiny --workdir=runs/tiny_12
  python experiments/paper_002.py --workdir=runs/review --pictures

Stopped, it goes on when the same command is given again, and it can grow
(--config.study.networks=U-Net,PSPNet,U1). Two variants are of synthetic phantom
data, whose images are tall enough for T10 in most patients and T9 in some:
`phantom`, and `tiny` for trying things out. Figures are of the patients that
the best epochs were chosen on, as in the paper; --config.data.test_fraction=0.2
sets test patients aside.
"""

import importlib.util
from pathlib import Path

from lumbar_jax.variants import pick_variant

NETWORKS = (
  *("U-Net", "AttentionU-Net", "ResUNet++", "TransUNet", "MiniSeg", "PSPNet"),
  *("DeepLabv3+", "DenseASPP", "DANet", "EMANet", "Inf-Net", "PSANet"),
)


def get_config(variant="full"):
  variants = {"full": _full, "tiny": _tiny, "phantom": _phantom}
  change = pick_variant(variants, variant, __file__)
  config = _review().get_config()
  config.mode = "study"
  config.study.update(
    networks=NETWORKS,
    ensembles=(),
    ablation="",
    baselines=(),
    reference="U-Net",
    labelling="MAP",
  )
  config.evaluation.surface_tolerance_mm = 0.0
  change(config)
  return config


def _review():
  """Returns the module of configs/review.py."""
  path = Path(__file__).with_name("review.py")
  spec = importlib.util.spec_from_file_location("review", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _full(config):
  del config  # the paper's settings


def _on_phantom(config, size):
  config.data.update(
    source="phantom", image_size=size, patch_size=size, patch_stride=size
  )
  # At these sizes all artefacts at once would leave little to see.
  config.augmentation.artefact_probability = 0.3


def _phantom(config):
  _on_phantom(config, 176)
  config.data.phantom.preset = "tall"
  config.model.width = 16
  config.training.update(num_epochs=30, batch_size=8, learning_rate=2e-3)


def _tiny(config):
  _on_phantom(config, 64)
  config.data.phantom.update(preset="tall_tiny", num_patients=5)
  config.data.num_workers = 1
  config.model.width = 8
  config.training.update(num_epochs=2, batch_size=4, learning_rate=3e-3)
