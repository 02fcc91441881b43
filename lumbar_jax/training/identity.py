"""What tells a fold's trained weights from others, without loading them."""

import functools
import json
import os
from pathlib import Path

from lumbar_jax.files import digest, file_digest

_BEST = "best"
_INFO = ("info", "metadata")
_CHECKSUM = ("checksum", "content")  # of the arrays, see `checksums`


def best_identity(fold_folder: Path) -> str:
  """Returns 16 hex digits of the weights of a fold's best epoch, "" if none.

  The checksum that was written with them; of an older version's checkpoint,
  which has none, the digest of its files: a copy has the same one, but the same
  training done again has another.

  Args:
    fold_folder: of a run or an ensemble.
  """
  folder = Path(fold_folder) / "checkpoints" / _BEST
  steps = [p for p in folder.glob("*") if p.name.isdigit() and p.is_dir()]
  if not steps:
    return ""
  step = max(steps, key=lambda path: int(path.name))
  try:
    found = json.loads(step.joinpath(*_INFO).read_text(encoding="utf-8"))
    for name in _CHECKSUM:
      found = found[name]
    return str(found)
  except (OSError, ValueError, KeyError, TypeError):
    pass
  files = sorted(path for path in step.rglob("*") if path.is_file())
  return _of_files(step, tuple((p, _state(p.stat())) for p in files))


def _state(found: os.stat_result) -> tuple[int, ...]:
  """Returns what of a file is other once its content is."""
  return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(maxsize=256)
def _of_files(step: Path, files: tuple[tuple[Path, tuple], ...]) -> str:
  """Returns the digest of files' names and content, read once a state."""
  return digest(
    [(p.relative_to(step).as_posix(), file_digest(p)) for p, _ in files]
  )
