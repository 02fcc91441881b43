"""Faults of disks, permissions and locks, injected."""

import builtins
import contextlib
import errno
import io
import os
import shutil
from unittest import mock

from corpus.entry import Family, read_or, refused, told

READING = Family("fault while reading")
WRITING = Family("fault while writing", commands=("predict", "training"))


def failing(number: int, part: str, writing: bool = False):
  """Returns a context in which files whose path has `part` do not open."""

  def fault(path):
    raise OSError(number, os.strerror(number), os.fspath(path))

  def fails(path):
    known = isinstance(path, str | os.PathLike)
    return known and part in os.fspath(path)

  def opening(real):
    def opened(file, mode="r", *args, **options):
      asked = any(letter in mode for letter in "wax+")
      if fails(file) and asked == writing:
        fault(file)
      return real(file, mode, *args, **options)

    return opened

  def listed(real):
    def listing(path="."):
      if not writing and fails(path):
        fault(path)
      return real(path)

    return listing

  @contextlib.contextmanager
  def context():
    with contextlib.ExitStack() as stack:
      opened = opening(builtins.open)
      for owner in (builtins, io):
        stack.enter_context(mock.patch.object(owner, "open", opened))
      for name in ("scandir", "listdir"):
        patched = listed(getattr(os, name))
        stack.enter_context(mock.patch.object(os, name, patched))
      yield

  return context


_WORDS = {
  errno.ENOSPC: ("the disk is full", "space"),
  errno.EDQUOT: ("the quota is used up", "quota"),
  errno.EACCES: ("no permission", "permi"),
  errno.EROFS: ("a read-only disk", "read-only"),
  errno.EIO: ("the disk fails (input/output error)", "input/output|disk"),
  errno.ESTALE: ("a stale handle of a network disk", "stale"),
  errno.EMFILE: ("too many open files", "too many.*files"),
  errno.ENAMETOOLONG: ("a name that is too long", "long"),
}


def _reading(number, part_of, culprit="image"):
  def make(w):
    w.culprit = getattr(w, culprit)
    w.around.append(failing(number, part_of(w)))
    w.whole = culprit == "table"

  return make


for _number in (errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE):
  _text, _word = _WORDS[_number]
  _name = errno.errorcode[_number].lower()
  READING.add(
    f"image_{_name}",
    f"an image: {_text}",
    _reading(_number, lambda w: w.image.name),
    refused(_word),
  )
READING.add(
  "mask_eacces",
  "a mask: no permission",
  _reading(errno.EACCES, lambda w: w.mask.name, "mask"),
  refused("permi"),
  predict=None,
)
READING.add(
  "table_eacces",
  "the manifest: no permission",
  _reading(errno.EACCES, lambda w: w.table.name, "table"),
  refused("permi"),
)
READING.add(
  "dseg_eacces",
  "the masks' dseg.tsv: no permission",
  _reading(errno.EACCES, lambda w: str(w.dseg), "dseg"),
  refused("permi"),
  predict=None,
)
READING.add(
  "participants_eacces",
  "participants.tsv: no permission",
  _reading(errno.EACCES, lambda w: w.table.name, "table"),
  refused("permi"),
  predict=read_or(told("permi")),
  kind="tree",
)


def _folder(w):
  folder = w.image.parents[1]
  w.culprit, w.compare = folder, False
  w.around.append(failing(errno.EACCES, str(folder)))


READING.add(
  "folder_eacces",
  "a patient's folder: no permission",
  _folder,
  refused("permi"),
  kind="tree",
)

# ------------------------------------------------------------------ writing


def _writing(number, part=""):
  def make(w):
    w.culprit, w.whole = None, not part
    if part:
      w.compare = False
    for folder in (w.output, w.workdir):
      w.around.append(failing(number, str(folder) + part, writing=True))

  return make


for _number in (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EACCES,
  errno.EROFS,
  errno.EIO,
):
  _text, _word = _WORDS[_number]
  WRITING.add(
    errno.errorcode[_number].lower(),
    f"where results go: {_text}",
    _writing(_number),
    refused(_word),
    report="MIC-DKFZ/nnUNet#2331" if _number == errno.ENOSPC else "",
  )


def _one_study(number):
  def make(w):
    w.culprit, w.compare = None, False
    w.around.append(failing(number, "p2_dseg.nii.gz", writing=True))

  return make


for _number in (errno.ENOSPC, errno.ENAMETOOLONG):
  _text, _word = _WORDS[_number]
  WRITING.add(
    f"mask_{errno.errorcode[_number].lower()}",
    f"one study's mask: {_text}",
    _one_study(_number),
    refused(_word),
    training=None,
  )


def _failing_rename(number, part):
  real = os.replace

  def replace(source, target, **options):
    if part in os.fspath(target):
      raise OSError(number, os.strerror(number), os.fspath(target))
    return real(source, target, **options)

  return lambda: mock.patch.object(os, "replace", replace)


def _rename(w):
  w.culprit, w.compare = None, False
  w.around.append(_failing_rename(errno.EIO, "p2_dseg.nii.gz"))


WRITING.add(
  "rename",
  "the last step of a study's mask (renaming) fails",
  _rename,
  refused("input/output|disk"),
  training=None,
)


def _output_is_file(w):
  for path in (w.output, w.workdir):
    path.write_text("a file")
  w.culprit, w.whole = None, True


WRITING.add(
  "file",
  "--output or --workdir is a file",
  _output_is_file,
  refused("folder|file|director"),
)


def _foreign(w):
  w.output.mkdir()
  path = w.output / "dataset_description.json"
  path.write_text('{"Name": "mine", "GeneratedBy": [{"Name": "fMRIPrep"}]}')
  w.culprit, w.whole = w.output, True


WRITING.add(
  "foreign",
  "--output is a data set of another program",
  _foreign,
  refused("data set"),
  training=None,
)


def _gone(w):
  shutil.rmtree(w.run_folder)
  w.culprit, w.whole = w.run_folder, True


WRITING.add(
  "run_gone",
  "a --workdir that is not there",
  _gone,
  refused("config.json|folder"),
  training=None,
)
