"""Labels made where the scores are, against those made on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax.evaluation import labelling, on_device, reconstruction

THRESHOLDS = np.array([0.0, 0.55, 0.3, 0.9], np.float32)
WEIGHTS = np.random.default_rng(3).normal(size=(2, 4)).astype(np.float32)


@jax.jit
def scorer(images):
  blurred = (images + jnp.roll(images, 1, 1) + jnp.roll(images, 2, 2)) / 3
  return jax.nn.softmax(blurred @ WEIGHTS, axis=-1)


@pytest.mark.parametrize("thresholds", [None, THRESHOLDS])
@pytest.mark.parametrize(
  ("shape", "native", "patch_size", "batch_size"),
  [
    ((3, 20, 33), (20, 33), 8, 4),  # 35 patches a slice: nine batches
    ((2, 20, 33), (31, 50), 16, 100),
    ((2, 7, 5), (7, 5), 8, 3),  # smaller than a patch
    ((2, 20, 45), (20, 45), 0, 8),  # whole
  ],
)
def test_labels_are_those_of_the_host(
  shape, native, patch_size, batch_size, thresholds
):
  rng = np.random.default_rng(0)
  images = rng.normal(size=(*shape, 2)).astype(np.float32)
  found = on_device.label_slices(
    scorer,
    images,
    thresholds,
    native,
    patch_size=patch_size,
    patch_stride=6,
    batch_size=batch_size,
  )
  scores = reconstruction.study_scores(
    scorer, images, patch_size, 6, batch_size, native
  )
  kind = "MAP" if thresholds is None else "TH"
  expected = labelling.label(scores, kind, thresholds)
  found = np.stack(list(found))
  assert found.dtype == np.uint8
  # The same formulas; a score within rounding of a threshold may fall over.
  near = np.abs(scores - THRESHOLDS).min(-1) < 1e-5
  top = np.sort(scores, axis=-1)
  near |= top[..., -1] - top[..., -2] < 1e-5
  assert near.mean() < 0.01
  np.testing.assert_array_equal(found[~near], expected[~near])
