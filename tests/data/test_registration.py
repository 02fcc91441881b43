"""A known displacement is found, and a wrong one is not believed."""

import concurrent.futures
import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lumbar_jax.data import phantom
from lumbar_jax.data.registration import (
  mutual_information,
  register,
  resample,
)
from lumbar_jax.data.volumes import Volume, read_volume
from lumbar_jax.errors import InputError

MOTION = phantom.Motion((2.6, 0.9, -1.1), (2.5, -3.0, 3.2))


def make_volume(array, affine, name="x.nii"):
  array = np.asarray(array, np.float32)
  header = nib.Nifti1Header()
  return Volume(array, affine, affine, array.shape, header, Path(name))


def make_pair(simulation):
  return (
    make_volume(simulation.t2w, simulation.t2w_affine, "t2w.nii"),
    make_volume(simulation.t1w, simulation.t1w_affine, "t1w.nii"),
  )


@pytest.fixture(scope="module")
def moved():
  return phantom.simulate("demo", 0, seed=3, motion=MOTION)


@pytest.fixture(scope="module")
def still():
  return phantom.simulate("demo", 1, seed=3, motion=phantom.Motion())


@pytest.fixture(scope="module")
def registered(moved):
  return register(*make_pair(moved))


def middle(volume, shift_mm=(0.0, 0.0)):
  """Returns one slice as a volume, its header off by (rows, columns)."""
  number = len(volume.array) // 2
  affine = volume.affine.copy()
  step = affine[:3, 1:3] / np.linalg.norm(affine[:3, 1:3], axis=0)
  affine[:3, 3] += affine[:3, 0] * number + step @ shift_mm
  return make_volume(volume.array[number : number + 1], affine)


def in_plane_error_mm(registration, simulation, motion):
  points = np.stack(list(simulation.landmarks.values()))
  matrix = registration.matrix
  found = points @ matrix[:3, :3].T + matrix[:3, 3]
  axes = simulation.t2w_affine[:3, 1:3]
  axes = axes / np.linalg.norm(axes, axis=0)
  difference = (found - motion.t2w_to_t1w(points)) @ axes
  return np.linalg.norm(difference, axis=1).mean()


def test_a_known_displacement_is_recovered_in_plane(moved, registered):
  unmoved = dataclasses.replace(registered, matrix=np.eye(4))
  assert in_plane_error_mm(unmoved, moved, MOTION) > 2
  assert registered.verdict == "accepted"
  assert in_plane_error_mm(registered, moved, MOTION) < 0.5
  assert registered.metric_after > registered.metric_before
  mean, largest = registered.displacement_mm
  assert 2 < mean < largest < 15


def test_no_displacement_stays_within_a_fraction_of_a_voxel(still):
  result = register(*make_pair(still), "rigid")
  assert result.verdict == "accepted"
  assert in_plane_error_mm(result, still, phantom.Motion()) < 0.5
  assert result.displacement_mm[0] < 1.4  # a voxel is 1.38 mm in plane


def test_the_result_is_the_same_bit_for_bit(moved, registered):
  fixed, moving = make_pair(moved)
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    jobs = [pool.submit(register, fixed, moving) for _ in range(2)]
  for job in jobs:
    np.testing.assert_array_equal(job.result().matrix, registered.matrix)
    np.testing.assert_array_equal(job.result().array, registered.array)
    assert job.result().record() == registered.record()


def test_too_large_a_displacement_keeps_the_headers(moved):
  fixed, moving = make_pair(moved)
  result = register(fixed, moving, "rigid", bound_mm=1.0)
  header = register(fixed, moving, "none")
  assert result.verdict.startswith("refused: it moves the body by up to")
  assert "config.data.registration_bound_mm = 1" in result.verdict
  np.testing.assert_array_equal(result.array, header.array)
  np.testing.assert_allclose(result.matrix, np.eye(4), atol=1e-9)
  assert result.displacement_mm[1] > 1


def test_a_worse_metric_keeps_the_headers(moved, monkeypatch):
  from lumbar_jax.data import alignment

  shift = np.eye(4)
  shift[1, 3] = 12.0  # mm, away from the truth
  monkeypatch.setattr(alignment, "optimise", lambda *_: (shift, None))
  fixed, moving = make_pair(moved)
  result = register(fixed, moving)
  assert result.verdict.startswith("refused: mutual information fell")
  assert result.metric_after < result.metric_before
  header = register(fixed, moving, "none")
  np.testing.assert_array_equal(result.array, header.array)


def test_a_transform_that_leaves_the_image_is_refused(still, monkeypatch):
  from lumbar_jax.data import alignment

  away = np.eye(4)
  away[2, 3] = 10_000.0
  monkeypatch.setattr(alignment, "optimise", lambda *_: (away, None))
  result = register(*make_pair(still), bound_mm=1e6)
  assert result.verdict == "refused: it keeps 0% of the headers' overlap"


@pytest.mark.parametrize("shift_mm", [(4.0, -3.0), (-5.0, 6.0)])
def test_single_slices_register_in_plane(still, shift_mm):
  fixed, moving = make_pair(still)
  # Planes 7 mm apart by the headers are still each other's counterpart.
  moving = middle(moving, shift_mm)
  moving.affine[0, 3] += 7
  result = register(middle(fixed), moving)
  assert result.verdict == "accepted"
  assert result.array.shape == (1, *fixed.array.shape[1:])
  points = np.stack(list(still.landmarks.values()))
  moved_to = points @ result.matrix[:3, :3].T + result.matrix[:3, 3]
  axes = fixed.affine[:3, 1:3] / np.linalg.norm(fixed.affine[:3, 1:3], axis=0)
  difference = (moved_to - points) @ axes - shift_mm
  assert np.linalg.norm(difference, axis=1).mean() < 0.7


def test_one_slice_of_a_volume_covers_one_slice(still):
  fixed, moving = make_pair(still)
  result = register(fixed, middle(moving), "none")
  covered = result.field.any((1, 2))
  assert covered.sum() == 1
  assert covered[len(fixed.array) // 2]


def test_resampling_a_ramp_is_exact():
  """A linear function is its own linear interpolation, however oblique."""
  world = np.array([0.3, -0.7, 1.1])
  tilt = Rotation.from_euler("xyz", (3, -5, 4), degrees=True).as_matrix()
  affine = np.eye(4)
  affine[:3, :3] = tilt * (4.0, 1.1, 0.9)
  moving_affine = np.eye(4)
  moving_affine[:3, :3] = np.diag([3.5, 1.0, 1.0])
  moving_affine[:3, 3] = -10
  shape = (6, 30, 32)
  grid = np.stack(np.indices((16, 60, 60)), -1) @ moving_affine[:3, :3].T
  ramp = (grid + moving_affine[:3, 3]) @ world
  index_map = np.linalg.inv(moving_affine) @ affine
  result, field = resample(ramp, index_map, shape)
  points = np.stack(np.indices(shape), -1) @ affine[:3, :3].T
  index = (points + 10) / (3.5, 1.0, 1.0)
  last = np.array((15, 59, 59))
  interior = ((index >= 0) & (index <= last)).all(-1)
  assert interior.mean() > 0.3
  np.testing.assert_allclose(
    result[interior], (points @ world)[interior], atol=1e-3
  )
  extent = ((index >= -0.5) & (index <= last + 0.5)).all(-1)
  assert (field == extent).mean() > 0.999


def test_none_agrees_with_simpleitk(moved):
  sitk = pytest.importorskip("SimpleITK")
  fixed, moving = make_pair(moved)
  images = []
  for volume in (fixed, moving):
    lps = np.diag([-1, -1, 1]) @ volume.affine[:3]
    image = sitk.GetImageFromArray(volume.array)
    spacing = np.array(volume.spacing_mm)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection((lps[:, :3] / spacing)[:, ::-1].ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    images.append(image)
  expected = sitk.Resample(
    images[1], images[0], sitk.Transform(), sitk.sitkLinear, -1.0
  )
  expected = sitk.GetArrayFromImage(expected)
  result = register(fixed, moving, "none")
  inside = expected >= 0
  assert inside.mean() > 0.5
  scale = moving.array.max()
  difference = np.abs(result.array - expected)[inside] / scale
  assert np.quantile(difference, 0.999) < 1e-3


def test_mutual_information_of_known_tables():
  values = np.arange(32).repeat(100).astype(float)
  np.testing.assert_allclose(
    mutual_information(values, -3 * values), np.log(32), rtol=0.05
  )
  rng = np.random.default_rng(0)
  assert mutual_information(values, rng.permutation(values)) < 0.3


def test_strangers_and_unknown_methods_are_refused(still):
  fixed, moving = make_pair(still)
  away = moving.affine.copy()
  away[:3, 3] += 2000
  with pytest.raises(InputError, match=r"^x\.nii: it does not overlap"):
    register(fixed, make_volume(moving.array, away), "none")
  with pytest.raises(InputError, match="did you mean rigid"):
    register(fixed, moving, "rigids")


@pytest.mark.real_data
def test_real_pairs_are_registered_or_refused(real_data):
  """009's T1w was rescaled by 9%: found, and more than the bound."""
  verdicts = {}
  for patient in ("sub-009", "sub-081", "sub-117"):
    folder = real_data / "spider_t1t2_midsag" / patient
    fixed, moving = (
      read_volume(next(folder.rglob(f"*_{channel}.nii.gz")))
      for channel in ("T2w", "T1w")
    )
    result = register(fixed, moving)
    assert result.metric_after > result.metric_before + 0.03
    verdicts[patient] = result.verdict.split(":")[0]
  assert verdicts == {
    "sub-009": "refused",
    "sub-081": "accepted",
    "sub-117": "accepted",
  }
