"""Augmentation against scipy.ndimage and numpy, and its identity."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from lumbar_jax import config
from lumbar_jax.anatomy import IGNORE
from lumbar_jax.data import augmentation
from lumbar_jax.data.augmentation import Affine

KEY = jax.random.key(0)
apply = jax.jit(augmentation.apply)


def _affine(angle_deg=0.0, zoom=(1.0, 1.0), shift=(0.0, 0.0), flip=False):
  """One transformation for a batch of one."""
  return Affine(
    angle_rad=jnp.array([math.radians(angle_deg)], jnp.float32),
    zoom=jnp.array([zoom], jnp.float32),
    shift_px=jnp.array([shift], jnp.float32),
    flip=jnp.array([flip]),
  )


def _patch(h, w, channels=2, seed=0):
  rng = np.random.default_rng(seed)
  images = rng.standard_normal((1, h, w, channels)).astype(np.float32)
  return images, rng.integers(0, 5, (1, h, w)).astype(np.int32)


def _settings(**fields):
  settings = config.default().augmentation
  settings.update(fields)
  return settings


NONE = _settings(
  rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0, flip=0.0, zoom_per_axis=True
)


@pytest.mark.parametrize("shape", [(16, 16), (15, 17), (16, 9), (1, 5)])
def test_zero_strength_is_the_identity_bit_for_bit(shape):
  rng = np.random.default_rng(0)
  images = rng.standard_normal((3, *shape, 2)) * 10.0 ** rng.integers(
    -20, 20, (3, *shape, 2)
  )
  images = images.astype(np.float32)
  labels = rng.integers(0, 256, (3, *shape)).astype(np.int32)
  affine = augmentation.sample(KEY, images.shape, NONE)
  same_images, same_labels = apply(images, labels, affine)
  assert same_images.dtype == np.float32
  assert same_labels.dtype == np.int32
  np.testing.assert_array_equal(
    np.asarray(same_images).view(np.uint32), images.view(np.uint32)
  )
  np.testing.assert_array_equal(same_labels, labels)


CASES = {
  "rotation": dict(angle_deg=17.3),
  "rotation back": dict(angle_deg=-20.0),
  "zoom": dict(zoom=(1.37, 0.62)),
  "shift": dict(shift=(2.3, -3.7)),
  "flip and shift": dict(flip=True, shift=(0.3, 2.4)),
  "combined": dict(
    angle_deg=-12.1, zoom=(0.81, 1.23), shift=(-1.9, 2.7), flip=True
  ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(24, 24), (21, 26)])
def test_scipy_gives_the_same(case, shape):
  options = CASES[case]
  images, labels = _patch(*shape)
  ours, our_labels = apply(images, labels, _affine(**options))
  ours, our_labels = np.asarray(ours[0]), np.asarray(our_labels[0])

  angle = math.radians(options.get("angle_deg", 0))
  rotation = np.array(
    [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
  )
  matrix = rotation @ np.diag(options.get("zoom", (1, 1)))
  middle = (np.array(shape) - 1) / 2
  shift = rotation @ options.get("shift", (0, 0))
  if options.get("flip"):
    matrix = matrix @ np.diag([1, -1])
  offset = middle + shift - matrix @ middle
  for channel in range(images.shape[-1]):
    expected = ndimage.affine_transform(
      images[0, ..., channel].astype(float),
      matrix,
      offset,
      order=1,
      mode="nearest",
    )
    np.testing.assert_allclose(ours[..., channel], expected, atol=2e-4)

  expected = ndimage.affine_transform(
    labels[0], matrix, offset, order=0, mode="nearest"
  )
  places = np.indices(shape).reshape(2, -1)
  places = (matrix @ places + offset[:, None]).reshape(2, *shape)
  edges = np.array(shape)[:, None, None] - 1
  places = np.clip(places, 0, edges)
  clear = (np.abs(places - np.floor(places) - 0.5) > 1e-3).all(0)
  assert clear.mean() > 0.9  # nearly all pixels are away from a tie
  np.testing.assert_array_equal(our_labels[clear], expected[clear])


@pytest.mark.parametrize("shape", [(16, 16), (15, 18), (12, 17)])
def test_flip_alone_is_numpy_flip(shape):
  images, labels = _patch(*shape)
  flipped, flipped_labels = apply(images, labels, _affine(flip=True))
  np.testing.assert_array_equal(flipped, images[:, :, ::-1])
  np.testing.assert_array_equal(flipped_labels, labels[:, :, ::-1])


@pytest.mark.parametrize("turns", [-1, 1, 2])
@pytest.mark.parametrize("size", [16, 17])
def test_quarter_turns_are_rot90(turns, size):
  images, labels = _patch(size, size)
  turned, turned_labels = apply(images, labels, _affine(angle_deg=90 * turns))
  # Output (row, column) = (1, 0) from the centre shows the input at (0, 1) for
  # 90 degrees: down shows right, a turn by -90 degrees as numpy counts.
  expected = np.rot90(images, -turns, (1, 2))
  np.testing.assert_allclose(turned, expected, atol=1e-4)
  np.testing.assert_array_equal(turned_labels, np.rot90(labels, -turns, (1, 2)))


def test_each_patch_has_its_own_transformation():
  images, labels = (np.repeat(x, 2, axis=0) for x in _patch(10, 12))
  both = jax.tree.map(
    lambda a, b: jnp.concatenate([a, b]), _affine(), _affine(flip=True)
  )
  ours, our_labels = apply(images, labels, both)
  np.testing.assert_array_equal(ours[0], images[0])
  np.testing.assert_array_equal(ours[1], images[1, :, ::-1])
  np.testing.assert_array_equal(our_labels[1], labels[1, :, ::-1])


@pytest.fixture(scope="module")
def drawn():
  """4000 transformations of patches of 40 x 100 pixels."""
  settings = _settings(
    rotation_deg=20.0, zoom=(0.5, 1.5), shift=0.1, flip=0.3, zoom_per_axis=True
  )
  draws = augmentation.sample(KEY, (4000, 40, 100, 2), settings)
  return jax.tree.map(np.asarray, draws)


def test_parameters_fill_their_ranges(drawn):
  for values, low, high in (
    (np.rad2deg(drawn.angle_rad), -20, 20),
    (drawn.zoom[:, 0], 0.5, 1.5),
    (drawn.zoom[:, 1], 0.5, 1.5),
    (drawn.shift_px[:, 0], -4, 4),
    (drawn.shift_px[:, 1], -10, 10),
  ):
    span = high - low
    assert low - 1e-4 <= values.min() <= low + 0.01 * span
    assert high - 0.01 * span <= values.max() <= high + 1e-4
    # Uniform: 5 standard errors of the mean, and of each tenth's share.
    assert abs(values.mean() - (low + high) / 2) < 5 * span / np.sqrt(12 * 4000)
    tenths, _ = np.histogram(values, 10, (low - 1e-4, high + 1e-4))
    assert np.all(np.abs(tenths - 400) < 5 * np.sqrt(4000 * 0.1 * 0.9))
  assert abs(drawn.flip.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 4000)


def test_parameters_are_independent(drawn):
  columns = np.stack(
    [drawn.angle_rad, *drawn.zoom.T, *drawn.shift_px.T, drawn.flip], axis=0
  )
  between = np.corrcoef(columns) - np.eye(6)
  neighbours = [np.corrcoef(c[1:], c[:-1])[0, 1] for c in columns]
  assert np.abs(between).max() < 5 / np.sqrt(4000)
  assert np.abs(neighbours).max() < 5 / np.sqrt(4000)
  assert len(np.unique(drawn.angle_rad)) > 3900


def test_one_zoom_factor_for_both_axes():
  settings = _settings(zoom_per_axis=False, zoom=(0.5, 1.5))
  zoom = np.asarray(augmentation.sample(KEY, (50, 8, 8, 1), settings).zoom)
  np.testing.assert_array_equal(zoom[:, 0], zoom[:, 1])
  assert len(np.unique(zoom)) == 50


def test_the_key_decides():
  first, again, other = (
    augmentation.sample(key, (8, 16, 16, 1), _settings())
    for key in (KEY, jax.random.key(0), jax.random.key(1))
  )
  jax.tree.map(np.testing.assert_array_equal, first, again)
  for a, b in zip(first.angle_rad, other.angle_rad, strict=True):
    assert a != b


def test_labels_are_never_mixed_and_ignore_is_carried():
  rng = np.random.default_rng(0)
  values = np.array([0, 7, IGNORE])
  labels = values[rng.integers(0, 3, (8, 20, 24))].astype(np.int32)
  images = (labels == IGNORE).astype(np.float32)[..., None]
  affine = augmentation.sample(KEY, images.shape, _settings())
  _, moved = apply(images, labels, affine)
  assert set(np.unique(moved)) == set(values)


def test_ignore_moves_with_its_pixel():
  images, labels = _patch(9, 11)
  labels[0, 2, 3] = IGNORE
  _, moved = apply(images, labels, _affine(shift=(1.0, -2.0)))
  # The output at (r, c) shows the input at (r + 1, c - 2).
  assert np.argwhere(np.asarray(moved[0]) == IGNORE).tolist() == [[1, 5]]
