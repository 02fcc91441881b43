"""The phantom: truth, geometry, signals, difficulty, and its tree on disk."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from lumbar_jax.anatomy import (
  DISCS,
  LEVELS,
  MIDAS12,
  MRSPINESEG,
  PHANTOM,
  read_dseg_tsv,
)
from lumbar_jax.data.phantom import (
  Motion,
  draw_protocol,
  get_preset,
  simulate,
  spin_echo,
  write_dataset,
)
from lumbar_jax.data.phantom.chart import Chart, Noise
from lumbar_jax.data.phantom.patient import CHAIN, draw_patient
from lumbar_jax.data.phantom.tissues import ID, draw_body
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.errors import InputError
from lumbar_jax.files import digest, read_json

TO_MIDAS12 = np.array([MIDAS12.lookup(PHANTOM)[i] for i in PHANTOM.indices])
FAST = {"supersampling": (1, 1, 1)}
THIN = {**FAST, "num_slices": (2, 2)}


@pytest.fixture(scope="module")
def still():
  """Six tiny patients who do not move between the images."""
  return [simulate("tiny", i, motion=Motion()) for i in range(6)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
  """Three tiny patients on disk; the third is stored R, A, S and oblique."""
  return write_dataset(tmp_path_factory.mktemp("tree") / "root", "tiny", 3)


def voxels(affine, points):
  """Returns [3 n] indices of world points [n 3]."""
  return np.linalg.inv(affine)[:3] @ np.c_[points, np.ones(len(points))].T


def world(affine, shape):
  """Returns [n 3] world points of every voxel."""
  index = np.indices(shape).reshape(3, -1)
  return (affine[:3, :3] @ index + affine[:3, 3:]).T


def sample(array, affine, points, order=1):
  """Interpolates an array at world points."""
  return ndimage.map_coordinates(
    np.asarray(array, np.float32),
    voxels(affine, points),
    order=order,
    mode="nearest",
  )


def test_the_seed_decides_every_byte():
  first, again = (simulate("tiny", 1, seed=3, **THIN) for _ in range(2))
  for name in ("t2w", "t1w", "labels", "t2w_affine", "t1w_affine"):
    a, b = getattr(first, name), getattr(again, name)
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes(), name
  assert first.sidecars == again.sidecars
  other = simulate("tiny", 1, seed=4, **THIN)
  assert other.t2w.tobytes() != first.t2w.tobytes()
  assert other.motion != first.motion


@pytest.mark.parametrize("index", [0, 11])
def test_demo_patients_have_every_class_in_useful_amounts(index):
  labels = simulate("demo", index, **FAST).labels
  counts = np.bincount(TO_MIDAS12[labels].ravel(), minlength=12)
  assert counts.min() > 400, dict(zip(MIDAS12.names, counts, strict=True))


def test_tiny_patients_have_every_class_and_all_lumbar_levels(still):
  for session in still:
    counts = np.bincount(TO_MIDAS12[session.labels].ravel(), minlength=12)
    assert counts.min() > 80
    found = set(np.array(PHANTOM.names)[np.unique(session.labels)])
    assert {*LEVELS, "T12", "T12-L1", *DISCS[4:]} <= found


def test_tall_images_show_every_level_of_some_patient():
  """Paper 002: T10 and the disc below it in some, T9 and its disc in few."""
  patients = [simulate("tall_tiny", i, num_slices=(3, 3)) for i in range(14)]
  table = MRSPINESEG.lookup(PHANTOM)
  lookup = np.array([table[i] for i in PHANTOM.indices])
  shown = [
    np.bincount(lookup[p.labels].ravel(), minlength=20) for p in patients
  ]
  share = dict(
    zip(MRSPINESEG.names, (np.array(shown) > 5).mean(0), strict=True)
  )
  rare = {"T9", "T9-T10", "T10-T11"}
  assert all(share[name] == 1 for name in share.keys() - rare)
  assert 0 < share["T9-T10"] < share["T10-T11"]
  assert 0 < share["T9"] < 1


def test_a_data_set_of_an_older_version_is_still_the_same(tmp_path):
  """It is known by a digest of fields, among which there was no lift."""
  preset = dataclasses.replace(get_preset("tiny"), **THIN)
  write_dataset(tmp_path, preset, 1)
  written = read_json(tmp_path / "phantom.json")
  old = dataclasses.asdict(preset)
  del old["lift_mm"]
  assert written["digest"] == digest(old)


def test_slices_change_from_the_midline_to_the_sides(still):
  names = PHANTOM.names
  canal, root = names.index("Spinal-Cavity"), names.index("Nerve-Root")
  for session in still:
    has_canal = (session.labels == canal).sum((1, 2)) > 20
    middle = len(has_canal) // 2
    assert has_canal[middle - 1 : middle + 1].all()
    assert not has_canal[[0, -1]].any()
    roots = (session.labels == root).sum((1, 2))
    assert roots[: middle - 1].max() > 10  # left foramina
    assert roots[middle + 1 :].max() > 10  # right foramina


def test_levels_follow_each_other_downwards(still):
  for session in still:
    rows = [
      np.argwhere(session.labels == PHANTOM.names.index(name))[:, 1].mean()
      for pair in zip(LEVELS, DISCS[4:], strict=True)
      for name in pair
    ]
    assert (np.diff(rows) > 0).all()


def test_spin_echo_by_hand():
  # (1 - 1/e) / e = 0.632121 * 0.367879
  assert spin_echo(1, 500, 100, 500, 100) == pytest.approx(0.232544, abs=1e-6)
  # 0.8 (1 - exp(-4)) exp(-0.5) = 0.8 * 0.981684 * 0.606531
  assert spin_echo(0.8, 500, 100, 2000, 50) == pytest.approx(0.476338, abs=1e-6)


def test_contrasts_are_those_of_spin_echo_images():
  grades = np.array([1, 2, 3, 4, 5, 1, 1, 1, 1])
  body = draw_body(np.random.default_rng(0), grades, 1.5, 0.0)
  t2w, t1w = body.signal(4000, 100), body.signal(550, 10)
  fat, csf, muscle = (ID[n] for n in ("fat", "csf", "muscle"))
  marrow = ID["marrow"]
  assert t2w[csf, 0] > t2w[fat, 0] > t2w[marrow, 0] > t2w[muscle, 0]
  assert t1w[fat, 0] > t1w[marrow, 0] > t1w[muscle, 0] > t1w[csf, 0]
  nuclei = [PHANTOM.names.index(name) for name in DISCS[:5]]
  assert (np.diff(t2w[ID["nucleus"], nuclei]) < 0).all()  # by grade


def test_degenerated_discs_are_dark_on_the_image(still):
  # A direct look at the voxels: the mean over the patients of disc against
  # vertebra, well hydrated (grade 1, 2) and worn out (4, 5).
  ratios = {True: [], False: []}
  for session in still:
    marrow = session.t2w[TO_MIDAS12[session.labels] == 1].mean()
    for disc, grade in zip(DISCS[4:], session.patient.grades[4:], strict=True):
      inside = session.labels == PHANTOM.names.index(disc)
      if grade != 3:
        ratios[bool(grade < 3)].append(session.t2w[inside].mean() / marrow)
  assert np.mean(ratios[True]) > 1.2 * np.mean(ratios[False])


def test_noise_of_air_is_rician(still):
  # Rayleigh in the absence of signal: mean / deviation = sqrt(pi / (4 - pi)).
  ratios = []
  for session in still:
    air = session.t2w[:, :, -4:].astype(float)
    air = air[session.labels[:, :, -4:] == 0]
    ratios.append(np.median(air) / np.subtract(*np.percentile(air, (75, 25))))
  # median / interquartile range of a Rayleigh distribution
  quantile = np.sqrt(-2 * np.log(1 - np.array([0.25, 0.5, 0.75])))
  expected = quantile[1] / (quantile[2] - quantile[0])
  assert np.median(ratios) == pytest.approx(expected, rel=0.08)


def test_motion_by_hand_and_back():
  motion = Motion((0, 0, 90), (1, 2, 3), (10, 0, 0))
  # A quarter turn about z at x = 10 takes (11, 0, 0) to (10, 1, 0).
  np.testing.assert_allclose(
    motion.t2w_to_t1w([11, 0, 0]), [11, 3, 3], atol=1e-12
  )
  points = np.random.default_rng(0).normal(size=(5, 3))
  there = motion.t2w_to_t1w(points)
  np.testing.assert_allclose(motion.t1w_to_t2w(there), points, atol=1e-12)
  assert Motion.from_dict(motion.as_dict()) == motion


def test_motion_moves_the_anatomy_and_not_the_header(still):
  # One level down: what L3 was is L2 for those who ignore the motion.
  motion = Motion((2.0, 1.0, -1.0), (3.0, 4.0, -38.0), (0.0, 0.0, 0.0))
  moved = simulate("tiny", 0, motion=motion, **FAST)
  np.testing.assert_array_equal(moved.t1w_affine, still[0].t1w_affine)
  np.testing.assert_array_equal(moved.t2w_affine, still[0].t2w_affine)
  assert moved.sidecars["T1w"]["PhantomMotion"] == motion.as_dict()
  for name in ("L1", "L2", "L3"):
    point = moved.landmarks[name][None]
    label = PHANTOM.names.index(name)
    found = sample(
      moved.t1w_labels, moved.t1w_affine, motion.t2w_to_t1w(point), order=0
    )
    assert found == label
    ignored = sample(moved.t1w_labels, moved.t1w_affine, point, order=0)
    assert ignored != label


def test_undoing_the_motion_aligns_the_images(still):
  moved = simulate("tiny", 1)
  assert 1 < np.linalg.norm(moved.motion.translation_mm) <= 5
  rest = still[1]
  points = world(rest.t1w_affine, rest.t1w.shape)
  inside = np.isin(TO_MIDAS12[rest.t1w_labels].ravel(), (1, 2, 3, 4, 6))
  points, truth = points[inside], rest.t1w.ravel()[inside]

  def likeness(places):
    found = sample(moved.t1w, moved.t1w_affine, places)
    return np.corrcoef(found, truth)[0, 1]

  undone = likeness(moved.motion.t2w_to_t1w(points))
  assert undone > likeness(points) + 0.15
  assert undone > likeness(moved.motion.t1w_to_t2w(points)) + 0.15


def test_landmarks_lie_in_their_structures(still):
  for session in still:
    for name, point in session.landmarks.items():
      if name in LEVELS:
        found = sample(session.labels, session.t2w_affine, point[None], 0)
        assert PHANTOM.names[int(found[0])] == name
    for disc in DISCS[4:]:
      corners = [
        session.landmarks[f"{disc}.{w}"] for w in ("anterior", "posterior")
      ]
      center = np.mean(corners, 0, keepdims=True)
      found = sample(session.labels, session.t2w_affine, center, 0)
      # A worn disc is thinner than a voxel, and listhesis bends the chord.
      if session.patient.grades[DISCS.index(disc)] < 4:
        assert PHANTOM.names[int(found[0])] == disc
      assert 20 < np.linalg.norm(corners[0] - corners[1]) < 50


def test_chart_inverse_and_listhesis():
  rng = np.random.default_rng(2)
  patient = dataclasses.replace(draw_patient(rng), slip=np.zeros(len(DISCS)))
  noise = Noise(rng)
  chart = Chart(patient, noise)
  given = np.array([[0, 12, -15], [5, -30, 20], [-20, 8, -60]], float).T
  points = chart.world(*given)
  back = chart.coordinates(points.T.astype(np.float32))
  np.testing.assert_allclose(back, given, atol=0.1)
  slip = np.where(np.array(DISCS) == "L4-L5", 8.0, 0.0)
  slipped = Chart(dataclasses.replace(patient, slip=slip), noise).landmarks()
  step = {
    name: np.linalg.norm(slipped[name] - point)
    for name, point in chart.landmarks().items()
  }
  # The irregularities of the new place differ: about 8 mm.
  assert step["L3"] == pytest.approx(8, abs=1.5)
  assert step["L4"] == pytest.approx(8, abs=1.5)
  assert step["L5"] == step["S1"] == 0


def test_paper_preset_draws_within_table_1():
  # Paper 000, Table 1: (T1-weighted, T2-weighted).
  table = {
    "RepetitionTime": ((0.300, 0.76438), (2.0, 10.172214)),
    "EchoTime": ((0.006824, 0.017424), (0.084544, 0.145)),
    "SpacingBetweenSlices": ((3.6, 6.0), (3.6, 6.0)),
    "ImagingFrequency": ((42.568, 127.745), (42.568, 127.745)),
    "EchoTrainLength": ((2, 10), (13, 36)),
    "FlipAngle": ((80, 160), (90, 170)),
    "matrix": ((320, 800), (320, 1024)),
    "pixel": ((0.4688, 1.0), (0.3704, 1.0)),
  }
  matrices, motions, storages = [], [], set()
  for index in range(150):
    protocol = draw_protocol(get_preset("paper"), index, seed=0)
    for place, name in enumerate(("T1w", "T2w")):
      grid = protocol.grids[name]
      drawn = {
        **protocol.sidecars[name],
        "matrix": grid.shape[1:],
        "pixel": grid.spacing_mm[1:],
      }
      for field, ranges in table.items():
        low, high = ranges[place]
        assert np.min(drawn[field]) >= low - 1e-6, (index, field)
        assert np.max(drawn[field]) <= high + 1e-6, (index, field)
      matrices.append(grid.shape[1])
    assert 8 <= protocol.scanner.num_slices <= 14
    storages.add(protocol.scanner.storage)
    motions.append(
      [
        np.linalg.norm(protocol.motion.rotation_deg),
        np.linalg.norm(protocol.motion.translation_mm),
        abs(protocol.motion.translation_mm[0]),
      ]
    )
  assert np.median(matrices) == 512
  assert (np.max(motions, 0) <= (3, 5, 5)).all()
  assert (np.median(motions, 0) > (1, 2, 0.3)).all()
  assert storages == {("P", "I", "R"), ("R", "A", "S")}


def test_intensity_alone_does_not_segment(still):
  """Bayes' rule on the two z-scored channels, other patients, no motion."""
  num_bins, num_classes = 40, MIDAS12.num_classes

  def features(session):
    points = world(session.t2w_affine, session.t2w.shape)
    t1w = sample(session.t1w, session.t1w_affine, points)
    bins = [
      np.clip((v - v.mean()) / v.std() * 6 + 12, 0, num_bins - 1).astype(int)
      for v in (session.t2w.ravel().astype(float), t1w)
    ]
    return bins[0] * num_bins + bins[1], TO_MIDAS12[session.labels].ravel()

  counts = np.zeros((num_classes, num_bins**2))
  for session in still[:3]:
    bins, classes = features(session)
    np.add.at(counts, (classes, bins), 1)
  # Prior to the power of a half: kinder to the small classes, and so to IoU.
  rule = (counts / np.sqrt(counts.sum(1, keepdims=True))).argmax(0)
  confusion = np.zeros((num_classes, num_classes))
  for session in still[3:]:
    bins, classes = features(session)
    np.add.at(confusion, (classes, rule[bins]), 1)
  hits = np.diag(confusion)
  iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
  # Measured .2: far from solved, and far from noise.
  assert 0.1 < iou[1:].mean() < 0.6, iou.round(2)


def test_tree_is_a_mids_tree(tree, still):
  anat = "sub-003/ses-01/mim-mr/anat/sub-003_ses-01_acq-sag_bp-lspine_vp-sag"
  masks = tree / "derivatives" / "manual_masks"
  t2w = read_volume(tree / f"{anat}_T2w.nii.gz")
  mask = read_volume(masks / f"{anat}_desc-manual_dseg.nii.gz", dtype=np.uint8)
  assert t2w.same_grid(mask)
  assert read_dseg_tsv(masks / "dseg.tsv").names == PHANTOM.names
  expected = still[2]  # but for the motion
  np.testing.assert_array_equal(t2w.array, expected.t2w)
  np.testing.assert_array_equal(mask.array, expected.labels)
  np.testing.assert_allclose(t2w.affine, expected.t2w_affine, atol=1e-4)
  t1w = read_volume(tree / f"{anat}_T1w.nii.gz")
  assert t1w.array.shape == expected.t1w.shape
  np.testing.assert_allclose(t1w.affine, expected.t1w_affine, atol=1e-4)
  sidecar = read_json(tree / f"{anat}_T1w.json")
  motion = draw_protocol(get_preset("tiny"), 2, seed=0).motion
  assert Motion.from_dict(sidecar["PhantomMotion"]) == motion
  assert t1w.spacing_mm[0] == pytest.approx(
    sidecar["SpacingBetweenSlices"], abs=1e-4
  )
  for header in (t2w.header, t1w.header, mask.header):
    assert header["sform_code"] == header["qform_code"] == 1
  rows = (tree / "participants.tsv").read_text().splitlines()
  assert len(rows) == 4
  assert rows[0].split("\t")[:3] == ["participant_id", "sex", "age"]
  grades = (tree / "disc_gradings.tsv").read_text().splitlines()
  assert grades[0].split("\t")[:3] == [
    "participant_id",
    "disc",
    "pfirrmann_grade",
  ]
  first = next(r for r in grades if r.startswith("sub-003\t1\t"))
  assert int(first.split("\t")[2]) == expected.patient.grades[-1]


def test_both_storage_orders_read_as_one(tree):
  shapes = set()
  for patient in ("sub-001", "sub-003"):
    (path,) = (tree / patient).glob("ses-01/mim-mr/anat/*_T2w.nii.gz")
    volume = read_volume(path)
    shapes.add(volume.stored_shape.index(volume.array.shape[0]))
    oblique = np.abs(volume.affine[:3, :3] / volume.spacing_mm).max(0)
    assert (oblique.min() < 0.99999) == (patient == "sub-003")
  assert shapes == {0, 2}


def test_second_call_is_a_no_op(tree):
  calls = []
  before = {p: p.stat().st_mtime_ns for p in tree.rglob("*")}
  write_dataset(tree, "tiny", 3, progress=lambda *a: calls.append(a))
  assert not calls
  assert {p: p.stat().st_mtime_ns for p in tree.rglob("*")} == before


def test_other_folders_are_refused(tree, tmp_path):
  with pytest.raises(InputError, match=r"phantom\.json.*seed \(0, not 1\)"):
    write_dataset(tree, "tiny", 3, seed=1)
  (tmp_path / "thesis.doc").touch()
  with pytest.raises(InputError, match=r"thesis\.doc"):
    write_dataset(tmp_path, "tiny", 1)
  with pytest.raises(InputError, match="folder"):
    write_dataset(tmp_path / "thesis.doc", "tiny", 1)
  assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_wrong_arguments(tmp_path):
  with pytest.raises(InputError, match="did you mean demo"):
    write_dataset(tmp_path / "a", "demoo")
  with pytest.raises(InputError, match="num_patients is 0"):
    write_dataset(tmp_path / "a", "tiny", 0)
  assert not (tmp_path / "a").exists()


def test_an_interrupted_call_is_repeated(tmp_path):
  def stop(done, _):
    if done == 1:
      raise KeyboardInterrupt

  preset = dataclasses.replace(get_preset("tiny"), **THIN)
  with pytest.raises(KeyboardInterrupt):
    write_dataset(tmp_path, preset, 2, progress=stop)
  assert not (tmp_path / "phantom.json").exists()
  write_dataset(tmp_path, preset, 2)
  assert len(list(tmp_path.rglob("*_dseg.nii.gz"))) == 2
  assert not list(tmp_path.glob("*.partial"))


def test_mean_anatomy_has_the_sizes_of_the_literature():
  mean = draw_patient(np.random.default_rng(0), amount=0.0)
  size = 0.95 if mean.sex == "F" else 1.02
  third = CHAIN.index("L3")
  assert 2 * mean.half_height[third] == pytest.approx(28 * size)
  pitch = mean.center_s[third] - mean.center_s[third + 1]
  assert 34 < pitch < 41
