"""Space is asked for before it is needed."""

import types

import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config as configs
from lumbar_jax import space
from lumbar_jax.data import room
from lumbar_jax.data.room import check_room, prepared_bytes
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

SHAPE = (10, 200, 100)


@pytest.fixture
def study(tmp_path):
  image = nib.Nifti1Image(np.zeros(SHAPE, np.int8), np.diag([5, 0.5, 0.5, 1]))
  nib.save(image, tmp_path / "a.nii.gz")
  return Study("a", "", {"T2w": tmp_path / "a.nii.gz"})


@pytest.fixture
def data():
  data = configs.default().data
  data.channels = ("T2w",)
  return data


def free(monkeypatch, size):
  usage = types.SimpleNamespace(total=10**12, free=size)
  monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage)


def test_the_estimate_is_that_of_the_arrays(study, data):
  voxels = np.prod(SHAPE)
  assert prepared_bytes(study, data) == voxels * (4 + 1 + 1)
  data.spacing_mm = 1.0  # a quarter of the pixels
  assert prepared_bytes(study, data) == voxels * (5 / 4 + 1)
  huge = nib.Nifti1Header()
  huge.set_data_shape((30000, 30000, 30000))  # more than the file can hold
  study.images["T2w"].with_suffix("").write_bytes(huge.binaryblock + bytes(4))
  claims = Study("a", "", {"T2w": study.images["T2w"].with_suffix("")})
  assert prepared_bytes(claims, data) == 0
  study.images["T2w"].write_bytes(b"no image")
  assert prepared_bytes(study, data) == 0


def test_too_little_space_is_told_before_anything_is_made(
  study, data, tmp_path, monkeypatch, caplog
):
  cache, workdir = tmp_path / "cache", tmp_path / "run"
  folders = cache, workdir
  free(monkeypatch, 10**7)
  check_room([study], data, *folders)
  assert "free" not in caplog.text
  free(monkeypatch, 10**6)
  check_room([study], data, *folders)
  assert "1.2 MB, but only 1 MB are free" in caplog.text
  free(monkeypatch, 10**5)
  with pytest.raises(InputError, match=r"cache.*1.2 MB.*100 KB.*data\.cache"):
    check_room([study], data, *folders)
  (cache / "a-0123456789abcdef").mkdir()  # it is prepared already
  asked = []
  monkeypatch.setattr(room, "check_writable", asked.append)
  check_room([study], data, *folders)
  assert asked == [workdir]  # the cache may then be another's
  assert [path.name for path in workdir.iterdir()] == []


def test_a_folder_that_cannot_be_written_is_named(study, data, tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(OSError, match="file"):
    check_room([study], data, tmp_path / "cache", tmp_path / "file" / "run")


def test_sizes_are_said_as_people_say_them():
  said = [space.human(size) for size in (0, 999, 1000, 1.25e6, 3e9, 5e15)]
  assert said == ["0 bytes", "999 bytes", "1 KB", "1.25 MB", "3 GB", "5e+03 TB"]


def test_what_nobody_knows_is_no_lack(monkeypatch, tmp_path):
  usage = types.SimpleNamespace(total=0, free=0)  # some network disks say so
  monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage)
  assert space.free_bytes(tmp_path) is None
  space.check_free(tmp_path, 1e12, "all", "nothing")
