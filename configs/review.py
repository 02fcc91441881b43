"""Paper 002: any network on T2w slices of 880 x 880, twenty classes, Dice loss.

Data   MRSpineSeg as it is downloaded (train/MR, train/Mask): 12 to 15 slices of
       each patient, sacrum to T9 and the discs between. Or your own studies:
       --config.data.source=mids or manifest, whose masks have the same names
Paper  Zhou et al. 2022, section 4: `configs/review.py:NAME` trains NAME; 8:2 by
       patient, TorchIO's noise, blur, motion and ghosting, Adam 5e-4, Dice loss
       over all classes, 120 epochs (its Figure 19), no pre-training
Cost   120 epochs of about 2,000 slices; the paper had an RTX 3090 (24 GB)
Score  paper 002, Table 1 (by slice, see metrics.slice_scores): Dice from .714
       (DenseASPP) to .876 (DeepLabv3+) on the 40 validation patients

  python launch.py --config=configs/review.py:U1 --workdir=runs/review_u1 \\
      --config.data.root=/data/MRSpineSeg
  python experiments/paper_002.py --workdir=runs/review_u1

As in the paper there are no test patients: the best epoch is chosen on the
patients that the figures are of, so they are optimistic. For an honest figure
--config.data.test_fraction=0.2 sets test patients aside first. Not in the paper
and chosen here: scaling by percentiles, a batch of 4, and TorchIO's default
that every artefact befalls every slice (augmentation.artefact_probability).
"""

from lumbar_jax import config as config_lib


def get_config(name="U1"):
  config = config_lib.default()
  config.data.update(
    source="mrspineseg",
    scheme="mrspineseg",
    channels=("T2w",),
    registration="none",
    normalisation="percentile",
    image_size=880,
    patch_size=880,
    patch_stride=880,
    test_fraction=0.0,
    num_folds=1,
    validation_fraction=0.2,
  )
  config.augmentation.update(
    rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0, flip=0.0
  )
  config.augmentation.update(noise=0.25, blur_mm=2.0, motions=2, ghosts=(4, 10))
  config.model.update(name=name, batchnorm_momentum=0.9)  # PyTorch's default
  config.training.update(
    num_epochs=120,
    batch_size=4,
    optimizer="adam",
    learning_rate=5e-4,
    cross_entropy=0.0,
    dice=1.0,
    dice_smoothing=1e-5,
    dice_absent=True,
    best_by="iou",  # most pixels are background: accuracy says little
  )
  config.evaluation.batch_size = 4
  return config
