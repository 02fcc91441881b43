"""Everything in a header that changes what voxels mean is read or refused."""

import gzip
import itertools
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lumbar_jax.data.volumes import read_volume, write_volume
from lumbar_jax.errors import InputError
from lumbar_jax.formats.orientation import check_orientation

SHAPE = (7, 6, 5)
# Stored as scanners do: columns, rows, slices; 1 x 1 x 4 mm.
AFFINE = np.array([[0, 0, 4, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def _voxels(dtype=np.int16):
  values = np.random.default_rng(0).permutation(np.prod(SHAPE))
  return values.reshape(SHAPE).astype(dtype)


def _image(codes=(1, 1), affine=AFFINE, kind=nib.Nifti1Image, array=None):
  image = kind(_voxels() if array is None else array, affine)
  image.set_sform(affine, codes[0])
  image.set_qform(affine, codes[1])
  image.header.set_xyzt_units("mm")
  return image


def _write(path, image, **fields):
  """Writes an image with header fields as given, whatever nibabel thinks."""
  content = bytearray(image.to_bytes())
  kind = type(image.header)
  header = kind(bytes(content[: kind.sizeof_hdr]), check=False)
  for name, value in fields.items():
    header[name] = value
  content[: kind.sizeof_hdr] = header.binaryblock
  packed = path.suffix == ".gz"
  path.write_bytes(gzip.compress(content) if packed else content)
  return path


def _problems(volume):
  return [note.problem for note in volume.notes]


def _round_trip(volume, path):
  """Writes a mask on a volume's grid and returns it as nibabel reads it."""
  labels = (volume.array % 3).astype(np.uint8)
  write_volume(path, labels, volume)
  found = read_volume(path, dtype=None)
  np.testing.assert_array_equal(found.array, labels)
  assert found.same_grid(volume)
  return nib.load(path)


def test_a_plain_header_has_nothing_to_tell(tmp_path):
  volume = read_volume(_write(tmp_path / "a.nii.gz", _image()))
  assert volume.notes == ()
  np.testing.assert_array_equal(volume.stored_affine, AFFINE)


@pytest.mark.parametrize("codes", [(0, 1), (2, 1)])
@pytest.mark.parametrize("vector", [(0.6, 0.8, 0.002), (0.3, -0.4, 0.8661)])
def test_a_quaternion_a_rounding_error_too_long(tmp_path, codes, vector):
  names = ("quatern_b", "quatern_c", "quatern_d")
  fields = dict(zip(names, vector, strict=True))
  turn = np.eye(4)
  turn[:3, :3] = Rotation.from_quat([*vector, 0]).as_matrix()
  affine = turn @ np.diag([1.0, 1, 4, 1])
  image = _image(codes, affine)
  volume = read_volume(_write(tmp_path / "a.nii", image, **fields))
  np.testing.assert_allclose(volume.stored_affine, affine, atol=1e-6)
  assert volume.notes == ()
  mask = _round_trip(volume, tmp_path / "mask.nii.gz")
  np.testing.assert_allclose(mask.affine, affine, atol=1e-6)
  np.testing.assert_allclose(mask.header.get_qform(), affine, atol=1e-3)
  assert mask.header["qform_code"] == 1


@pytest.mark.parametrize(
  ("fields", "shown"),
  [
    ({"quatern_b": 1.4}, "quaternion has the length 1.4"),
    ({"quatern_c": np.nan}, "quaternion has the length nan"),
    ({"pixdim": [1, 1, 0, 4, 0, 0, 0, 0]}, "pixdim is 1 x 0 x 4"),
    ({"qoffset_x": np.inf}, "origin is [inf"),
  ],
)
def test_a_qform_that_makes_no_sense(tmp_path, fields, shown):
  rest = {"quatern_b": 0, "quatern_c": 0, "quatern_d": 0} | fields
  path = _write(tmp_path / "q.nii", _image((0, 1)), **rest)
  with pytest.raises(InputError) as caught:
    read_volume(path)
  assert shown in caught.value.problem
  volume = read_volume(_write(tmp_path / "s.nii", _image((1, 1)), **rest))
  (problem,) = _problems(volume)
  assert "qform makes no sense" in problem
  assert shown in problem
  np.testing.assert_array_equal(volume.stored_affine, AFFINE)
  mask = _round_trip(volume, tmp_path / "mask.nii.gz")
  np.testing.assert_array_equal(mask.affine, AFFINE)
  assert (mask.header["sform_code"], mask.header["qform_code"]) == (1, 0)


@pytest.mark.parametrize("codes", [(0, 1), (1, 1), (1, 0)])
@pytest.mark.parametrize("qfac", [1, -1, 0, 7, -7, np.nan])
def test_a_qfac_that_is_not_defined(tmp_path, caplog, capfd, codes, qfac):
  pixdim = [qfac, 1, 1, 4, 0, 0, 0, 0]
  image = _image(codes, np.diag([1.0, 1, 4, 1]))
  volume = read_volume(_write(tmp_path / "q.nii", image, pixdim=pixdim))
  told = [p for p in _problems(volume) if p.startswith("pixdim[0] is")]
  assert len(told) == (codes == (0, 1) and qfac not in (-1, 0, 1))
  third = -4 if qfac < 0 and codes == (0, 1) else 4
  assert volume.stored_affine[2, 2] == third
  write_volume(tmp_path / "mask.nii.gz", volume.array, volume)
  assert "qfac" not in caplog.text + capfd.readouterr().err
  mask = nib.load(tmp_path / "mask.nii.gz")
  np.testing.assert_allclose(mask.affine, volume.stored_affine)


def test_no_orientation_is_refused_or_given(tmp_path):
  for name, codes in (("good", (1, 1)), ("bare", (0, 0))):
    _write(tmp_path / f"{name}.nii", _image(codes))
  with pytest.raises(InputError) as caught:
    read_volume(tmp_path / "bare.nii")
  text = str(caught.value)
  for word in ("sform_code", "qform_code", "bare.nii", "--assume_orientation="):
    assert word in text
  assert "--config.data.assume_orientation=" in text
  good = read_volume(tmp_path / "good.nii", assume_orientation="RAS")
  assert good.notes == ()  # its header says it
  bare = read_volume(tmp_path / "bare.nii", assume_orientation="pir")
  np.testing.assert_array_equal(bare.array, good.array)
  np.testing.assert_allclose(bare.spacing_mm, good.spacing_mm)
  assert "taken as PIR" in _problems(bare)[0]
  write_volume(tmp_path / "mask.nii.gz", bare.array, bare)
  mask = nib.load(tmp_path / "mask.nii.gz")
  np.testing.assert_array_equal(mask.affine, nib.load(bare.path).affine)
  assert mask.header["sform_code"] == mask.header["qform_code"] == 0


def test_codes_that_set_nothing_are_told_as_they_are(tmp_path):
  for codes, shown in (
    ((-1, -1), "sform_code and qform_code are -1"),
    ((0, -3), "sform_code is 0 and qform_code -3"),
  ):
    fields = dict(zip(("sform_code", "qform_code"), codes, strict=True))
    path = _write(tmp_path / "a.nii", _image(), **fields)
    with pytest.raises(InputError) as caught:
      read_volume(path)
    assert shown in caught.value.problem
    assumed = read_volume(path, assume_orientation="RAS")
    assert any(shown in problem for problem in _problems(assumed))


def test_every_assumed_orientation_is_nibabels(tmp_path):
  path = _write(tmp_path / "bare.nii", _image((0, 0)))
  sides = itertools.product("LR", "PA", "IS")
  orders = [p for axes in sides for p in itertools.permutations(axes)]
  assert len(set(orders)) == 48
  for letters in orders:
    volume = read_volume(path, assume_orientation="".join(letters))
    assert nib.aff2axcodes(volume.stored_affine) == letters
    middle = volume.stored_affine @ [*(np.array(SHAPE) - 1) / 2, 1]
    np.testing.assert_allclose(middle[:3], 0, atol=1e-9)
    np.testing.assert_allclose(
      nib.affines.voxel_sizes(volume.stored_affine), (1, 1, 4)
    )


@pytest.mark.parametrize("letters", ["RA", "RAR", "RASL", "XYZ", "LRS", "123"])
def test_no_orientation_but_three_letters(letters):
  with pytest.raises(InputError, match="such as RAS or LPI"):
    check_orientation(letters)
  assert check_orientation("lpi") == "LPI"
  assert check_orientation("") == ""


@pytest.mark.parametrize(
  ("unit", "scale", "factor", "shown"),
  [
    ("meter", 1e-3, 1e3, "metre"),
    ("micron", 1e3, 1e-3, "micron"),
    ("meter", 1, 1, "metre, but voxels of 1 x 1 x 4 metre cannot be"),
    ("micron", 1, 1, "micron, but"),
    ("mm", 1, 1, None),
    ("unknown", 1, 1, None),
  ],
)
def test_units(tmp_path, unit, scale, factor, shown):
  affine = np.diag([scale, scale, scale, 1]) @ AFFINE
  image = _image(affine=affine)
  image.header.set_xyzt_units(unit)
  volume = read_volume(_write(tmp_path / "a.nii", image))
  np.testing.assert_allclose(volume.spacing_mm, (4, 1, 1), rtol=1e-6)
  np.testing.assert_allclose(
    volume.stored_affine[:3], factor * affine[:3], rtol=1e-6
  )
  problems = _problems(volume)
  assert len(problems) == (shown is not None)
  assert all(shown in problem for problem in problems)
  mask = _round_trip(volume, tmp_path / "mask.nii.gz")
  np.testing.assert_array_equal(mask.affine, nib.load(volume.path).affine)
  assert mask.header.get_xyzt_units()[0] == unit


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
def test_every_type_of_number_version_and_byte_order(tmp_path, kind, order):
  pair = {nib.Nifti1Image: nib.Nifti1Pair, nib.Nifti2Image: nib.Nifti2Pair}
  for code in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
    array = (_voxels() % 100).astype(code)
    for form, name in ((kind, f"{code}.nii.gz"), (pair[kind], f"{code}.img")):
      header = form.header_class(endianness=order)
      header.set_data_dtype(np.dtype(code))
      image = form(array, AFFINE, header)
      nib.save(image, tmp_path / name)
      volume = read_volume(tmp_path / name, dtype=None)
      assert volume.array.dtype == np.dtype(code)
      assert volume.notes == ()
      np.testing.assert_array_equal(volume.array, array[::1].transpose(2, 1, 0))
  mask = _round_trip(volume, tmp_path / "mask.nii.gz")
  np.testing.assert_array_equal(mask.affine, AFFINE)
  assert type(mask) is kind


@pytest.mark.parametrize(
  ("dtype", "shown"),
  [
    ([("R", "u1"), ("G", "u1"), ("B", "u1")], "colours (RGB)"),
    ([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")], "colours (RGBA)"),
    (np.complex64, "complex numbers"),
    (np.complex128, "complex numbers"),
  ],
)
def test_what_is_no_grey_value_is_refused(tmp_path, dtype, shown):
  path = tmp_path / "p2_T2w.nii.gz"
  nib.save(nib.Nifti1Image(np.zeros(SHAPE, dtype), AFFINE), path)
  with pytest.raises(InputError, match="grey values") as caught:
    read_volume(path)
  assert shown in caught.value.problem
  assert caught.value.path == path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nothing_is_allocated_for_what_a_file_cannot_hold(tmp_path, name, kind):
  dim = [3, 30000, 30000, 30000, 1, 1, 1, 1]
  path = _write(tmp_path / name, _image(kind=kind), dim=dim)
  tracemalloc.start()
  with pytest.raises(InputError, match="cut short") as caught:
    read_volume(path)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 4e6
  assert "54000000000" in caught.value.problem


@pytest.mark.parametrize(
  ("fields", "shown"),
  [
    ({"dim": [0, 7, 6, 5, 1, 1, 1, 1]}, "dim is"),
    ({"dim": [9, 7, 6, 5, 1, 1, 1, 1]}, "dim is"),
    ({"dim": [3, 7, -6, 5, 1, 1, 1, 1]}, "dim is"),
    ({"vox_offset": 0}, "vox_offset is 0"),
    ({"vox_offset": np.nan}, "vox_offset is nan"),
    ({"scl_slope": 2, "scl_inter": np.nan}, "scl_inter nan"),
    ({"datatype": 1536}, "numbers of 128 bits"),
    ({"datatype": 77}, "unknown type 77"),
    ({"srow_x": [0, 0, 0, 0]}, "cannot be inverted"),
    ({"srow_x": [0, 0, np.nan, 0]}, "cannot be inverted"),
    ({"srow_x": [0, 1, 0, 0], "srow_z": [0, 1, 0, 0]}, "cannot be inverted"),
  ],
)
def test_fields_that_cannot_be(tmp_path, fields, shown):
  path = _write(tmp_path / "a.nii", _image(), **fields)
  with pytest.raises(InputError) as caught:
    read_volume(path)
  assert shown in caught.value.problem
  assert caught.value.path == path


@pytest.mark.parametrize(
  ("fields", "shown"),
  [
    ({"scl_slope": np.nan}, "scl_slope is nan"),
    ({"bitpix": 8}, "8 bits a voxel and a data type of 16"),
    ({"sform_code": 17}, "sform_code is 17"),
    ({"qform_code": -3}, "qform_code is -3"),
    ({"xyzt_units": 5}, "unknown unit (5)"),
    ({"srow_x": [0, 0, -4, 0]}, "(PIL and PIR axes) put a corner"),
    ({"qoffset_x": 0.5}, "sform and qform put a corner 0.5 mm apart"),
    (
      {"qform_code": 0, "pixdim": [1, 1, 1, 8, 0, 0, 0, 0]},
      "pixdim is 1 x 1 x 8 mm, and by the sform 1 x 1 x 4 mm",
    ),
    (
      {"qform_code": 0, "pixdim": [1, 0, np.nan, 4, 0, 0, 0, 0]},
      "pixdim is 0 x nan x 4 mm",
    ),
    (
      {"qform_code": 0, "srow_x": [0.25, 0, 4, 0]},
      "not at right angles (but at 76.0",
    ),
    ({"dim": [3, 7, 6, 3, 1, 1, 1, 1]}, "168 bytes more"),
  ],
)
def test_what_is_doubtful_is_told_and_used(tmp_path, fields, shown):
  volume = read_volume(_write(tmp_path / "a.nii.gz", _image(), **fields))
  assert any(shown in problem for problem in _problems(volume))
  mask = _round_trip(volume, tmp_path / "mask.nii.gz")
  np.testing.assert_allclose(mask.affine, volume.stored_affine, atol=1e-6)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf])
def test_no_scaling_leaves_values_as_stored(tmp_path, slope):
  path = _write(tmp_path / "a.nii", _image(), scl_slope=slope, scl_inter=7)
  stored = np.sort(read_volume(path).array, axis=None)
  np.testing.assert_array_equal(stored, np.arange(np.prod(SHAPE)))


@pytest.mark.parametrize("sizes", [(0.04, 1, 4), (1, 1, 31)])
def test_sizes_that_no_spine_has(tmp_path, sizes):
  image = _image(affine=AFFINE @ np.diag([*sizes / np.array([1, 1, 4]), 1]))
  (problem,) = _problems(read_volume(_write(tmp_path / "a.nii", image)))
  assert "hardly of a spine" in problem
  flat = _voxels()[:, :, :1]  # the thickness of one slice is not seen
  image = _image(affine=image.affine * [1, 1, 9, 1], array=flat)
  sizes = nib.affines.voxel_sizes(image.affine)[:2]
  notes = read_volume(_write(tmp_path / "b.nii", image)).notes
  assert len(notes) == (min(sizes) < 0.05)


def test_further_axes_of_one_index_are_left_out(tmp_path):
  for extra in ((1,), (1, 1)):
    array = _voxels().reshape(*SHAPE, *extra)
    path = _write(tmp_path / "a.nii.gz", _image(array=array))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, _voxels().transpose(2, 1, 0))
    assert _round_trip(volume, tmp_path / "mask.nii.gz").shape == SHAPE


def test_content_tells_what_is_packed_not_the_name(tmp_path):
  plain = _write(tmp_path / "a.nii", _image())
  (tmp_path / "b.nii.gz").write_bytes(plain.read_bytes())
  (tmp_path / "c.nii").write_bytes(gzip.compress(plain.read_bytes()))
  for name in ("b.nii.gz", "c.nii"):
    np.testing.assert_array_equal(
      read_volume(tmp_path / name).array, read_volume(plain).array
    )


@pytest.mark.parametrize(
  ("content", "shown"),
  [
    (b"version https://git-lfs.github.com/spec/v1\n" * 20, "not fetched"),
    (b"/annex/objects/SHA256E-s12--0.nii.gz\n" + b" " * 400, "not fetched"),
    (b"\0" * 128 + b"DICM" + b"\0" * 400, "a DICOM file"),
    (b"<html>" + b" " * 400, "HTML"),
    (b"abc", "only 3 bytes"),
  ],
)
def test_what_a_file_is_instead(tmp_path, content, shown):
  path = tmp_path / "a.nii.gz"
  path.write_bytes(content)
  with pytest.raises(InputError, match="not a readable NIfTI") as caught:
    read_volume(path)
  assert shown in caught.value.problem


def test_half_a_pair_and_analyze_and_links_to_nothing(tmp_path):
  nib.save(nib.Nifti1Pair(_voxels(), AFFINE), tmp_path / "a.img")
  (tmp_path / "a.img").unlink()
  with pytest.raises(InputError, match="without its other file"):
    read_volume(tmp_path / "a.hdr")
  nib.save(nib.AnalyzeImage(_voxels(), AFFINE), tmp_path / "b.img")
  with pytest.raises(InputError, match="an Analyze file"):
    read_volume(tmp_path / "b.img")
  (tmp_path / "c.nii").symlink_to("objects/c.nii")
  with pytest.raises(InputError, match="content not fetched"):
    read_volume(tmp_path / "c.nii")
