"""Readers of volumes: whatever the bytes, the right result or words."""

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus.readers import bounded, or_refused, written
from corpus.world import affine_of, image_of, picture
from lumbar_jax.data.volumes import read_volume, write_volume

_SEEDS = st.integers(0, 2**32 - 1)


def _rotation(rng) -> np.ndarray:
  """Returns any rotation or reflection [3 3]."""
  matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
  return matrix * np.sign(np.diag(upper))


@bounded(60)
@given(
  st.tuples(*[st.integers(1, 6)] * 3),
  st.sampled_from(["i2", "u1", "f4", "f8", "i4", "u2"]),
  st.booleans(),
  _SEEDS,
)
def test_any_grid_is_read_as_nibabel_does(shape, dtype, packed, seed):
  rng = np.random.default_rng(seed)
  affine = np.eye(4)
  affine[:3, :3] = _rotation(rng) * rng.uniform(0.5, 5, 3)
  affine[:3, 3] = rng.uniform(-200, 200, 3)
  array = rng.integers(0, 200, shape).astype(dtype)
  image = image_of(array, affine)
  content = image.to_bytes()
  name = f"x.nii{'.gz' * packed}"
  path, folder = written(name, gzip.compress(content, 1) if packed else content)
  volume = read_volume(path)
  transform = nib.orientations.ornt_transform(
    nib.orientations.io_orientation(affine),
    nib.orientations.axcodes2ornt("RIP"),
  )
  wanted = image.as_reoriented(transform)
  np.testing.assert_array_equal(volume.array, np.asarray(wanted.dataobj))
  np.testing.assert_allclose(volume.affine, wanted.affine, atol=1e-3)
  out = Path(folder.name) / "out.nii.gz"
  write_volume(out, volume.array.astype(dtype), volume)
  back = nib.load(out)
  np.testing.assert_array_equal(np.asarray(back.dataobj), array)
  np.testing.assert_allclose(back.affine, affine, atol=1e-3)


def _good_bytes() -> bytes:
  return image_of(picture(1, (3, 12, 10)), affine_of()).to_bytes()


@bounded(60)
@given(st.floats(0, 1), st.booleans())
def test_files_cut_short_are_refused(share, packed):
  content = _good_bytes()
  content = gzip.compress(content) if packed else content
  length = min(int(share * len(content)), len(content) - 1)
  name = f"x.nii{'.gz' * packed}"
  path, _folder = written(name, content[:length])
  assert or_refused(read_volume, path) is None


def _peak_of(function, path) -> tuple[object, int]:
  """Returns (result, most bytes that were allocated)."""
  tracemalloc.start()
  try:
    return or_refused(function, path), tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()


@bounded(150)
@given(
  st.lists(
    st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=9
  ),
  st.booleans(),
)
def test_headers_of_any_bytes_are_read_or_refused(changes, packed):
  content = bytearray(_good_bytes())
  for place, value in changes:
    content[place] = value
  name = f"x.nii{'.gz' * packed}"
  raw = gzip.compress(content) if packed else bytes(content)
  path, _folder = written(name, raw)
  volume, peak = _peak_of(read_volume, path)
  assert peak < 30 * len(content) + 2**20
  if volume is not None:
    assert np.isfinite(volume.array).all()
    assert np.isfinite(volume.affine).all()
    assert volume.array.size <= len(content)


@bounded(60)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1,
                max_size=5))  # fmt: skip
def test_flipped_packed_files_are_the_same_or_refused(flips):
  content = bytearray(gzip.compress(_good_bytes(), mtime=0))
  for share, mask in flips:
    content[int(share * (len(content) - 1))] ^= mask
  path, _folder = written("x.nii.gz", bytes(content))
  volume, peak = _peak_of(read_volume, path)
  assert peak < 30 * len(_good_bytes()) + 2**20
  if volume is not None:  # only gzip's own head was hit
    good, _other = written("x.nii", _good_bytes())
    np.testing.assert_array_equal(volume.array, read_volume(good).array)


@bounded(40)
@given(st.binary(max_size=700), st.sampled_from(["x.nii", "x.nii.gz", "x.hdr"]))
def test_any_bytes_are_refused_as_a_volume(content, name):
  path, _folder = written(name, content)
  assert or_refused(read_volume, path) is None
