"""One anatomy, whatever the stored axes; grids kept; damage reported."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax.data.volumes import read_volume, write_volume
from lumbar_jax.errors import InputError

SHAPE = (3, 5, 4)  # slices, rows, columns
SPACING = (4.0, 0.5, 0.75)
ORIGIN = np.array([-12.0, 31.0, 7.5])
# Slices go to the right, rows down, columns back (RAS mm).
AFFINE = np.array(
  [
    [SPACING[0], 0, 0, ORIGIN[0]],
    [0, 0, -SPACING[2], ORIGIN[1]],
    [0, -SPACING[1], 0, ORIGIN[2]],
    [0, 0, 0, 1],
  ]
)


def _anatomy(shape=SHAPE):
  return np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape)


def _stored(array, affine, order, flips):
  """Stores the same anatomy with permuted and flipped axes."""
  back = np.zeros((4, 4))  # stored index -> anatomy's index
  back[3, 3] = 1
  for axis, source in enumerate(order):
    back[source, axis] = -1 if flips[axis] else 1
    if flips[axis]:
      back[source, 3] = array.shape[source] - 1
  stored = array.transpose(order)
  for axis in np.nonzero(flips)[0]:
    stored = np.flip(stored, axis)
  return np.ascontiguousarray(stored), affine @ back


ORIENTATIONS = [
  (order, flips)
  for order in itertools.permutations(range(3))
  for flips in itertools.product((False, True), repeat=3)
]


def _save(path, array, affine):
  nib.save(nib.Nifti1Image(array, affine), path)
  return path


@pytest.mark.parametrize("oblique", [False, True])
def test_every_stored_orientation_reads_to_the_same(tmp_path, oblique):
  assert len(ORIENTATIONS) == 48
  affine, array = AFFINE, _anatomy().astype(np.float32)
  if oblique:
    affine = _rotation(12, 20, -9) @ AFFINE
  for number, (order, flips) in enumerate(ORIENTATIONS):
    stored, stored_affine = _stored(array, affine, order, flips)
    path = _save(tmp_path / f"{number}.nii", stored, stored_affine)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    np.testing.assert_allclose(volume.spacing_mm, SPACING, rtol=1e-5)
    assert volume.stored_shape == stored.shape
    assert volume.array.flags.c_contiguous

    again = tmp_path / "again.nii"
    write_volume(again, volume.array, volume)
    image = nib.load(again)
    np.testing.assert_array_equal(np.asarray(image.dataobj), stored)
    np.testing.assert_array_equal(image.affine, nib.load(path).affine)


def _rotation(*degrees):
  """Turns about the three axes, one after another, as a [4 4] matrix."""
  total = np.eye(4)
  for axis, angle in enumerate(np.deg2rad(degrees)):
    i, j = [a for a in range(3) if a != axis]
    turn = np.eye(4)
    turn[[i, j], [i, j]] = np.cos(angle)
    turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
    total = turn @ total
  return total


def test_our_axes_run_right_down_and_back(tmp_path):
  """A voxel that lies right, low and behind has the largest indices."""
  array = np.zeros((2, 2, 2), np.float32)  # stored L -> R, P -> A, I -> S
  array[1, 0, 0] = 1
  path = _save(tmp_path / "a.nii", array, np.eye(4))
  assert np.argwhere(read_volume(path).array).tolist() == [[1, 1, 1]]


def test_a_voxel_keeps_its_place_in_the_scanner(tmp_path):
  affine = _rotation(10, -15, 25) @ AFFINE
  stored, stored_affine = _stored(_anatomy(), affine, (2, 0, 1), (1, 0, 1))
  path = _save(tmp_path / "a.nii.gz", stored.astype(np.int16), stored_affine)
  volume = read_volume(path)
  for value in (0, 17, 59):
    theirs = stored_affine @ [*np.argwhere(stored == value)[0], 1]
    ours = volume.affine @ [*np.argwhere(volume.array == value)[0], 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.fixture
def coded(tmp_path):
  """A file with different s- and qform, codes, units and a scaling."""
  stored, affine = _stored(_anatomy(), AFFINE, (1, 2, 0), (0, 1, 0))
  image = nib.Nifti1Image(stored.astype(np.int16), affine)
  image.set_sform(_rotation(3, 0, 0) @ affine, 2)
  image.set_qform(affine, 1)
  image.header.set_xyzt_units("mm", "sec")
  image.header["cal_max"] = 59
  image.header["descrip"] = b"T2 sagittal"
  image.header.set_slope_inter(2.0, 10.0)
  path = tmp_path / "coded.nii.gz"
  nib.save(image, path)
  return path


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_writing_keeps_grid_and_header(tmp_path, coded, dtype):
  volume = read_volume(coded)
  labels = (_anatomy() % 12).astype(dtype)
  path = tmp_path / "out" / "labels.nii.gz"
  write_volume(path, labels, volume)
  before, after = nib.load(coded), nib.load(path)
  assert after.shape == before.shape
  np.testing.assert_array_equal(after.affine, before.affine)
  for form in ("get_sform", "get_qform"):
    a, b = (
      getattr(image.header, form)(coded=True) for image in (before, after)
    )
    assert a[1] == b[1]
    np.testing.assert_allclose(a[0], b[0], atol=1e-5)
  assert after.header.get_xyzt_units() == ("mm", "sec")
  assert after.header["descrip"] == before.header["descrip"]
  assert after.get_data_dtype() == dtype
  np.testing.assert_array_equal(np.asarray(after.dataobj), after.dataobj[:])
  assert after.dataobj.slope == 1
  assert after.dataobj.inter == 0
  np.testing.assert_array_equal(read_volume(path).array, labels)
  assert [p.name for p in path.parent.iterdir()] == ["labels.nii.gz"]


def test_the_stored_scaling_is_applied(coded):
  values = np.unique(read_volume(coded).array)
  stored = np.unique(np.asarray(nib.load(coded).dataobj.get_unscaled()))
  slope, inter = (
    getattr(nib.load(coded).dataobj, n) for n in ("slope", "inter")
  )
  np.testing.assert_allclose(values, slope * stored + inter, rtol=1e-6)


def test_scores_are_written_with_their_classes_last(tmp_path, coded):
  volume = read_volume(coded)
  scores = np.random.default_rng(0).random((*SHAPE, 7), np.float32)
  path = tmp_path / "scores.nii.gz"
  write_volume(path, scores, volume)
  image = nib.load(path)
  assert image.shape == (*nib.load(coded).shape, 7)
  for k in (0, 6):
    write_volume(tmp_path / "one.nii.gz", scores[..., k], volume)
    one = np.asarray(nib.load(tmp_path / "one.nii.gz").dataobj)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[..., k], one)


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 1, 2), (2, 0, 1)])
def test_a_single_slice(tmp_path, order):
  array = _anatomy((1, 5, 4)).astype(np.float32)
  stored, affine = _stored(array, AFFINE, order, (1, 1, 0))
  path = _save(tmp_path / "slice.nii.gz", stored, affine)
  volume = read_volume(path)
  np.testing.assert_array_equal(volume.array, array)
  write_volume(tmp_path / "out.nii.gz", volume.array, volume)
  back = np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj)
  np.testing.assert_array_equal(back, stored)


def test_same_grid(tmp_path):
  array = _anatomy().astype(np.float32)
  volume = read_volume(_save(tmp_path / "a.nii", array, AFFINE))

  def moved(name, change):
    affine = change @ AFFINE
    return read_volume(_save(tmp_path / name, array, affine))

  stored, affine = _stored(array, AFFINE, (2, 1, 0), (1, 0, 1))
  assert volume.same_grid(
    read_volume(_save(tmp_path / "b.nii", stored, affine))
  )
  for distance, same in ((0.005, True), (0.02, False)):
    shift = np.eye(4)
    shift[1, 3] = distance
    assert volume.same_grid(moved("c.nii", shift)) == same
  assert not volume.same_grid(moved("d.nii", _rotation(0, 0.5, 0)))
  smaller = read_volume(_save(tmp_path / "e.nii", array[:, :4], AFFINE))
  assert not volume.same_grid(smaller)


def _broken(path, kind):
  array = _anatomy().astype(np.float32)
  if kind == "absent":
    return
  if kind == "text":
    path.write_text("patient\tage\nsub-1\t60\n" * 40)
  elif kind == "gzipped text":
    path.write_bytes(gzip.compress(b"not an image at all " * 40))
  elif kind == "no bytes":
    path.write_bytes(b"")
  elif kind == "cut short":
    array = np.random.default_rng(0).random((9, 20, 20)).astype(np.float32)
    _save(path, array, AFFINE)
    path.write_bytes(path.read_bytes()[:-2000])
  elif kind == "2-D":
    _save(path, array[0], AFFINE)
  elif kind == "4-D":
    _save(path, np.stack([array] * 2, -1), AFFINE)
  elif kind == "empty":
    _save(path, array[:, :0], AFFINE)
  elif kind == "NaN":
    array[1, 2, 3] = np.nan
    array[0, 0, 0] = np.inf
    _save(path, array, AFFINE)
  elif kind == "flat affine":
    image = nib.Nifti1Image(array, None)
    image.header.set_sform(np.diag([1, 0, 1, 1]), 1)
    image.header.set_qform(np.eye(4), 0)
    nib.save(nib.Nifti1Image(array, None, image.header), path)


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    ("absent", "no such file"),
    ("text", "not a readable NIfTI"),
    ("gzipped text", "not a readable NIfTI"),
    ("no bytes", "not a readable NIfTI"),
    ("cut short", "cut short"),
    ("2-D", r"2-D image of shape \(5, 4\)"),
    ("4-D", r"4-D image of shape \(3, 5, 4, 2\)"),
    ("empty", r"empty volume of shape \(3, 0, 4\)"),
    ("NaN", "2 of 60 voxels are NaN or infinite"),
    ("flat affine", "cannot be inverted"),
  ],
)
def test_what_cannot_be_used_is_reported_with_its_path(tmp_path, kind, message):
  path = tmp_path / "sub-1_T2w.nii.gz"
  _broken(path, kind)
  with pytest.raises(InputError, match=message) as caught:
    read_volume(path)
  assert caught.value.path == path


def test_a_failed_write_leaves_the_old_file(tmp_path, coded, monkeypatch):
  volume = read_volume(coded)
  path = tmp_path / "out" / "labels.nii.gz"
  write_volume(path, np.ones(SHAPE, np.uint8), volume)

  def full(_, place):
    place.write_bytes(b"half")
    raise OSError("No space left on device")

  monkeypatch.setattr(nib, "save", full)
  with pytest.raises(OSError, match="No space"):
    write_volume(path, np.zeros(SHAPE, np.uint8), volume)
  monkeypatch.undo()
  assert np.all(read_volume(path).array == 1)
  assert len(list(path.parent.iterdir())) == 1


def test_a_gzip_with_a_wrong_checksum_is_refused(tmp_path):
  path = tmp_path / "flipped.nii.gz"
  voxels = np.random.default_rng(0).integers(0, 9, (9, 9, 9)).astype(np.uint8)
  content = nib.Nifti1Image(voxels, np.eye(4)).to_bytes()
  packed = bytearray(gzip.compress(content))
  packed[-6] ^= 1  # in the checksum: the stream itself still decodes
  path.write_bytes(packed)
  with pytest.raises(InputError, match=r"flipped\.nii\.gz.*damaged"):
    read_volume(path)
