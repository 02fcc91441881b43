"""Artefacts against scipy and k-space formulas in numpy, and their identity."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from lumbar_jax import config
from lumbar_jax.data import artefacts
from lumbar_jax.data.artefacts import Artefacts, Ghosts, Motion
from lumbar_jax.training.steps import augment_batch

KEY = jax.random.key(0)
SIZE = 33  # odd: the middle of k-space is not the middle of the patch
SPACING_MM = np.array([[0.5, 0.8], [1.0, 2.0]], np.float32)


def _settings(**fields):
  settings = config.default().augmentation
  settings.update(fields)
  return settings


ALL = dict(noise=0.25, blur_mm=2.0, motions=2, ghosts=(4, 10))
STILL = dict(rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0, flip=0.0)


def _images(size=SIZE, channels=2):
  """Two patches of smooth shapes and noise."""
  rng = np.random.default_rng(1)
  images = rng.standard_normal((2, size, size, channels))
  return ndimage.gaussian_filter(images, (0, 1, 1, 0)).astype(np.float32) + 0.3


def test_blur_is_scipys():
  images = _images()
  std_px = np.array([[1.7, 0.4], [0.0, 3.1]], np.float32)
  found = np.asarray(artefacts.blur(images, std_px))
  for number in range(2):
    expected = ndimage.gaussian_filter(
      images[number].astype(float), (*std_px[number], 0)
    )
    np.testing.assert_allclose(found[number], expected, atol=2e-6)


def test_no_blur_is_the_identity_bit_for_bit():
  images = _images()
  found = artefacts.blur(images, np.zeros((2, 2), np.float32))
  np.testing.assert_array_equal(found, images)


def _k_space(image, axis, change):
  """Applies `change` to the centred k-space [lines, rest] of [h w c]."""
  image = np.moveaxis(image.astype(float), axis, 0)
  spectrum = np.fft.fftshift(np.fft.fftn(image, axes=(0, 1)), axes=(0, 1))
  spectrum = np.fft.ifftshift(change(spectrum), axes=(0, 1))
  return np.moveaxis(np.fft.ifftn(spectrum, axes=(0, 1)).real, 0, axis)


@pytest.mark.parametrize("restore", [0.0, 0.02, 0.3])
def test_ghosts_are_torchios_formula(restore):
  """Every n-th line loses a share, the middle ones are put back."""
  images = _images()
  ghosts = Ghosts(
    number=jnp.array([4, 7]),
    intensity=jnp.array([0.6, 1.0]),
    axis=jnp.array([False, True]),
    restore=restore,
  )
  found = np.asarray(artefacts.add_ghosts(images, ghosts))
  for n, (number, intensity, axis) in enumerate(((4, 0.6, 0), (7, 1.0, 1))):

    def change(spectrum, number=number, intensity=intensity):
      ghosted = spectrum.copy()
      ghosted[::number] *= 1 - intensity
      middle, half = SIZE // 2, int(np.round(restore * SIZE)) // 2
      kept = slice(middle - half, middle + half)
      ghosted[kept] = spectrum[kept]
      ghosted[middle] = spectrum[middle]
      return ghosted

    expected = _k_space(images[n], axis, change)
    np.testing.assert_allclose(found[n], expected, atol=1e-5)
    assert np.abs(found[n] - images[n]).max() > 0.05


def _moved(image, angle, shift_px):
  """Output (o) shows the input at R (o + shift); the minimum lies outside."""
  size = np.array(image.shape[:2])
  middle = (size - 1) / 2
  rotation = np.array(
    [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
  )
  places = np.indices(image.shape[:2]).reshape(2, -1)
  places = rotation @ (places - middle[:, None] + shift_px[:, None])
  places += middle[:, None]
  inside = ((places >= -0.5) & (places <= size[:, None] - 0.5)).all(0)
  found = []
  for channel in np.moveaxis(image.astype(float), -1, 0):
    value = ndimage.map_coordinates(channel, places, order=1, mode="nearest")
    value = np.where(inside, value, channel.min())
    found.append(value.reshape(channel.shape))
  return np.stack(found, -1)


# (times, for each part of k-space which pose it is of: 0 is the patch as it is)
TIMES = (((0.2, 0.45), (2, 1, 0)), ((0.4, 0.7), (1, 0, 2)))


def test_motion_is_torchios_formula():
  """Parts of k-space of several poses; the middle is of the first."""
  images = _images(channels=1)
  angles = np.array([[0.15, -0.1], [0.05, 0.2]], np.float32)
  shifts_mm = np.array(
    [[[2.0, -1.5], [0.6, 3.0]], [[-4.0, 2.0], [3.0, -9.0]]], np.float32
  )
  motion = Motion(
    angle_rad=jnp.array(angles),
    shift_mm=jnp.array(shifts_mm),
    times=jnp.array([times for times, _ in TIMES], jnp.float32),
    axis=jnp.array([False, True]),
    on=jnp.array([True, True]),
  )
  found = np.asarray(artefacts.move(images, motion, SPACING_MM))
  for n, (times, order) in enumerate(TIMES):
    poses = [images[n]]
    for k in range(2):
      shift_px = shifts_mm[n, k] / SPACING_MM[n]
      poses.append(_moved(images[n], angles[n, k], shift_px))
    spectra = []
    for pose in poses:
      _k_space(pose, n, lambda s, into=spectra: into.append(s) or s)
    begins = [0, *(int(SIZE * t) for t in times), SIZE]

    def change(spectrum, spectra=spectra, begins=begins, order=order):
      mixed = np.empty_like(spectrum)
      for part, pose in enumerate(order):
        lines = slice(begins[part], begins[part + 1])
        mixed[lines] = spectra[pose][lines]
      return mixed

    expected = _k_space(images[n], n, change)
    np.testing.assert_allclose(found[n], expected, atol=2e-4)
    assert np.abs(found[n] - images[n]).max() > 0.1


def test_patches_that_are_not_square_have_no_k_space_lines():
  ghosts = Ghosts(
    *(jnp.array([4]), jnp.array([1.0]), jnp.array([True])), restore=0.0
  )
  with pytest.raises(ValueError, match="8 x 9 pixels"):
    artefacts.add_ghosts(jnp.zeros((1, 8, 9, 1)), ghosts)


def test_what_befalls_no_patch_changes_none():
  """Probability 0: everything is traced, and nothing happens."""
  images, settings = _images(), _settings(**ALL, artefact_probability=0.0)

  @jax.jit
  def work(key, images):
    drawn = artefacts.sample(key, images.shape, settings)
    return artefacts.apply(images, drawn, SPACING_MM)

  np.testing.assert_array_equal(work(KEY, images), images)
  tenfold = _settings(**ALL, artefact_probability=0.3)
  drawn = artefacts.sample(KEY, (3000, SIZE, SIZE, 1), tenfold)
  for on in (drawn.noise > 0, drawn.blur_mm[:, 0] > 0, drawn.motion.on):
    assert abs(np.mean(on) - 0.3) < 5 * np.sqrt(0.21 / 3000)
  assert abs(np.mean(drawn.ghosts.intensity > 0) - 0.3) < 0.05


def test_parameters_fill_their_ranges():
  drawn = artefacts.sample(KEY, (4000, SIZE, SIZE, 1), _settings(**ALL))
  step = 1 / 3
  for values, low, high in (
    (drawn.noise, 0, 0.25),
    (drawn.blur_mm[:, 0], 0, 2),
    (drawn.blur_mm[:, 1], 0, 2),
    (np.rad2deg(drawn.motion.angle_rad), -10, 10),
    (drawn.motion.shift_mm, -10, 10),
    (drawn.motion.times[:, 0], 0.7 * step, 1.3 * step),
    (drawn.motion.times[:, 1], 1.7 * step, 2.3 * step),
    (drawn.ghosts.intensity, 0.5, 1),
  ):
    values = np.asarray(values).ravel()
    tenths, _ = np.histogram(values, 10, (low - 1e-4, high + 1e-4))
    expected = len(values) / 10
    assert tenths.sum() == len(values)
    assert np.all(np.abs(tenths - expected) < 5 * np.sqrt(expected))
  numbers = np.bincount(np.asarray(drawn.ghosts.number))
  assert np.flatnonzero(numbers).tolist() == [4, 5, 6, 7, 8, 9, 10]
  axes = [np.asarray(part.axis) for part in (drawn.motion, drawn.ghosts)]
  for axis in axes:
    assert abs(axis.mean() - 0.5) < 0.05
  columns = [drawn.noise, *drawn.blur_mm.T, drawn.motion.angle_rad[:, 0]]
  columns += [*axes, drawn.ghosts.intensity, drawn.ghosts.number]
  between = np.corrcoef(np.array(columns)) - np.eye(len(columns))
  assert np.abs(between).max() < 5 / np.sqrt(4000)


def test_noise_is_gaussian_of_the_drawn_deviation():
  images = np.zeros((2, 200, 200, 1), np.float32)
  drawn = Artefacts(noise=jnp.array([0.1, 0.2]), noise_key=KEY)
  found = np.asarray(artefacts.apply(images, drawn, SPACING_MM))
  np.testing.assert_allclose(found.std((1, 2, 3)), [0.1, 0.2], rtol=0.02)
  assert np.abs(found.mean((1, 2, 3))).max() < 0.005
  assert abs(np.mean(np.abs(found[1]) > 0.2 * 1.96) - 0.05) < 0.006
  assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.03


def test_nothing_is_drawn_where_nothing_is_wanted():
  """By default: the images and labels that came are those that go."""
  settings = _settings(**STILL)
  assert not artefacts.wanted(settings)
  assert artefacts.sample(KEY, (2, 8, 8, 1), settings) == Artefacts()
  batch = {"images": _images(), "labels": np.ones((2, SIZE, SIZE), np.int32)}
  images, labels = augment_batch(0, 0, batch, settings)
  assert images is batch["images"]
  assert labels is batch["labels"]


def test_artefacts_leave_the_affine_draw_and_the_labels_alone():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 4, (2, SIZE, SIZE)).astype(np.int32)
  batch = {"images": _images(), "labels": labels, "spacing_mm": SPACING_MM}
  plain, moved = augment_batch(3, 4, batch, _settings())
  noisy, also_moved = augment_batch(3, 4, batch, _settings(noise=0.1))
  np.testing.assert_array_equal(moved, also_moved)
  difference = np.asarray(noisy - plain)
  assert 0 < difference[0].std() < 0.1
  drawn = artefacts.sample(
    *(jax.random.key(7), plain.shape, _settings(noise=0.1))
  )
  assert drawn.blur_mm is drawn.motion is drawn.ghosts is None
  assert 0 < drawn.noise[0] < 0.1
