"""All entries of the corpus."""

from corpus import (
  channels,
  claims,
  configs,
  damaged,
  faults,
  folder,
  forms,
  interrupted,
  labels,
  locks,
  manifest_cells,
  mask_files,
  names,
  participants,
  pixels,
  plain,
  processes,
  weights,
  written,
)
from corpus.entry import Entry

_FAMILIES = (
  plain.ENTRIES,
  forms.GEOMETRY,
  pixels.PIXELS,
  claims.DAMAGE,
  channels.CHANNELS,
  mask_files.MASKS,
  manifest_cells.MANIFESTS,
  labels.LABELS,
  participants.PARTICIPANTS,
  names.TREE,
  folder.FOLDER,
  configs.CONFIGS,
  configs.FLAGS,
  faults.READING,
  faults.WRITING,
  locks.LOCKS,
  interrupted.KILLED,
  interrupted.CACHE,
  interrupted.WORKDIR,
  damaged.RUN,
  damaged.OUTPUT,
  weights.WEIGHTS,
  written.WRITTEN,
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
