"""Label schemes: the only place in the project with label numbers.

A scheme says which structures a network tells apart. A mask file carries the
scheme it was drawn in (its `dseg.tsv`); masks are mapped from one scheme to
another by the structures' *names*, never by their numbers.
"""

from lumbar_jax.anatomy.files import (
  load_scheme,
  read_dseg_table,
  read_dseg_tsv,
  write_dseg_tsv,
)
from lumbar_jax.anatomy.labels import (
  label_counts,
  label_problem,
  map_labels,
)
from lumbar_jax.anatomy.scheme import (
  IGNORE,
  IGNORE_NAME,
  Scheme,
  Structure,
  scheme_from_names,
)
from lumbar_jax.anatomy.schemes import (
  DISCS,
  LEVELS,
  MIDAS12,
  MRSPINESEG,
  PHANTOM,
  SCHEMES,
  SPIDER,
  UPPER_LEVELS,
)

__all__ = [
  "DISCS",
  "IGNORE",
  "IGNORE_NAME",
  "LEVELS",
  "MIDAS12",
  "MRSPINESEG",
  "PHANTOM",
  "SCHEMES",
  "SPIDER",
  "UPPER_LEVELS",
  "Scheme",
  "Structure",
  "label_counts",
  "label_problem",
  "load_scheme",
  "map_labels",
  "read_dseg_table",
  "read_dseg_tsv",
  "scheme_from_names",
  "write_dseg_tsv",
]
