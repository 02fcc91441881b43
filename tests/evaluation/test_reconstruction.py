"""Slices put together from patches that a scorer has seen."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from lumbar_jax.data import patches
from lumbar_jax.evaluation import reconstruction


class Scorer:
  """A pixel-wise scorer: patches cannot change what it says of a pixel."""

  def __init__(self):
    self.shapes = []

  def __call__(self, images):
    self.shapes.append(images.shape)
    odds = np.exp(images @ np.array([[1.0, -1, 0.5], [0.3, 2, -1]], np.float32))
    return odds / odds.sum(-1, keepdims=True)


def make_images(shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
  ("num_slices", "height", "width", "batch_size"),
  [(3, 20, 33, 4), (1, 8, 8, 5), (2, 5, 19, 3), (4, 8, 11, 100)],
)
def test_pixelwise_scorer_is_reconstructed(
  num_slices, height, width, batch_size
):
  images = make_images((num_slices, height, width, 2))
  scorer = Scorer()
  scores = reconstruction.study_scores(scorer, images, 8, 6, batch_size)
  assert scores.dtype == np.float32
  np.testing.assert_allclose(scores, Scorer()(images), atol=1e-6)
  assert set(scorer.shapes) == {(batch_size, 8, 8, 2)}
  total = num_slices * len(patches.grid(height, width, 8, 6))
  assert len(scorer.shapes) == -(-total // batch_size)


def test_patches_meet_their_own_slice():
  # A scorer that is not pixel-wise, against one slice at a time by hand.
  def scorer(images):
    return np.cumsum(np.cumsum(images, axis=1), axis=2)

  images = make_images((3, 13, 17, 2))
  places = patches.grid(13, 17, 8, 5)
  scores = reconstruction.study_scores(scorer, images, 8, 5, 7)
  for image, found in zip(images, scores, strict=True):
    cut = scorer(patches.extract(image, places, 8))
    expected = patches.assemble(cut, places, (13, 17))
    np.testing.assert_array_equal(found, expected)


def test_jitted_scorer_compiles_once():
  traces = []

  @jax.jit
  def scorer(images):
    traces.append(images.shape)
    return jax.nn.softmax(images)

  images = make_images((3, 20, 9, 4))
  scores = reconstruction.study_scores(scorer, images, 8, 6, 4)
  np.testing.assert_allclose(scores, jax.nn.softmax(images), atol=1e-6)
  assert len(traces) == 1


def test_slices_are_made_one_by_one():
  class Study:
    shape = (1000, 16, 16, 2)
    read = 0

    def __len__(self):
      return self.shape[0]

    def __iter__(self):
      for number in range(self.shape[0]):
        self.read = number + 1
        yield np.full(self.shape[1:], number, np.float32)

  study = Study()
  slices = reconstruction.iterate_slices(lambda x: x, study, 8, 8, 4)
  for number in range(5):
    assert next(slices).mean() == number
    assert study.read <= number + 3


def test_wrong_scores_are_refused():
  images = make_images((1, 8, 8, 2))
  with pytest.raises(ValueError, match="scores"):
    reconstruction.study_scores(lambda x: x[:, 1:], images, 8, 6, 2)


SIZES = [((6, 9), (12, 18)), ((5, 7), (13, 16)), ((1, 4), (3, 9))]


@pytest.mark.parametrize(("shape", "native"), SIZES)
def test_resize_equals_scipy_and_jax(shape, native):
  scores = make_images((*shape, 3))
  found = reconstruction.resize_scores(scores, native)
  assert found.dtype == np.float32
  factors = (native[0] / shape[0], native[1] / shape[1], 1)
  by_scipy = scipy.ndimage.zoom(
    scores, factors, order=1, mode="nearest", grid_mode=True
  )
  by_jax = jax.image.resize(scores, (*native, 3), "linear", antialias=False)
  np.testing.assert_allclose(found, by_scipy, atol=1e-5)
  np.testing.assert_allclose(found, by_jax, atol=1e-5)


def test_resize_keeps_centres_ramps_and_sums():
  # The value of a pixel is the position of its centre in the field of view.
  ramp = (np.arange(10, dtype=np.float32) + 0.5) / 10
  scores = np.stack([np.tile(ramp, (4, 1)), 1 - np.tile(ramp, (4, 1))], -1)
  found = reconstruction.resize_scores(scores, (6, 25))
  centres = (np.arange(25) + 0.5) / 25
  inside = (centres >= 0.05) & (centres <= 0.95)
  np.testing.assert_allclose(
    found[:, inside, 0], np.tile(centres[inside], (6, 1)), atol=1e-6
  )
  np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
  same = reconstruction.resize_scores(scores, (4, 10))
  np.testing.assert_array_equal(same, scores)


def test_reduced_resolution_is_scored_on_the_native_grid():
  images = make_images((2, 10, 12, 2))
  plain = reconstruction.study_scores(Scorer(), images, 8, 6, 4)
  native = reconstruction.study_scores(Scorer(), images, 8, 6, 4, (21, 24))
  assert native.shape == (2, 21, 24, 3)
  for low, high in zip(plain, native, strict=True):
    expected = jax.image.resize(low, (21, 24, 3), "linear", antialias=False)
    np.testing.assert_allclose(high, expected, atol=1e-5)


def test_whole_slices_are_padded_once_and_cropped_back():
  images = make_images((3, 20, 45, 2))
  scorer = Scorer()
  scores = reconstruction.study_scores(scorer, images, 0, 6, 2)
  np.testing.assert_allclose(scores, Scorer()(images), atol=1e-6)
  assert set(scorer.shapes) == {(2, 32, 64, 2)}
  assert len(scorer.shapes) == 2
