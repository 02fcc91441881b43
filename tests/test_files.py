"""Files are whole or absent, whatever happens while they are written."""

import errno
import hashlib
import os
import shutil
import stat

import numpy as np
import pytest

from lumbar_jax import files
from lumbar_jax.errors import InputError, explain


class Interrupted(BaseException):
  """Like KeyboardInterrupt: not an Exception."""


def _half_written(path, error):
  path.write_text("half of the n")
  raise error


def _names(folder):
  return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError, Interrupted])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failed_write_leaves_what_was_there(tmp_path, error, existed):
  path = tmp_path / "a.nii.gz"
  if existed:
    path.write_text("old")
  with pytest.raises(error), files.atomic_path(path) as scratch:
    _half_written(scratch, error)
  assert _names(tmp_path) == (["a.nii.gz"] if existed else [])
  if existed:
    assert path.read_text() == "old"


def test_the_file_appears_at_the_end_with_its_suffixes(tmp_path):
  path = tmp_path / "new" / "folder" / "a.nii.gz"
  with files.atomic_path(path) as scratch:
    assert scratch.parent == path.parent  # one file system: renames are atomic
    assert scratch.name.endswith(".nii.gz")
    assert scratch != path
    scratch.write_text("whole")
    assert not path.exists()
  assert path.read_text() == "whole"
  assert _names(path.parent) == ["a.nii.gz"]


def test_a_write_that_made_nothing_is_an_error(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("old")
  with pytest.raises(FileNotFoundError), files.atomic_path(path):
    pass
  assert path.read_text() == "old"


def test_write_text_replaces_as_a_whole(tmp_path, monkeypatch):
  path = tmp_path / "a.txt"
  files.write_text(path, "naïve Šíp\n")
  assert path.read_bytes() == "naïve Šíp\n".encode()

  def full(*_):
    raise OSError("No space left on device")

  monkeypatch.setattr(files.os, "replace", full)
  with pytest.raises(OSError, match="No space"):
    files.write_text(path, "other")
  assert path.read_bytes() == "naïve Šíp\n".encode()
  assert _names(tmp_path) == ["a.txt"]


def test_json_round_trip_is_byte_equal_for_equal_values(tmp_path):
  value = {"b": [1, 2.5, None], "a": {"ü": True}}
  files.write_json(tmp_path / "1.json", value)
  files.write_json(tmp_path / "2.json", dict(reversed(value.items())))
  assert files.read_json(tmp_path / "1.json") == value
  first, second = ((tmp_path / f"{i}.json").read_bytes() for i in (1, 2))
  assert first == second


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failed_folder_leaves_nothing(tmp_path, error):
  path = tmp_path / "study"
  with pytest.raises(error), files.atomic_folder(path) as scratch:
    _half_written(scratch / "image.npy", error)
  assert _names(tmp_path) == []


def test_a_folder_appears_at_the_end_readable_by_others(tmp_path):
  path = tmp_path / "cache" / "study"
  with files.atomic_folder(path) as scratch:
    (scratch / "image.npy").write_text("whole")
    assert not path.exists()
  assert _names(path.parent) == ["study"]
  assert (path / "image.npy").read_text() == "whole"
  assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_the_faster_process_keeps_its_folder(tmp_path):
  path = tmp_path / "study"
  with files.atomic_folder(path) as scratch:
    (scratch / "image.npy").write_text("slower")
    with files.atomic_folder(path) as other:
      (other / "image.npy").write_text("faster")
  assert (path / "image.npy").read_text() == "faster"
  assert _names(tmp_path) == ["study"]


def test_nobody_finds_half_of_a_folder_that_is_removed(tmp_path, monkeypatch):
  path, seen = tmp_path / "ensemble", []
  (path / "fold_0").mkdir(parents=True)
  remove = shutil.rmtree

  def look(place, **options):
    seen.append(path.exists())
    remove(place, **options)

  monkeypatch.setattr(files.shutil, "rmtree", look)
  files.remove_folder(path)
  assert seen == [False]  # it had gone before anything in it was deleted
  assert _names(tmp_path) == []
  files.remove_folder(path)  # which is not there: nothing to do


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path):
  path = tmp_path / "study"
  path.write_text("in the way")
  with pytest.raises(OSError), files.atomic_folder(path):  # noqa: PT011
    pass
  assert path.read_text() == "in the way"
  assert _names(tmp_path) == ["study"]


def test_digests():
  assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})
  values = [("a", "b"), ("ab",), ("b", "a"), (["a", "b"],), (1,), ("1",)]
  digests = {files.digest(*value) for value in values}
  assert len(digests) == len(values)
  assert all(len(d) == 16 and int(d, 16) >= 0 for d in digests)


def test_file_digest_is_sha256(tmp_path):
  path = tmp_path / "a.bin"
  content = bytes(range(256)) * 5000
  path.write_bytes(content)
  expected = hashlib.sha256(content).hexdigest()
  assert files.file_digest(path) == expected[:16]


def test_find_files_follows_links_and_ends_in_a_loop(tmp_path):
  (tmp_path / "real" / "deep").mkdir(parents=True)
  (tmp_path / "real" / "deep" / "a_dseg.nii.gz").touch()
  (tmp_path / "tree").mkdir()
  (tmp_path / "tree" / "link").symlink_to(tmp_path / "real")
  (tmp_path / "real" / "back").symlink_to(tmp_path / "tree")
  found = files.find_files(tmp_path / "tree", "*_dseg.nii*")
  assert found == [tmp_path / "tree" / "link" / "deep" / "a_dseg.nii.gz"]


def fail_with(number):
  def fail(*args, **options):
    raise OSError(number, os.strerror(number))

  return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failed_write_names_the_file_that_was_wanted(
  tmp_path, monkeypatch, number
):
  path = tmp_path / "a.json"
  whole = files.atomic_path(path)
  with pytest.raises(OSError, match=r"a\.json") as caught, whole:
    fail_with(number)()  # as a write to an open file does
  assert caught.value.filename == str(path)
  monkeypatch.setattr(files.os, "replace", fail_with(number))
  with pytest.raises(OSError, match=r"a\.json") as caught:
    files.write_json(path, {})
  assert caught.value.filename == str(path)
  assert _names(tmp_path) == []
  entry = files.atomic_folder(tmp_path / "entry")
  with pytest.raises(OSError, match="entry"), entry:
    fail_with(number)()
  assert _names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(OSError, match="file") as caught:
    files.write_text(tmp_path / "file" / "a.txt", "x")
  assert str(tmp_path / "file") in explain(caught.value)[0]


def test_the_longest_names_can_be_written(tmp_path):
  path = tmp_path / ("ü" * 123 + ".nii.gz")
  assert len(os.fsencode(path.name)) > 250
  with files.atomic_path(path) as scratch:
    assert scratch.name.endswith(".nii.gz")
    scratch.write_text("whole")
  with files.atomic_folder(tmp_path / ("e" * 255)) as scratch:
    (scratch / "image.npy").touch()
  assert _names(tmp_path) == sorted([path.name, "e" * 255])
  with pytest.raises(OSError, match="eee") as caught:
    files.write_text(tmp_path / ("e" * 256), "x")
  assert "longer than" in explain(caught.value)[0]


@pytest.mark.parametrize(
  "content",
  [b"", b'{"a": 1', b"\xff\xfe", b"[1]", b"{}", b"[" * 100_000, b"3"],
)
def test_damaged_json_is_named_with_its_remedy(tmp_path, content):
  path = tmp_path / "a.json"
  path.write_bytes(content)
  with pytest.raises(InputError, match=r"a\.json: the file is damaged"):
    files.read_json(path, ("a",))
  with pytest.raises(InputError, match="make it again"):
    files.read_json(path, ("a",), "make it again")


@pytest.mark.parametrize("place", range(0, 400, 23))
def test_damaged_arrays_are_right_or_named(tmp_path, place):
  path, array = tmp_path / "a.npz", np.arange(60).reshape(6, 10)
  np.savez_compressed(path, counts=array)
  content = bytearray(path.read_bytes())
  content[place % len(content)] ^= 0x55
  path.write_bytes(bytes(content))
  try:
    (found,) = files.read_arrays(path, "counts", remedy="tune again")
  except InputError as error:
    found = error
  if isinstance(found, InputError):
    assert "a.npz: the file is damaged" in str(found)
    assert "tune again" in str(found)
  else:
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("length", [0, 3, 50, -1])
def test_arrays_cut_short_are_named(tmp_path, length):
  path = tmp_path / "a.npz"
  np.savez_compressed(path, counts=np.arange(60))
  path.write_bytes(path.read_bytes()[:length])
  with pytest.raises(InputError, match=r"a\.npz: the file is damaged"):
    files.read_arrays(path, "counts", remedy="tune again")
  np.savez_compressed(path, other=np.arange(60))
  with pytest.raises(InputError, match="counts"):
    files.read_arrays(path, "counts", remedy="tune again")


def test_walk_yields_links_to_nothing_and_no_hidden_folders(tmp_path):
  (tmp_path / ".git").mkdir()
  (tmp_path / ".git" / "x.nii").touch()
  (tmp_path / "deep.nii").mkdir()
  (tmp_path / "deep.nii" / "a.NII").touch()
  (tmp_path / "gone.nii").symlink_to("nowhere")
  folders = []
  found = list(files.walk(tmp_path, on_folder=folders.append))
  assert found == [tmp_path / "gone.nii", tmp_path / "deep.nii" / "a.NII"]
  assert folders == [tmp_path / "deep.nii"]
  assert files.find_files(tmp_path, "*.nii") == [found[1]]
