"""Surface distances: by hand, and against SimpleITK."""

import numpy as np
import pytest
from scipy import ndimage

from lumbar_jax.anatomy import IGNORE, Scheme, Structure
from lumbar_jax.evaluation.surface import summary, surface_scores

SPACING = (4.0, 0.5, 1.25)
NAN = float("nan")


def plane(place, shape=(9, 30, 24), axis=1, number=1):
  """Returns labels with one layer of voxels of a class."""
  labels = np.zeros(shape, np.uint8)
  np.moveaxis(labels, axis, 0)[place] = number
  return labels


def of_class(scores, number=1):
  return [float(values[number]) for values in scores]


def blobs(seed, shape=(8, 30, 26), num_classes=3):
  """Returns two label volumes of similar, ragged blobs."""
  rng = np.random.default_rng(seed)

  def field(sigma):
    noise = rng.normal(size=(num_classes, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 1, sigma, sigma))
    return smooth / smooth.std()

  first = field(3)
  second = first + 0.6 * field(2)
  return [np.argmax(f, axis=0).astype(np.uint8) for f in (first, second)]


def sitk_scores(truth, predicted, spacing, tolerance_mm):
  """Returns HD95, ASSD and NSD of two bool volumes by SimpleITK's filters."""
  sitk = pytest.importorskip("SimpleITK")
  contours, distances = [], []
  for mask in (truth, predicted):
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    contour = sitk.LabelContour(image, fullyConnected=False)
    apart = sitk.SignedMaurerDistanceMap(
      contour, squaredDistance=False, useImageSpacing=True
    )
    contours.append(sitk.GetArrayFromImage(contour) > 0)
    apart = np.maximum(sitk.GetArrayFromImage(apart), 0)
    distances.append(apart)
  there, back = distances[1][contours[0]], distances[0][contours[1]]
  both = np.concatenate([there, back])
  hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
  return hd95, both.mean(), (both <= tolerance_mm + 1e-4).mean()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [(1, 1, 1), (4.4, 0.6, 0.6), (2, 1.3, 0.4)])
def test_equals_simpleitk(seed, spacing):
  truth, predicted = blobs(seed)
  for tolerance_mm in (0.7, 2.0):
    found = surface_scores(truth, predicted, spacing, 3, tolerance_mm)
    for number in (1, 2):
      expected = sitk_scores(
        truth == number, predicted == number, spacing, tolerance_mm
      )
      assert of_class(found, number) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_are_as_far_apart_as_the_spacing_says(axis):
  truth, predicted = plane(2, axis=axis), plane(5, axis=axis)
  apart = 3 * SPACING[axis]
  found = surface_scores(truth, predicted, SPACING, 2, tolerance_mm=apart)
  assert of_class(found) == pytest.approx([apart, apart, 1])
  found = surface_scores(truth, predicted, SPACING, 2, apart - 0.01)
  assert of_class(found) == pytest.approx([apart, apart, 0])


def test_equal_segmentations():
  truth, _ = blobs(0)
  found = surface_scores(truth, truth, SPACING, 3)
  for number in (1, 2):
    assert of_class(found, number) == [0, 0, 1]
  assert np.isnan(found.nsd[0])  # the background


def test_a_distant_speck_moves_the_mean_but_not_hd95():
  truth = plane(3, shape=(4, 10, 50))  # 200 voxels
  predicted = truth.copy()
  predicted[0, 9, 0] = 1  # 6 rows off
  hd95_mm, assd_mm, nsd = of_class(surface_scores(truth, predicted, SPACING, 2))
  assert hd95_mm == 0
  assert assd_mm == pytest.approx(6 * 0.5 / 401)
  assert nsd == pytest.approx(400 / 401)


def test_hd95_is_the_larger_of_both_directions():
  # The prediction has a second plane, 8 rows off: a half of its surface.
  truth = plane(3)
  predicted = truth + plane(11)
  found = surface_scores(truth, predicted, SPACING, 2)
  swapped = surface_scores(predicted, truth, SPACING, 2)
  assert of_class(found) == pytest.approx([4, 4 / 3, 2 / 3])
  assert of_class(swapped) == of_class(found)


def test_inner_voxels_are_no_surface():
  truth = np.zeros((7, 9, 9), np.uint8)
  truth[2:5, 2:7, 2:7] = 1
  hollow = truth.copy()
  hollow[3, 3:6, 3:6] = 0  # its wall gains the voxels beside the hole: none
  found = surface_scores(truth, hollow, (1, 1, 1), 2, tolerance_mm=0.5)
  assert of_class(found) == [0, 0, 1]


def test_classes_do_not_see_each_other():
  truth, predicted = plane(2), plane(4)
  alone = surface_scores(truth, predicted, SPACING, 3)
  truth[:, 20], predicted[:, 27] = 2, 2
  both = surface_scores(truth, predicted, SPACING, 3)
  assert of_class(both, 1) == of_class(alone, 1)
  assert of_class(both, 2) == pytest.approx([3.5, 3.5, 0])


def test_class_numbers_and_volume_borders_make_no_difference():
  truth, predicted = (m[1:5, 3:20, 2:18] > 0 for m in blobs(1))
  small = surface_scores(
    truth.astype(np.uint8), predicted.astype(np.uint8), SPACING, 2
  )
  large = surface_scores(
    np.pad(truth, 3) * np.uint8(7), np.pad(predicted, 3) * np.uint8(7),
    SPACING, 12,
  )  # fmt: skip
  assert of_class(large, 7) == pytest.approx(of_class(small))


class TestAbsent:
  def test_absent_from_both_is_nan(self):
    found = surface_scores(plane(1), plane(1), SPACING, 4)
    assert np.isnan(of_class(found, 2)).all()
    assert not found.missed.any()

  @pytest.mark.parametrize("swap", [False, True])
  def test_absent_from_one_is_missed(self, swap):
    pair = [plane(1), np.zeros_like(plane(1))]
    found = surface_scores(*(pair[::-1] if swap else pair), SPACING, 3)
    hd95_mm, assd_mm, nsd = of_class(found)
    assert np.isnan([hd95_mm, assd_mm]).all()
    assert nsd == 0
    assert found.missed.tolist() == [False, True, False]

  def test_the_mean_says_how_many_it_leaves_out(self):
    nothing = np.zeros_like(plane(1))
    scheme = Scheme(
      "three", tuple(Structure(n, "#000000") for n in ("Bg", "A", "B"))
    )
    studies = [
      surface_scores(plane(1), plane(3), SPACING, 3),  # 1 mm
      surface_scores(plane(1), plane(9), SPACING, 3),  # 4 mm
      surface_scores(plane(1), nothing, SPACING, 3),
      surface_scores(nothing, nothing, SPACING, 3),
    ]
    first, second = summary(studies, scheme)
    assert first["class"] == "A"
    assert first["hd95_mm"] == pytest.approx(2.5)
    assert first["assd_mm"] == pytest.approx(2.5)
    assert first["nsd"] == pytest.approx(1 / 3)
    assert (first["num_studies"], first["num_missed"]) == (2, 1)
    assert np.isnan(second["hd95_mm"])
    assert (second["num_studies"], second["num_missed"]) == (0, 0)


class TestIgnored:
  def test_ignored_voxels_are_no_surface_of_either(self):
    truth, predicted = plane(2), plane(4)
    expected = surface_scores(truth, predicted, SPACING, 2)
    truth[5:], predicted[5:, 20] = IGNORE, 1  # a wrong plane among unknowns
    found = surface_scores(truth, predicted, SPACING, 2)
    assert of_class(found) == pytest.approx(of_class(expected))

  def test_their_border_makes_no_surface(self):
    # Both fill rows 5 to 20; rows 12 and on are unknown in the truth. Of each
    # only the layer at row 5 is a surface, the prediction's one row lower.
    truth = np.zeros((1, 30, 24), np.uint8)
    truth[:, 5:21], predicted = 1, np.zeros_like(truth)
    predicted[:, 6:21] = 1
    truth[:, 12:] = IGNORE
    inner = np.pad(truth, ((4, 4), (0, 0), (0, 0)), mode="edge")
    inner[[0, -1]] = IGNORE  # and neither do the ends of the volume
    inner[..., [0, -1]] = IGNORE
    other = np.pad(predicted, ((4, 4), (0, 0), (0, 0)), mode="edge")
    found = surface_scores(inner, other, SPACING, 2, tolerance_mm=0.4)
    assert of_class(found) == pytest.approx([0.5, 0.5, 0])

  def test_a_class_found_only_there_is_absent(self):
    truth = np.full((3, 6, 6), IGNORE, np.uint8)
    truth[0] = 0
    predicted = np.zeros_like(truth)
    predicted[2] = 1
    found = surface_scores(truth, predicted, SPACING, 2)
    assert np.isnan(of_class(found)).all()


class TestSingleSlice:
  """Contours in the plane: with six neighbours every voxel is a surface."""

  def test_a_square_within_a_square(self):
    # 9 x 9 and 5 x 5 pixels of 1 mm, one centre. The outer contour has 32
    # pixels: those of its sides that face the inner one are 2 mm away, the
    # others (2 before each corner, and the corners) along a diagonal.
    truth, predicted = np.zeros((2, 1, 13, 13), np.uint8)
    truth[0, 2:11, 2:11], predicted[0, 4:9, 4:9] = 1, 1
    side, corner = [2.0] * 5 + [5**0.5] * 2, 8**0.5
    distances = 4 * [*side, corner] + 16 * [2.0]
    hd95_mm, assd_mm, nsd = of_class(
      surface_scores(truth, predicted, (4, 1, 1), 2, tolerance_mm=2)
    )
    assert assd_mm == pytest.approx(np.mean(distances))
    assert hd95_mm == pytest.approx(np.percentile(distances[:32], 95))
    assert nsd == pytest.approx((20 + 16) / 48)

  @pytest.mark.parametrize("seed", range(3))
  def test_equals_contours_by_scipy(self, seed):
    truth, predicted = (labels[:1] for labels in blobs(seed))
    contours, distances = [], []
    for labels in (truth[0], predicted[0]):
      mask = labels == 1
      contour = mask & ~ndimage.binary_erosion(mask)
      contours.append(contour)
      distances.append(ndimage.distance_transform_edt(~contour, (0.6, 1.1)))
    there, back = distances[1][contours[0]], distances[0][contours[1]]
    both = np.concatenate([there, back])
    hd95_mm = max(np.percentile(there, 95), np.percentile(back, 95))
    found = surface_scores(truth, predicted, (5, 0.6, 1.1), 3, 2.0)
    expected = hd95_mm, both.mean(), (both <= 2).mean()
    assert of_class(found) == pytest.approx(expected)

  def test_is_the_limit_of_many_equal_slices(self):
    truth, predicted = (labels[:1] for labels in blobs(5))
    truth[:, :4, :4] = IGNORE
    many = [np.repeat(labels, 5, axis=0) for labels in (truth, predicted)]
    many[0][[0, -1]] = IGNORE  # whose ends are not known to be ends
    one = surface_scores(truth, predicted, SPACING, 3)
    thick = surface_scores(*many, (100, *SPACING[1:]), 3)
    # (Percentiles between two values depend on how often each occurs.)
    np.testing.assert_allclose(np.stack(thick[1:]), np.stack(one[1:]))


def test_shapes_must_agree():
  with pytest.raises(ValueError, match=r"\(9, 30, 24\)"):
    surface_scores(plane(1), plane(1)[1:], SPACING, 2)
