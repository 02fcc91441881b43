"""One check of images and masks, told alike by doctor, training, prediction."""

import json

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config as configs
from lumbar_jax.anatomy import (
  IGNORE,
  MIDAS12,
  SPIDER,
  Scheme,
  Structure,
  label_counts,
  map_labels,
)
from lumbar_jax.data import prepare
from lumbar_jax.data.checks import (
  as_record,
  check_all_masks,
  check_image,
  check_study,
  of_record,
)
from lumbar_jax.data.image_checks import obliqueness_deg, slice_plane
from lumbar_jax.data.prepare import (
  entry_digest,
  prepare_in_memory,
  prepare_study,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.errors import InputError

SHAPE = (20, 18, 5)
AFFINE = np.array([[0, 0, 4, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def _save(path, array, affine=AFFINE, codes=(1, 1)):
  image = nib.Nifti1Image(array, affine, dtype=array.dtype)
  image.set_sform(affine, codes[0])
  image.set_qform(affine, codes[1])
  nib.save(image, path)


def _picture(shape=SHAPE):
  return np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)


def _labels():
  return np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)


@pytest.fixture
def study(tmp_path):
  _save(tmp_path / "T2w.nii.gz", _picture())
  _save(tmp_path / "mask.nii.gz", _labels())
  images = {"T2w": tmp_path / "T2w.nii.gz"}
  return Study("sub-1", "", images, tmp_path / "mask.nii.gz")


@pytest.fixture
def settings():
  data = configs.default().data
  data.update(channels=("T2w",), scheme="spider")
  return data


def _told(study, settings, scheme=SPIDER, source=SPIDER):
  """Returns what doctor, prediction and training say of a study."""
  table = scheme.lookup(source, dict(settings.remap))
  row = check_study(study, settings, table)
  found = [(f.severity, f.problem) for f in row.findings]
  errors = [problem for severity, problem in found if severity == "error"]
  if errors:
    with pytest.raises(InputError) as caught:
      prepare_in_memory(study, settings, scheme, source)
    assert caught.value.problem == errors[0]
  else:
    flags = prepare_in_memory(study, settings, scheme, source).info["flags"]
    assert [flag.split(": ", 1)[1] for flag in flags] == [p for _, p in found]
  return found


def test_a_good_study_has_nothing_to_tell(study, settings):
  assert _told(study, settings) == []


@pytest.mark.parametrize(
  ("shape", "spacing", "plane"),
  [
    ((15, 384, 384), (4.4, 0.6, 0.6), "sagittal"),
    ((30, 640, 512), (0.9, 0.469, 0.469), "sagittal"),
    ((8, 104, 104), (5.7, 2.48, 2.48), "sagittal"),
    ((200, 400, 400), (0.8, 1.0, 1.0), "sagittal"),  # slices overlap
    ((201, 257, 38), (1, 1, 1), "sagittal"),
    ((60, 80, 100), (1, 1.15, 1), "sagittal"),
    ((104, 20, 104), (1, 1.15, 1), "axial"),
    ((104, 104, 30), (1, 1, 1.1), "coronal"),
    ((104, 20, 104), (1, 1.0001, 1), "sagittal"),
    ((20, 104, 104), (1, 1.15, 1), "sagittal"),
    ((1, 384, 384), (0.6, 0.6, 0.9), "sagittal"),
    ((96, 20, 96), (1, 4, 1), "axial"),
    ((96, 96, 20), (1, 1, 4), "coronal"),
    ((200, 100, 200), (1, 1.5, 1), "axial"),
    ((384, 1, 384), (4.4, 0.6, 0.6), "axial"),
    ((40, 30, 30), (1, 4, 4), "axial"),
  ],
)
def test_the_plane_of_the_slices(shape, spacing, plane):
  assert slice_plane(shape, spacing) == plane


@pytest.mark.parametrize("degrees", [0, 12, 40, 75])
def test_how_far_slices_are_turned(degrees):
  angle = np.deg2rad(degrees)
  affine = np.eye(4)
  affine[:2, 0] = 4 * np.cos(angle), 4 * np.sin(angle)
  affine[:2, 2] = np.sin(angle), -np.cos(angle)
  affine[:3, 1] = 0, 0, -1
  assert obliqueness_deg(affine) == pytest.approx(degrees, abs=1e-5)


def _replace_image(study, array=None, affine=AFFINE, codes=(1, 1)):
  array = _picture() if array is None else array
  _save(study.images["T2w"], array, affine, codes)
  shape = array.shape[:3]
  mask = np.random.default_rng(1).integers(0, 4, shape).astype(np.uint8)
  _save(study.mask, mask, affine, codes)


def _turned(degrees):
  angle = np.deg2rad(degrees)
  turn = np.eye(4)
  turn[:2, :2] = [
    [np.cos(angle), -np.sin(angle)],
    [np.sin(angle), np.cos(angle)],
  ]
  return turn @ AFFINE


@pytest.mark.parametrize(
  ("options", "words"),
  [
    ({"affine": np.diag([1.0, 1, 4, 1])}, "not sagittal by its header but ax"),
    ({"affine": np.diag([1.0, 4, 1, 1])}, "but coronal: voxels are 1 x 1 x 4"),
    ({"affine": _turned(40)}, "turned by 40 degrees from sagittal"),
    ({"array": (_picture() > 450) * np.int16(7)}, "2 different values only"),
  ],
)
def test_a_doubtful_image_is_told_by_all(study, settings, options, words):
  _replace_image(study, **options)
  ((severity, problem),) = _told(study, settings)
  assert severity == "warning"
  assert words in problem


@pytest.mark.parametrize(
  ("fields", "severities", "shape"),
  [
    ({"spacing_mm": 0.0}, [], ""),
    ({"spacing_mm": 1.1}, [], ""),
    ({"spacing_mm": 1.3}, ["warning"], "14 x 15"),
    ({"spacing_mm": 4.0}, ["error"], "4 x 5"),
    ({"spacing_mm": 0.1}, ["warning"], "180 x 200"),
    ({"image_size": 700}, ["error"], "700 x 700"),
    ({"image_size": 80}, [], ""),
    ({"image_size": 4}, ["error"], "4 x 4"),
  ],
)
def test_a_resolution_far_from_the_images_is_told_by_all(
  study, settings, fields, severities, shape
):
  settings.update(fields)
  told = _told(study, settings)
  assert [severity for severity, _ in told] == severities
  for _, problem in told:
    (name,) = fields
    assert f"config.data.{name} {fields[name]:g} makes slices" in problem
    assert f"of {shape} pixels from 18 x 20 of 1 x 1 mm" in problem


def test_headers_are_told_by_all(study, settings):
  image = nib.load(study.images["T2w"])
  image.header.set_intent("label")
  image.header.set_xyzt_units("micron")
  nib.save(image, study.images["T2w"])
  mask = nib.load(study.mask)
  mask.header.set_intent("label")  # as it should be
  nib.save(mask, study.mask)
  problems = [problem for _, problem in _told(study, settings)]
  assert len(problems) == 2
  assert "lengths in micron, but voxels of 1 x 1 x 4" in problems[0]
  assert "it is a label map (intent 1002, label)" in problems[1]


@pytest.mark.parametrize(
  ("intent", "labels"),
  [("label", True), ("neuroname", True), ("symmetric matrix", False)],
)
def test_the_intents_that_mean_labels(study, settings, intent, labels):
  for path in (study.images["T2w"], study.mask):
    image = nib.load(path)
    image.header.set_intent(intent, allow_unknown=False)
    nib.save(image, path)
  problems = [problem for _, problem in _told(study, settings)]
  assert len(problems) == (1 if labels else 2)
  assert all(intent in problem for problem in problems)
  assert ("it is a label map" in problems[0]) is labels


def test_no_orientation_is_refused_by_all_and_assumed_by_all(study, settings):
  good = prepare_in_memory(study, settings, SPIDER)
  _replace_image(study, codes=(0, 0))
  told = _told(study, settings)
  assert [severity for severity, _ in told] == ["error"] * 2
  assert "sform_code and qform_code are 0" in told[0][1]
  settings.assume_orientation = "PIR"
  told = _told(study, settings)
  assert all(problem.endswith("taken as PIR") for _, problem in told)
  assert len(told) == 2  # the image and the mask
  bare = prepare_in_memory(study, settings, SPIDER)
  np.testing.assert_array_equal(bare.image, good.image)
  settings.assume_orientation = "AIR"
  other = prepare_in_memory(study, settings, SPIDER)
  assert not np.array_equal(other.image, good.image)
  assert other.info["digest"] != bare.info["digest"]


def test_older_runs_took_axes_as_nibabel_does(study, settings):
  """What they prepared is known again by the digest that they gave it."""
  as_before = entry_digest(study, settings, SPIDER)
  assert (
    "digest_unassumed" not in prepare_in_memory(study, settings, SPIDER).info
  )
  settings.assume_orientation = "LAS"
  again = prepare_in_memory(study, settings, SPIDER).info
  assert again["digest_unassumed"] == as_before != again["digest"]
  _replace_image(study, codes=(0, 0))
  image = nib.load(study.images["T2w"])
  assert "".join(nib.aff2axcodes(image.affine)) == "LAS"
  ours = read_volume(study.images["T2w"], assume_orientation="LAS")
  np.testing.assert_allclose(ours.stored_affine, image.affine)


def test_constant_images_are_refused_by_all(study, settings):
  _replace_image(study, np.full(SHAPE, 3, np.int16))
  assert _told(study, settings) == [("error", "all 1800 voxels are 3")]


def test_what_cannot_be_normalised_is_refused_by_all(study, settings):
  array = np.zeros(SHAPE, np.int16)
  array[3, 3] = 1, 2, 3, 4, 500  # beyond the 99.5th percentile
  _replace_image(study, array)
  assert _told(study, settings) == []
  settings.normalisation = "percentile"
  ((severity, problem),) = _told(study, settings)
  assert severity == "error"
  assert "constant image" in problem
  _replace_image(study, _picture().astype(np.float32) * np.float32(1e-33))
  for settings.normalisation in ("volume", "nonzero", "percentile"):
    assert _told(study, settings) == []


def test_a_channel_beside_the_reference_is_refused_by_all(study, settings):
  settings.update(channels=("T2w", "T1w"), registration="none")
  study.images["T1w"] = study.images["T2w"].with_name("T1w.nii.gz")
  for far_mm, severities in ((0, []), (900, ["error"])):
    affine = AFFINE.copy()
    affine[1, 3] += far_mm
    _save(study.images["T1w"], _picture() % 77, affine)
    told = _told(study, settings)
    assert [severity for severity, _ in told] == severities
  assert "it does not overlap with" in told[0][1]


@pytest.mark.parametrize(
  ("values", "stored"), [((0, 1e-4, 2, 2.9996), (0, 0, 2, 3))]
)
def test_labels_that_are_nearly_whole_are_whole(values, stored):
  for dtype in (np.float32, np.float64):
    labels = np.array(values, dtype)
    found = map_labels(labels, SPIDER.lookup(SPIDER), "m.nii")
    np.testing.assert_array_equal(found, stored)
    assert set(label_counts(labels)) == set(stored)


@pytest.mark.parametrize(
  ("value", "shown"),
  [
    (np.float64(2.0020000001), "label 2.0020000001 is not"),
    (np.float32(1.25), "label 1.25 is not"),
    (np.float64(-0.5), "label -0.5 is not"),
    (np.int64(2**40), "label 1099511627776 is not"),
    (np.uint64(2**64 - 1), "label 18446744073709551615 is not"),
    (np.int32(-7), "label -7 is not"),
    (np.float64(1e300), "label 1e+300 is not"),
    (np.uint16(65535), "label 65535 is not"),
  ],
)
def test_unknown_labels_keep_their_digits(study, settings, value, shown):
  labels = _labels().astype(value.dtype)
  labels[0, 0, 0] = value
  with pytest.raises(InputError) as caught:
    map_labels(labels, SPIDER.lookup(SPIDER), study.mask)
  assert shown in caught.value.problem
  assert "(known: 0, 1, 2, 3)" in caught.value.problem
  _save(study.mask, labels)
  assert _told(study, settings) == [("error", caught.value.problem)]


def test_label_counts_are_numpys_whatever_their_size():
  rng = np.random.default_rng(3)
  for numbers in ([0, 3, 7], [-4, 0, 2], [0, 5, 2_000_000_000], [2**63 + 5]):
    kind = np.uint64 if numbers[0] > 2**62 else np.int64
    labels = rng.choice(np.array(numbers, kind), (9, 9))
    values, counts = np.unique(labels, return_counts=True)
    expected = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert label_counts(labels) == expected
    table = {number: k for k, number in enumerate(numbers)}
    if numbers[-1] < 2**62:
      np.testing.assert_array_equal(
        map_labels(labels, table, "m"), np.searchsorted(numbers, labels)
      )
  assert label_counts(np.zeros((0, 3))) == {}
  assert label_counts(np.array([True, False])) == {0: 1, 1: 1}
  record = json.loads(json.dumps(as_record({0: 4, 9: 2})))
  assert of_record(record) == {0: 4, 9: 2}


def test_255_is_ignore_only_where_the_masks_scheme_says_so(study, settings):
  drawn = (_labels() == 1) * np.uint8(255)
  _save(study.mask, drawn)
  ((severity, problem),) = _told(study, settings)
  assert severity == "error"
  assert problem.startswith("label 255 is not in the masks' scheme")
  table = SPIDER.lookup(SPIDER)
  with pytest.raises(InputError, match=r"row '255<tab>ignore'"):
    map_labels(drawn, table, study.mask)
  theirs = Scheme("theirs", SPIDER.structures, ignored=(255,))
  told = _told(study, settings, SPIDER, theirs)
  assert told == [("warning", told[0][1])]
  assert "most of the mask's drawn voxels are to be ignored" in told[0][1]


def test_any_number_can_mean_ignore(study, settings):
  mask = _labels()
  mask[mask == 3] = 99
  _save(study.mask, mask)
  three = Scheme("theirs", SPIDER.structures[:3], ignored=(99,))
  prepared = prepare_in_memory(study, settings, SPIDER, three)
  assert set(np.unique(prepared.native_mask)) == {0, 1, 2, IGNORE}
  assert prepared.info["flags"] == []


@pytest.mark.parametrize(
  ("mask", "words"),
  [
    (np.zeros(SHAPE, np.uint8), "the mask is empty"),
    (np.full(SHAPE, 2, np.uint8), "no number in the mask stands for a class"),
  ],
)
def test_masks_that_teach_nothing(study, settings, mask, words):
  _save(study.mask, mask)
  settings.remap = {"Disc": "Background"}
  ((severity, problem),) = _told(study, settings)
  assert severity == "warning"
  assert words in problem


def test_numbers_under_a_scheme_that_nobody_gave():
  masks = [{0: 900, 1: 50, 2: 40}, {0: 800, 3: 7}, {0: 990}]
  table = MIDAS12.lookup(MIDAS12)
  (finding,) = check_all_masks(masks, MIDAS12, table, explained=False)
  assert finding.severity == "warning"
  assert "no dseg.tsv" in finding.problem
  assert "1 as Vert, 2 as Sacrum, 3 as Int-Disc" in finding.problem
  assert "no mask has Spinal-Cavity, SCT" in finding.problem
  (finding,) = check_all_masks(masks, MIDAS12, table, explained=True)
  assert "dseg.tsv" not in finding.problem
  assert "no mask has Spinal-Cavity, SCT" in finding.problem
  spider = SPIDER.lookup(SPIDER)
  (finding,) = check_all_masks(masks, SPIDER, spider, explained=False)
  assert finding.severity == "info"
  assert finding.problem.endswith("1 as Vertebra, 2 as Disc, 3 as Canal")
  assert check_all_masks(masks, SPIDER, spider, explained=True) == []
  (finding,) = check_all_masks(masks[:1], SPIDER, spider, explained=True)
  assert "no mask has Canal of scheme spider" in finding.problem


def test_schemes_of_more_classes_than_a_byte_holds():
  many = tuple(Structure(f"s{i}", "#101010") for i in range(256))
  with pytest.raises(InputError, match="256 classes"):
    Scheme("many", many).lookup(SPIDER)
  source = Scheme("many", (SPIDER.structures[0], *many))
  few = Scheme("few", (Structure("Background", "#000000", source.names[1:]),))
  assert set(few.lookup(source).values()) == {0}


def test_old_entries_are_checked_without_being_made_again(
  study, settings, tmp_path, monkeypatch
):
  _replace_image(study, affine=_turned(40))
  cache = tmp_path / "cache"
  fresh = prepare_study(study, settings, SPIDER, cache)
  assert len(fresh.info["flags"]) == 1
  (path,) = cache.glob("*/info.json")
  record = json.loads(path.read_text())
  for name in ("checks", "labels"):
    del record["info"][name]
  record["info"]["flags"] = []
  del record["info_checksum"]  # which older entries lack, too
  path.write_text(json.dumps(record))
  monkeypatch.setattr(prepare, "make_arrays", None)  # making it would fail
  again = prepare_study(study, settings, SPIDER, cache)
  assert again.info == fresh.info
  monkeypatch.setattr(prepare, "check_again", None)
  assert prepare_study(study, settings, SPIDER, cache).info == fresh.info


def test_old_entries_of_headers_read_otherwise_are_made_again(
  study, settings, tmp_path
):
  cache = tmp_path / "cache"
  fresh = prepare_study(study, settings, SPIDER, cache)
  (path,) = cache.glob("*/info.json")
  record = json.loads(path.read_text())
  del record["info"]["checks"]
  record["info"]["spacing_mm"] = [4000.0, 1000.0, 1000.0]
  del record["info_checksum"]
  path.write_text(json.dumps(record))
  assert prepare_study(study, settings, SPIDER, cache).info == fresh.info


def test_few_values_are_counted_past_the_sample(tmp_path):
  array = np.zeros((80, 80, 3), np.int16)
  array[3, 3, :3] = 1, 2, 300  # hardly in any sample
  _save(tmp_path / "a.nii", array)
  volume = read_volume(tmp_path / "a.nii")
  assert check_image(volume, "a") == []
  array[3, 3, 2] = 2
  _save(tmp_path / "a.nii", array)
  (finding,) = check_image(read_volume(tmp_path / "a.nii"), "a")
  assert "3 different values only: 0 and 1 and 2" in finding.problem


@pytest.mark.parametrize(
  ("labels", "told"),
  [
    (range(13), True),  # vertebrae and discs
    ((0, 1, 2, 3, 100, 201, 202, 203), True),
    (range(65), False),
    ((0, 1, 2, 1000), False),
    ((0, -1, 2, 3), False),
    ((0, 0.5, 1, 2), False),
  ],
)
def test_few_whole_numbers_look_like_a_mask(tmp_path, labels, told):
  array = np.resize(np.array(labels, np.float32), (40, 40, 3))
  _save(tmp_path / "a.nii", array)
  problems = [
    f.problem for f in check_image(read_volume(tmp_path / "a.nii"), "")
  ]
  words = f"{len(labels)} different values only: whole numbers from 0 to"
  assert [words in problem for problem in problems] == [True] * told
