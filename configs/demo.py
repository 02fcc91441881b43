"""The whole system on a small synthetic data set, on a laptop's CPU.

Data   synthetic phantom, twelve classes of paper 000 (made on the spot)
Paper  Saenz-Gamboa et al. 2023: U-Net, 3-fold cross-validation, MAP and TH
Cost   under 10 minutes on 2 CPU cores
Score  mean foreground IoU over .6 on held-out phantom patients

  python launch.py --config=configs/demo.py --workdir=runs/demo
"""

from lumbar_jax import config as config_lib


def get_config():
  config = config_lib.default()
  config.data.update(
    source="phantom",
    phantom=dict(preset="demo", num_patients=0, seed=0),
    patch_size=128,
    patch_stride=96,
    registration="rigid",
  )
  config.augmentation.update(
    rotation_deg=8.0, zoom=(0.9, 1.1), shift=0.05, flip=0.0
  )
  config.model.update(name="U1", width=8, batchnorm_momentum=0.9)
  config.training.update(
    num_epochs=12, batch_size=8, optimizer="adam", learning_rate=3e-3
  )
  return config
