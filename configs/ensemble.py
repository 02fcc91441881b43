"""An ensemble of runs that are trained already, of any topologies.

Data   that of the members: one data set, prepared and divided alike
Paper  Saenz-Gamboa et al. 2023, sections 4.2 and 5.4: `method` is arithmetic,
       geometric, or a meta-learner: NAD NCD NSD (of the scores), TAD TCD TSD
       (of the tensors before the classifier)
Cost   averaging: none but the evaluation; a meta-learner: 50 epochs of the
       members' forward passes (ensemble.cached=True: one pass, unaugmented)
Score  paper 000, Table 6 (MIDAS): E12-NAD .753, its best network .743

  python launch.py --config=configs/ensemble.py --workdir=runs/pair \\
      --config.ensemble.members=runs/u1,runs/umd --config.ensemble.method=NAD

Only the sections `ensemble` and `evaluation` are read, and data.root, manifest,
columns, cache, assume_orientation and num_workers; everything else is taken
from the members. The folder is used like a run's: --mode=predict
--workdir=runs/pair.
"""

from lumbar_jax import config as config_lib


def get_config():
  config = config_lib.default()
  config.mode = "ensemble"
  return config
