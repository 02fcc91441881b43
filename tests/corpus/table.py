"""All entries of the corpus."""

from corpus import (
  configs,
  damage,
  faults,
  geometry,
  interrupted,
  labels,
  manifests,
  masks,
  names,
  pixels,
  plain,
  processes,
  weights,
)
from corpus.entry import Entry

_FAMILIES = (
  plain.ENTRIES,
  geometry.GEOMETRY,
  pixels.PIXELS,
  damage.DAMAGE,
  masks.MASKS,
  manifests.MANIFESTS,
  labels.LABELS,
  labels.PARTICIPANTS,
  names.TREE,
  names.FOLDER,
  configs.CONFIGS,
  configs.FLAGS,
  faults.READING,
  faults.WRITING,
  faults.LOCKS,
  interrupted.KILLED,
  interrupted.CACHE,
  interrupted.WORKDIR,
  interrupted.RUN,
  interrupted.OUTPUT,
  weights.WEIGHTS,
  processes.PROCESSES,
)
ENTRIES: tuple[Entry, ...] = tuple(
  entry for family in _FAMILIES for entry in family.entries
)
_STEP = 4  # of the sample


def sample() -> tuple[Entry, ...]:
  """Returns a choice of every family, quick enough for each run of tests."""
  return tuple(
    entry for family in _FAMILIES for entry in family.entries[::_STEP]
  )
