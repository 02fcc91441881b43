"""Statistics over what they should be over, and nothing else."""

import numpy as np
import pytest

from lumbar_jax.data.normalisation import METHODS, normalise
from lumbar_jax.errors import InputError


@pytest.fixture
def array():
  rng = np.random.default_rng(0)
  values = rng.gamma(2.0, 50.0, (4, 20, 24)).astype(np.float32)
  values[:, :6] = 0
  return values


def test_volume_has_mean_zero_and_deviation_one(array):
  result = normalise(array, "volume")
  assert result.dtype == np.float32
  np.testing.assert_allclose(result.mean(), 0, atol=1e-5)
  np.testing.assert_allclose(result.std(), 1, atol=1e-5)
  np.testing.assert_allclose(
    result, (array - array.mean()) / array.std(), atol=1e-4
  )


def test_nonzero_takes_its_statistics_where_there_is_signal(array):
  result = normalise(array, "nonzero")
  signal = result[array != 0]
  np.testing.assert_allclose([signal.mean(), signal.std()], [0, 1], atol=1e-5)
  assert result[array == 0].max() < signal.min()


def test_percentiles_become_zero_and_one(array):
  """Half a percent of the voxels at either end is cut off."""
  result = normalise(array, "percentile")
  low, high = np.quantile(array.astype(float), (0.005, 0.995))
  expected = np.clip((array - low) / (high - low), 0, 1)
  np.testing.assert_allclose(result, expected, atol=1e-5)
  assert (result.min(), result.max()) == (0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_outside_the_field_nothing_counts(array, method):
  field = np.ones(array.shape, bool)
  field[:, :, 20:] = False
  garbage = np.where(field, array, 1e6)
  result = normalise(garbage, method, field)
  inside = normalise(array[:, :, :20], method)
  np.testing.assert_array_equal(result[:, :, :20], inside)
  assert (result[:, :, 20:] == inside.min()).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0.01, 7.0, 3000.0])
def test_the_scanner_gain_does_not_matter(array, method, scale):
  np.testing.assert_allclose(
    normalise(array * np.float32(scale), method),
    normalise(array, method),
    atol=1e-4,
  )


@pytest.mark.parametrize("value", [0.0, 3.0, 1e5])
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_image_is_named(method, value):
  with pytest.raises(InputError, match=r"t1\.nii: a constant image"):
    normalise(np.full((2, 3, 4), value, np.float32), method, path="t1.nii")


def test_unknown_methods_and_empty_fields_are_refused(array):
  with pytest.raises(InputError, match="did you mean volume"):
    normalise(array, "volumes")
  with pytest.raises(InputError, match=r"t1\.nii: none of its voxels"):
    normalise(array, "volume", np.zeros(array.shape, bool), "t1.nii")
