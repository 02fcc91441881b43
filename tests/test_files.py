"""Files are whole or absent, whatever happens while they are written."""

import hashlib
import stat

import pytest

from lumbar_jax import files


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
