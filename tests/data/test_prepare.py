"""Prepared arrays: what is in them, when they are made again, and errors."""

import dataclasses
import errno
import json
import shutil
import subprocess
import sys
import textwrap

import jax
import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config as configs
from lumbar_jax.anatomy import MIDAS12, SPIDER
from lumbar_jax.data import cache as cache_lib
from lumbar_jax.data import prepare as prepare_lib
from lumbar_jax.data.pipeline import PatchSource
from lumbar_jax.data.prepare import (
  entry_digest,
  file_digests,
  prepare_in_memory,
  prepare_studies,
  prepare_study,
)
from lumbar_jax.data.resampling import (
  resize_images,
  resize_labels,
  training_shape,
)
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import AXES
from lumbar_jax.errors import InputError, explain
from lumbar_jax.files import file_digest

SHAPE = (5, 40, 36)
SPACING_MM = (4.0, 1.5, 1.25)


def save(path, array, axes=AXES, shift_mm=0.0):
  """Writes [n h w] of one place in the world, stored along `axes`."""
  affine = np.eye(4)
  affine[:3, :3] = np.array([[1, 0, 0], [0, 0, -1], [0, -1, 0]]) * SPACING_MM
  affine[:3, 3] = (-8, 20 + shift_mm, 30)
  image = nib.Nifti1Image(array, affine)
  turn = nib.orientations.ornt_transform(
    nib.orientations.axcodes2ornt(AXES), nib.orientations.axcodes2ornt(axes)
  )
  nib.save(image.as_reoriented(turn), path)


def make_study(folder, axes=AXES, patient="sub-1", seed=0):
  folder.mkdir(exist_ok=True)
  rng = np.random.default_rng(seed)
  paths = {c: folder / f"{patient}_{c}.nii.gz" for c in ("T2w", "T1w", "mask")}
  for channel in ("T2w", "T1w"):
    values = rng.integers(1, 900, SHAPE).astype(np.int16)
    save(paths[channel], values, axes)
  labels = rng.integers(0, 4, SHAPE).astype(np.uint8)
  save(paths["mask"], labels, axes)
  mask = paths.pop("mask")
  return Study(patient, "ses-1", paths, mask)


@pytest.fixture
def config():
  data = configs.default().data
  data.registration = "none"
  return data


@pytest.fixture
def study(tmp_path):
  return make_study(tmp_path / "data")


def read(path):
  return np.asarray(nib.load(path).dataobj)


def test_arrays_are_the_files_normalised(study, config, tmp_path):
  prepared = prepare_study(study, config, MIDAS12, tmp_path / "c")
  assert prepared.name == "sub-1_ses-1"
  assert isinstance(prepared.image, np.memmap)
  assert prepared.image.dtype == np.float32
  for number, channel in enumerate(("T2w", "T1w")):
    values = read(study.images[channel]).astype(float)
    expected = (values - values.mean()) / values.std()
    found = prepared.image[..., number]
    np.testing.assert_allclose(found, expected, atol=1e-4)
  np.testing.assert_array_equal(prepared.mask, read(study.mask))
  np.testing.assert_array_equal(prepared.native_mask, prepared.mask)
  assert prepared.native_shape == SHAPE[1:]
  np.testing.assert_allclose(prepared.spacing_mm, SPACING_MM)
  assert prepared.info["flags"] == []


def test_in_memory_is_the_same_without_a_folder(study, config, tmp_path):
  stored = prepare_study(study, config, MIDAS12, tmp_path / "c")
  memory = prepare_in_memory(study, config, MIDAS12)
  np.testing.assert_array_equal(stored.image, memory.image)
  np.testing.assert_array_equal(stored.mask, memory.mask)
  assert stored.info == memory.info
  unlabelled = dataclasses.replace(study, mask=None)
  blind = prepare_in_memory(unlabelled, config, MIDAS12)
  assert blind.mask is None
  assert blind.native_mask is None
  np.testing.assert_array_equal(blind.image, memory.image)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SAL"])
def test_the_storage_order_does_not_matter(study, config, tmp_path, axes):
  turned = make_study(tmp_path / "turned", axes)
  first = nib.load(turned.mask)
  assert nib.aff2axcodes(first.affine) == tuple(axes)
  one, two = (prepare_in_memory(s, config, MIDAS12) for s in (study, turned))
  np.testing.assert_array_equal(one.mask, two.mask)
  np.testing.assert_allclose(one.image, two.image, atol=1e-4)


def test_labels_are_mapped_by_name(study, config):
  config.remap = {"Canal": "ignore"}
  drawn = read(study.mask)
  drawn[0, 0, :3] = 255
  save(study.mask, drawn)
  theirs = dataclasses.replace(SPIDER, ignored=(255,))
  prepared = prepare_in_memory(study, config, MIDAS12, theirs)
  names = MIDAS12.names
  table = {0: 0, 1: names.index("Vert"), 2: names.index("Int-Disc")}
  table |= {3: 255, 255: 255}
  np.testing.assert_array_equal(prepared.mask, np.vectorize(table.get)(drawn))


def test_a_coarser_spacing_keeps_the_native_truth(study, config):
  config.spacing_mm = 2.5
  prepared = prepare_in_memory(study, config, MIDAS12)
  assert prepared.image.shape == (5, 24, 18, 2)
  assert prepared.mask.shape == (5, 24, 18)
  assert prepared.native_mask.shape == SHAPE
  assert prepared.native_shape == SHAPE[1:]
  np.testing.assert_allclose(prepared.info["training_spacing_mm"], 2.5)


def test_whole_slices_of_one_size(study, config):
  """Stretched where they are not square; the truth stays native."""
  native = prepare_in_memory(study, config, MIDAS12)
  config.update(image_size=48)
  prepared = prepare_in_memory(study, config, MIDAS12)
  assert prepared.image.shape == (5, 48, 48, 2)
  assert prepared.mask.shape == (5, 48, 48)
  assert prepared.native_mask.shape == SHAPE
  field_mm = np.multiply(SHAPE[1:], SPACING_MM[1:])
  spacing_mm = prepared.info["training_spacing_mm"]
  np.testing.assert_allclose(spacing_mm, field_mm / 48)
  assert len(PatchSource([prepared], 48, 48)) == 5  # one patch a slice
  expected = resize_images(np.moveaxis(native.image, -1, 0)[0], (48, 48))
  np.testing.assert_allclose(prepared.image[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 18), (61, 50), (40, 18), (7, 90)])
def test_resizing_is_that_of_jax(shape):
  """Scores come back by jax.image.resize, so the grids must be the same."""
  array = np.random.default_rng(0).normal(size=(2, 40, 36)).astype(np.float32)
  expected = jax.image.resize(array, (2, *shape), "linear")
  np.testing.assert_allclose(resize_images(array, shape), expected, atol=1e-5)


def test_labels_resize_by_the_heaviest(study):
  blocks = np.random.default_rng(0).integers(0, 5, (2, 8, 9)).astype(np.uint8)
  blocks[0, 0, 0] = 255
  fine = blocks.repeat(6, 1).repeat(6, 2)
  np.testing.assert_array_equal(resize_labels(fine, (8, 9)), blocks)
  assert resize_labels(fine, (48, 54)) is fine
  assert training_shape((40, 36), (1.5, 1.25), 0) == (40, 36)


def entries(cache):
  return sorted(p.name for p in cache.iterdir())


def test_a_second_run_finds_the_entry(study, config, tmp_path, monkeypatch):
  from lumbar_jax.data import prepare

  cache = tmp_path / "c"
  prepare_study(study, config, MIDAS12, cache)
  monkeypatch.setattr(prepare, "make_arrays", None)  # making it would fail
  config.registration = "none"
  prepare_study(study, config, MIDAS12, cache)
  assert len(entries(cache)) == 1


@pytest.mark.parametrize(
  ("field", "value"),
  [
    ("registration", "rigid"),
    ("registration_bound_mm", 14.0),
    ("normalisation", "nonzero"),
    ("spacing_mm", 3.0),
    ("image_size", 48),
    ("channels", ("T2w",)),
    ("channels", ("T1w", "T2w")),
  ],
)
def test_a_setting_that_shapes_makes_a_new_entry(
  study, config, tmp_path, field, value
):
  cache = tmp_path / "c"
  prepare_study(study, config, MIDAS12, cache)
  config[field] = value
  prepare_study(study, config, MIDAS12, cache)
  assert len(entries(cache)) == 2


def test_changed_content_makes_a_new_entry(study, config, tmp_path):
  cache = tmp_path / "c"
  old = prepare_study(study, config, MIDAS12, cache)
  save(study.images["T2w"], np.arange(np.prod(SHAPE)).reshape(SHAPE) * 1.0)
  new = prepare_study(study, config, MIDAS12, cache)
  assert len(entries(cache)) == 2
  assert not np.array_equal(old.image, new.image)
  other = prepare_study(study, config, MIDAS12, cache, SPIDER)
  assert len(entries(cache)) == 3
  assert not np.array_equal(new.mask, other.mask)


@pytest.mark.parametrize(
  ("header", "voxels"),
  [("x.hdr", "x.img"), ("X.HDR", "X.IMG"), ("x.hdr", "x.IMG")],
)
def test_both_files_of_a_pair_are_its_identity(
  tmp_path, config, header, voxels
):
  config.channels = ("T2w",)
  (tmp_path / "x.txt").write_text("no part of it")

  def digests():
    studies = [
      Study("p", "", {"T2w": tmp_path / name}) for name in (header, voxels)
    ]
    found = {file_digests(study)["T2w"] for study in studies}
    assert len(found) == 1  # whichever of the two is named
    keys = {entry_digest(study, config, MIDAS12) for study in studies}
    assert len(keys) == 1
    return *found, *keys

  (tmp_path / header).write_bytes(b"grid")
  (tmp_path / voxels).write_bytes(b"one")
  seen = [digests()]
  (tmp_path / voxels).write_bytes(b"two")
  seen.append(digests())
  (tmp_path / header).write_bytes(b"other grid")
  seen.append(digests())
  assert len(set(seen)) == 3
  (tmp_path / header).write_bytes(b"grid")
  (tmp_path / voxels).write_bytes(b"one")
  assert digests() == seen[0]


def test_file_digests_are_of_the_content_not_the_name(study, tmp_path, config):
  found = file_digests(study)
  assert found.keys() == {"T1w", "T2w", "mask"}
  assert found["T2w"] == file_digest(study.images["T2w"])
  moved = tmp_path / "other.nii.gz"
  moved.write_bytes(study.images["T2w"].read_bytes())
  assert file_digests(Study("q", "", {"T2w": moved})) == {"T2w": found["T2w"]}
  assert prepare_in_memory(study, config, MIDAS12).info["files"] == found
  with pytest.raises(InputError, match=r"gone.nii: no such"):
    file_digests(Study("q", "", {"T2w": tmp_path / "gone.nii"}))


def truncate(folder):
  with open(folder / "image.npy", "r+b") as file:
    file.truncate(1000)


def edit_info(folder):
  path = folder / "info.json"
  record = json.loads(path.read_text())
  record["info"]["native_shape"] = [1, 1]
  path.write_text(json.dumps(record))


def flip(folder):
  with open(folder / "mask.npy", "r+b") as file:
    file.seek(-5, 2)
    file.write(b"\x07")


@pytest.mark.parametrize(
  "damage",
  [
    truncate,
    flip,
    edit_info,
    lambda folder: (folder / "info.json").unlink(),
    lambda folder: (folder / "info.json").write_text('{"checks'),
    lambda folder: (folder / "native_mask.npy").write_bytes(b""),
  ],
)
def test_a_damaged_entry_is_made_again(study, config, tmp_path, damage):
  cache = tmp_path / "c"
  prepare_study(study, config, MIDAS12, cache)
  (name,) = entries(cache)
  damage(cache / name)
  prepared = prepare_study(study, config, MIDAS12, cache)
  expected = prepare_in_memory(study, config, MIDAS12)
  np.testing.assert_array_equal(prepared.image, expected.image)
  np.testing.assert_array_equal(prepared.mask, expected.mask)
  assert entries(cache) == [name]


def test_an_entry_with_another_ones_files_is_not_taken(tmp_path):
  one, other = tmp_path / "p3-abc", tmp_path / "p4-abd"
  for number, folder in enumerate((one, other)):
    cache_lib.write(folder, {"image": np.full(3, number)}, {"n": number})
  shutil.copytree(other, one, dirs_exist_ok=True)
  assert cache_lib.read(one) is None
  assert cache_lib.read(other)[1] == {"n": 1}
  arrays, info = cache_lib.fetch(
    one, lambda: ({"image": np.zeros(3)}, {"n": 0})
  )
  assert info == {"n": 0}
  assert not arrays["image"].any()
  record = json.loads((other / "info.json").read_text())
  del record["entry"]  # as older versions wrote it
  (other / "info.json").write_text(json.dumps(record))
  assert cache_lib.read(other)[1] == {"n": 1}


def test_processes_at_once_do_not_disturb_each_other(study, config, tmp_path):
  """Three processes damage and fetch the same entry, over and over."""
  cache = tmp_path / "c"
  script = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lumbar_jax import config as configs
    from lumbar_jax.anatomy import MIDAS12
    from lumbar_jax.data.prepare import prepare_study
    from lumbar_jax.data.studies import Study
    folder, cache, turn = map(Path, sys.argv[1:])
    data = configs.default().data
    data.registration = "none"
    paths = {c: folder / f"sub-1_{c}.nii.gz" for c in ("T2w", "T1w")}
    study = Study("sub-1", "ses-1", paths, folder / "sub-1_mask.nii.gz")
    for round in range(12):
      prepared = prepare_study(study, data, MIDAS12, cache)
      print(float(prepared.image.sum()), int(prepared.mask.sum()))
      if round % 3 == int(str(turn)):
        for path in cache.glob("sub-1*/info.json"):
          path.unlink(missing_ok=True)
  """)
  folder = study.mask.parent
  command = [sys.executable, "-c", script, str(folder), str(cache)]
  runs = [
    subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True)
    for i in range(3)
  ]
  outputs = [run.communicate(timeout=120)[0].split("\n")[:-1] for run in runs]
  assert [run.returncode for run in runs] == [0, 0, 0]
  assert [len(lines) for lines in outputs] == [12, 12, 12]
  assert len({line for lines in outputs for line in lines}) == 1
  prepare_study(study, config, MIDAS12, cache)
  assert len(entries(cache)) == 1  # no scratch folder is left


def test_several_studies_keep_their_order(config, tmp_path):
  studies = [
    make_study(tmp_path / "data", patient=f"sub-{i}", seed=i) for i in range(4)
  ]
  calls = []
  prepared = prepare_studies(
    studies, config, MIDAS12, None, tmp_path / "c", lambda *c: calls.append(c)
  )
  assert [p.patient for p in prepared] == [s.patient for s in studies]
  assert [c[:2] for c in calls] == [(i, 4) for i in range(1, 5)]
  assert {c[2] for c in calls} == {s.name for s in studies}
  for study, one in zip(studies, prepared, strict=True):
    np.testing.assert_array_equal(one.mask, read(study.mask))


def bad_studies(folder):
  """Makes five studies, the first, third and fourth of which are bad."""
  studies = [make_study(folder, patient=f"sub-{i}", seed=i) for i in range(5)]
  for number, content in ((0, b"no NIfTI"), (2, b"")):
    studies[number].images["T2w"].write_bytes(content)
  studies[3].mask.unlink()
  return studies


def test_all_bad_studies_are_named_and_the_others_prepared(
  config, tmp_path, caplog
):
  studies, cache = bad_studies(tmp_path / "data"), tmp_path / "c"
  seen = []
  with pytest.raises(InputError, match=r"3 of 5 studies .*sub-0.*sub-2.*sub-3"):
    prepare_studies(
      *(studies, config, MIDAS12, None, cache),
      lambda done, total, name: seen.append((done, total)),
    )
  assert seen == [(done, 5) for done in range(1, 6)]
  for number in (0, 2, 3):
    assert f"study sub-{number}_ses-1: " in caplog.text
  names = sorted(entry.name[:5] for entry in cache.iterdir())
  assert names == ["sub-1", "sub-4"]


def test_a_full_disk_is_no_studys_fault(config, tmp_path, monkeypatch):
  studies = bad_studies(tmp_path / "data")[4:]

  def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(np, "save", full)
  with pytest.raises(OSError, match="sub-4") as caught:
    prepare_studies(studies, config, MIDAS12, None, tmp_path / "c")
  assert "free some space" in explain(caught.value)[0]
  assert list((tmp_path / "c").iterdir()) == []


def test_a_bug_is_not_taken_for_a_bad_study(config, tmp_path, monkeypatch):
  studies = bad_studies(tmp_path / "data")[4:]

  def bug(*args, **options):
    raise ZeroDivisionError

  monkeypatch.setattr(prepare_lib, "make_arrays", bug)
  with pytest.raises(ZeroDivisionError) as caught:
    prepare_studies(studies, config, MIDAS12, None, tmp_path / "c")
  assert caught.value.__notes__ == ["study sub-4_ses-1"]


def test_a_disk_that_fails_is_no_damage_of_the_cache(
  study, config, tmp_path, monkeypatch
):
  prepare_study(study, config, MIDAS12, tmp_path / "c")
  (entry,) = (tmp_path / "c").iterdir()

  def fail(path, **options):
    raise OSError(errno.EIO, "Input/output error", str(path))

  monkeypatch.setattr(np, "load", fail)
  with pytest.raises(OSError, match="Input/output"):
    prepare_study(study, config, MIDAS12, tmp_path / "c")
  assert (entry / "image.npy").is_file()


def test_a_missing_channel_is_named(study, config, tmp_path):
  t1w = {"T1w": study.images["T1w"]}
  lame = dataclasses.replace(study, images=t1w)
  with pytest.raises(InputError) as caught:
    prepare_studies([study, lame], config, MIDAS12, None, tmp_path / "c")
  text = str(caught.value)
  assert "patient sub-1, session ses-1: T1w without T2w" in text
  assert "--config.data.channels=T1w" in text
  assert "--mode=doctor" in text


def test_a_mask_on_another_grid_is_refused(study, config):
  save(study.mask, read(study.mask), shift_mm=0.5)
  with pytest.raises(InputError, match=r"at \(-8.00, 20.50, 30.00\)") as caught:
    prepare_in_memory(study, config, MIDAS12)
  assert caught.value.path == study.mask
  save(study.mask, np.zeros((5, 40, 30), np.uint8))
  with pytest.raises(InputError, match=r"5 x 40 x 30 voxels .* and not"):
    prepare_in_memory(study, config, MIDAS12)


def test_a_refused_registration_is_flagged(study, config):
  """Noise has no alignment to find: the headers' is kept, and said so."""
  config.registration = "rigid"
  config.registration_bound_mm = 0.0
  save(study.images["T1w"], read(study.images["T1w"]), shift_mm=14.0)
  prepared = prepare_in_memory(study, config, MIDAS12)
  config.registration = "none"
  header = prepare_in_memory(study, config, MIDAS12)
  record = prepared.info["registration"]["T1w"]
  assert record["verdict"].startswith("refused: ")
  assert 0.2 < record["coverage"] < 0.8
  first, second = prepared.info["flags"]
  assert first == f"T1w: registration {record['verdict']}"
  assert second.startswith("T1w: covers ")
  assert header.info["flags"] == [second]
  np.testing.assert_array_equal(prepared.image, header.image)


def test_a_schemes_name_does_not_change_the_entry(study, config, tmp_path):
  """A run reads its scheme back from its own folder, under any name."""
  first = prepare_study(study, config, MIDAS12, tmp_path / "c")
  renamed = dataclasses.replace(MIDAS12, name="other")
  again = prepare_study(study, config, renamed, tmp_path / "c")
  assert first.info["digest"] == again.info["digest"]
  assert len(list((tmp_path / "c").glob("sub-1*"))) == 1


def test_one_study_that_cannot_be_read_is_told_whole(
  config, tmp_path, monkeypatch
):
  studies = bad_studies(tmp_path / "data")[4:]

  def denied(path):
    raise OSError(errno.EACCES, "Permission denied", path)

  monkeypatch.setattr(prepare_lib, "file_digest", denied)
  with pytest.raises(InputError, match=r"study sub-4_ses-1: .*permission den"):
    prepare_studies(studies, config, MIDAS12, None, tmp_path / "c")
