"""Placement, cutting and reassembly of patches."""

import numpy as np
import pytest

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.data import patches
from lumbar_jax.errors import InputError


@pytest.mark.parametrize(
  ("length", "expected"),
  [
    (256, 1),
    (257, 2),
    (320, 2),
    (448, 2),
    (449, 3),
    (640, 3),
    (641, 4),
    (832, 4),
    (833, 5),
    (1024, 5),
  ],
)
def test_number_of_patches_of_the_paper(length, expected):
  assert len(patches.starts(length, 256, 192)) == expected


def test_512_gives_nine_patches():
  places = patches.grid(512, 512, 256, 192)
  edges = (0, 128, 256)
  assert places == [(row, column) for row in edges for column in edges]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_starts_cover_every_pixel(size):
  for stride in range(1, size + 1):
    for length in range(1, 40):
      starts = patches.starts(length, size, stride)
      covered = {s + i for s in starts for i in range(size)}
      assert covered >= set(range(length))
      assert max(covered) == max(length, size) - 1
      gaps = np.diff(starts)
      assert np.all((gaps >= 1) & (gaps <= stride))
      assert np.ptp(gaps) <= 1 if len(gaps) else True


@pytest.mark.parametrize(
  ("length", "size", "stride"), [(9, 4, 5), (9, 4, 0), (0, 4, 2), (9, 0, 1)]
)
def test_starts_refuses_what_cannot_cover(length, size, stride):
  with pytest.raises(InputError):
    patches.starts(length, size, stride)


@pytest.mark.parametrize(
  "shape",
  [(16, 16), (17, 16), (31, 33), (40, 16), (47, 65), (5, 40), (40, 7), (3, 2)],
)
@pytest.mark.parametrize("stride", [5, 12, 16])
def test_assemble_inverts_extract(shape, stride):
  values = np.random.default_rng(0).random((*shape, 3), np.float32)
  places = patches.grid(*shape, 16, stride)
  cut = patches.extract(values, places, 16)
  assert cut.shape == (len(places), 16, 16, 3)
  back = patches.assemble(cut, places, shape)
  assert back.dtype == np.float32
  np.testing.assert_allclose(back, values, rtol=1e-6)


def test_assemble_is_the_mean_of_overlapping_scores():
  places = patches.grid(4, 6, 4, 2)
  assert places == [(0, 0), (0, 2)]
  scores = np.stack([np.full((4, 4, 1), v, np.float32) for v in (1, 4)])
  back = patches.assemble(scores, places, (4, 6))
  np.testing.assert_array_equal(back[2, :, 0], [1, 1, 2.5, 2.5, 4, 4])


def test_assemble_refuses_a_missing_patch():
  places = patches.grid(4, 6, 4, 2)
  with pytest.raises(ValueError, match="zip"):
    patches.assemble(np.zeros((1, 4, 4, 2), np.float32), places, (4, 6))


def test_small_slices_are_padded_by_channel_minimum_and_ignore():
  image = np.arange(12, dtype=np.float32).reshape(2, 3, 2) - 5
  places = patches.grid(2, 3, 4, 2)
  assert places == [(0, 0)]
  (cut,) = patches.extract(image, places, 4)
  np.testing.assert_array_equal(cut[:2, :3], image)
  outside = np.ones((4, 4), bool)
  outside[:2, :3] = False
  assert set(cut[outside][:, 0]) == {-5}
  assert set(cut[outside][:, 1]) == {-4}
  labels = np.ones((2, 3), np.uint8)
  (cut,) = patches.extract(labels, places, 4, fill=IGNORE)
  assert cut.dtype == np.uint8
  assert np.all(cut[outside] == IGNORE)
  assert np.all(cut[~outside] == 1)
