"""The ICPR 2020 slides: eight networks of different widths, five folds.

Data   75 patients, T2w and T1w (not public), or your own studies in a MIDS or
       BIDS tree with masks in derivatives/manual_masks; see docs/data.md
Paper  Saenz-Gamboa et al., ICPR 2020, slides: `configs/icpr.py:NAME` trains
       NAME with its own width, optimizer, learning rate and activation
Cost   300 epochs of 5 folds (paper 000's number; the slides give none)
Score  mean IoU without background: UAD .636, UVAD .652, UAMD .630, UVD .701,
       UMD .688, UD .635, U1 .683, FCN .660

  python launch.py --config=configs/icpr.py:UVD --workdir=runs/icpr_uvd \\
      --config.data.root=/data/midas
"""

from lumbar_jax import config as config_lib
from lumbar_jax.errors import InputError, did_you_mean

WIDTHS = {
  "UAD": 16,
  "UVAD": 32,
  "UAMD": 16,
  "UVD": 32,
  "UMD": 32,
  "UD": 64,
  "U1": 64,
  "FCN": 32,
}


def get_config(name="UVD"):
  if name not in WIDTHS:
    raise InputError(
      f"configs/icpr.py has no network {name!r}",
      did_you_mean(name, WIDTHS) + f"there are {', '.join(WIDTHS)}",
    )
  config = config_lib.default()
  config.data.num_folds = 5
  config.model.update(name=name, width=WIDTHS[name])
  return config
