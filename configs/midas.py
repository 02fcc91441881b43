"""Paper 000 on a MIDS tree: T2w and T1w, twelve classes, three folds.

Data   MIDAS (its masks are not public), or your own studies in a MIDS or BIDS
       tree with masks in derivatives/manual_masks; tables: docs/data.md
Paper  Saenz-Gamboa et al. 2023, Table 3: `configs/midas.py:UMD` trains UMD with
       its own optimizer, learning rate and activation
Cost   300 epochs of 3 folds; the paper's V100 took 12 hours a fold
Score  paper 000, Table 6 (MIDAS): U1 .738 MAP, .741 TH; UMD .740, .743 (mean
       IoU without background)

  python launch.py --config=configs/midas.py:UMD --workdir=runs/umd \\
      --config.data.root=/data/midas
"""

from lumbar_jax import config as config_lib


def get_config(name="U1"):
  config = config_lib.default()
  config.model.name = name
  return config
