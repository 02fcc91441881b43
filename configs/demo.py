"""The whole system on a small synthetic data set, on a laptop's CPU.

Data   synthetic phantom, twelve classes of paper 000 (made on the spot)
Paper  Saenz-Gamboa et al. 2023: U-Net, 3-fold cross-validation, MAP and TH
Cost   under 10 minutes on 2 CPU cores
Score  mean foreground IoU over .6 on held-out phantom patients

  python launch.py --config=configs/demo.py --workdir=runs/demo

Against the paper's settings: a narrow network, few epochs, mild augmentation,
Adam, half the resolution, and soft Dice beside the cross-entropy, which helps
the small structures.
"""

from lumbar_jax import config as config_lib


def get_config():
  config = config_lib.default()
  config.data.update(
    source="phantom",
    phantom=dict(preset="demo", num_patients=14, num_unlabelled=1, seed=0),
    registration="rigid",
    spacing_mm=2.0,
    patch_size=144,
    patch_stride=144,
  )
  config.augmentation.update(
    rotation_deg=5.0, zoom=(0.93, 1.07), shift=0.03, flip=0.0
  )
  config.model.update(name="U1", width=12, batchnorm_momentum=0.9)
  config.training.update(
    num_epochs=16,
    batch_size=2,
    optimizer="adam",
    learning_rate=2e-3,
    dice=1.0,
  )
  return config
