"""The smallest run that uses everything: for tests and for trying things out.

Data   synthetic phantom, twelve classes of paper 000 (made on the spot)
Cost   about two minutes on 2 CPU cores
Score  none to speak of: two epochs of a very narrow network

  python launch.py --config=configs/tiny.py --workdir=runs/tiny
"""

from lumbar_jax import config as config_lib


def get_config():
  config = config_lib.default()
  config.data.update(
    source="phantom",
    phantom=dict(preset="tiny", num_patients=7, num_unlabelled=1, seed=0),
    registration="none",
    patch_size=64,
    patch_stride=60,
    num_workers=1,
  )
  config.model.update(name="U1", width=4, batchnorm_momentum=0.9)
  config.training.update(
    num_epochs=2, batch_size=8, optimizer="adam", learning_rate=3e-3
  )
  config.training.checkpoint_every_steps = 8
  return config
