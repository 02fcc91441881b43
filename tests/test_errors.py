"""Whatever the system says ends in one line: file, problem, remedy."""

import errno
import os
import re
import threading

import pytest

from lumbar_jax import crashes, errors
from lumbar_jax.errors import InputError, explain

NUMBERS = sorted(errno.errorcode)


@pytest.mark.parametrize("filename", ["out/a.nii.gz", None, b"out/a.nii.gz"])
def test_every_number_of_the_system_is_explained(filename):
  for number in NUMBERS:
    error = OSError(number, os.strerror(number))
    error.filename = filename
    text, code = explain(error)
    assert code == 2
    assert ("out/a.nii.gz: " in text) == (filename is not None), text
    assert text.count(". ") == 1  # the problem, then the remedy
    assert text.endswith(".")


@pytest.mark.parametrize(
  ("number", "words"),
  [
    (errno.ENOSPC, "free some space"),
    (errno.EDQUOT, "quota.*free some space"),
    (errno.ENAMETOOLONG, "shorter name"),
    (errno.EACCES, "permission denied.*chmod"),
    (errno.EROFS, "read-only.*another place"),
    (errno.EIO, "input/output error.*disk"),
    (errno.ESTALE, "stale file handle.*mount"),
    (errno.EMFILE, "ulimit"),
    (errno.EBUSY, os.strerror(errno.EBUSY)),
  ],
)
def test_the_common_ones_say_what_to_do(number, words):
  text, _ = explain(OSError(number, os.strerror(number), "a.png"))
  assert re.search(words, text)


def test_a_rename_names_the_file_that_was_wanted():
  text, _ = explain(OSError(28, "No space left", ".x-a.json", None, "a.json"))
  assert text.startswith("a.json: ")


def test_a_librarys_own_words_are_kept():
  text, code = explain(OSError("Not a gzipped file (b'ab')"))
  assert "Not a gzipped file" in text
  assert code == 2


class XlaRuntimeError(RuntimeError):
  """As JAX calls its own."""


def test_a_full_memory_is_no_bug_and_other_errors_of_xla_are():
  for error in (
    MemoryError("Unable to allocate 3 GiB"),
    XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying"),
  ):
    text, code = explain(error)
    assert "memory" in text
    assert "batch_size" in text
    assert code == 2
  assert explain(XlaRuntimeError("INTERNAL: something")) is None
  assert explain(TypeError("a bug")) is None


def raised(error):
  try:
    raise error
  except type(error) as caught:
    return caught


def test_a_crash_leaves_its_traceback_and_the_versions(tmp_path, monkeypatch):
  monkeypatch.setattr(crashes, "_folders", ())
  monkeypatch.setattr(crashes.sys, "argv", ["launch.py", "--output=a b"])
  crashes.log_to(None, tmp_path / "absent", tmp_path)
  line = crashes.report(raised(TypeError("no\nlen()")), "study sub-\udcfc")
  (path,) = tmp_path.iterdir()
  assert re.fullmatch(r"crash-\d{8}-\d{6}\.log", path.name)
  assert line.startswith("TypeError: no len()")
  assert "\n" not in line
  assert str(path) in line
  text = path.read_text()
  for part in (
    "Traceback (most recent call last)",
    "in raised",
    "launch.py '--output=a b'",
    "study sub-\\udcfc",
    "jax ",
    "Python 3.",
  ):
    assert part in text
  crashes.report(raised(TypeError()))
  assert len(list(tmp_path.iterdir())) == 2  # of one second, most likely


def test_a_crash_log_finds_another_folder(tmp_path, monkeypatch):
  monkeypatch.setattr(crashes.installed, "versions", lambda: 1 / 0)
  full, there = tmp_path / "full", tmp_path / "there"
  full.mkdir()
  there.mkdir()
  monkeypatch.setattr(crashes.tempfile, "gettempdir", lambda: str(there))
  opened = open

  def no_space(path, *args, **options):
    if str(path).startswith(str(full)):
      raise OSError(errno.ENOSPC, "No space left on device", str(path))
    return opened(path, *args, **options)

  monkeypatch.setattr("builtins.open", no_space)
  error = raised(TypeError("x"))
  assert crashes.write_log(error, folders=[full]).parent == there
  there.rename(tmp_path / "gone")
  assert crashes.write_log(error, folders=[full]) is None
  assert "Traceback" in crashes.report(error)  # then at least on the console


@pytest.mark.parametrize(
  ("error", "words", "logs"),
  [
    (OSError(28, "No space left on device", "events"), "events: no space", 0),
    (ZeroDivisionError("x"), "ZeroDivisionError: x (not foreseen", 1),
    (SystemExit(0), "", 0),
  ],
)
@pytest.mark.filterwarnings(
  "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
def test_a_threads_error_is_a_line_too(
  tmp_path, monkeypatch, caplog, error, words, logs
):
  monkeypatch.setattr(threading, "excepthook", threading.excepthook)
  monkeypatch.setattr(crashes, "_folders", (tmp_path,))
  monkeypatch.setattr(crashes.installed, "versions", lambda: "1")
  crashes.watch_threads()

  def fail():
    raise error

  thread = threading.Thread(target=fail)
  thread.start()
  thread.join()
  assert words in caplog.text
  assert bool(caplog.text) == bool(words)
  assert "Traceback" not in caplog.text
  assert len(list(tmp_path.glob("crash-*.log"))) == logs


def test_errors_of_input_stay_as_they_are():
  error = InputError("bad", "good", path="x")
  assert explain(error) == ("x: bad. good.", 2)
  assert explain(KeyboardInterrupt())[1] == 130
  assert set(errors.DISK_FULL) <= set(NUMBERS)
