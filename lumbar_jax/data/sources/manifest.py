"""A table with one row a study, for files that lie as they lie.

    patient  session  T2w            T1w            mask           split  fold
    P01      a        P01/a/t2.nii   P01/a/t1.nii   P01/a/seg.nii  train  0

Tabs, commas or semicolons separate the cells. `patient` and at least one image
column are required; `config.data.columns` says what a table calls them. Paths
are absolute, or relative to `config.data.root`, or without a root to the
table's own folder. Cells that are empty or `n/a` say nothing. Further columns
(sex, manufacturer ...) describe the patient.

A `dseg.tsv` beside the table says what the numbers in the masks mean; without
one they are those of `config.data.scheme`, which may be the path of a
`dseg.tsv` too: classes of one's own need no code.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from lumbar_jax.config import CHANNELS
from lumbar_jax.data.sources import (
  left_out,
  manifest_columns,
  manifest_rows,
)
from lumbar_jax.data.sources.cells import candidates, existing
from lumbar_jax.data.sources.found import (
  EMPTY_CELLS,
  ERROR,
  INFO,
  Finding,
  Found,
  read_mask_scheme,
  table_notes,
)
from lumbar_jax.data.sources.left_out import Reason
from lumbar_jax.data.sources.manifest_columns import COLUMNS
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError, did_you_mean
from lumbar_jax.formats import names
from lumbar_jax.formats.tables import read_table
from lumbar_jax.progress import working

SPLITS = ("train", "test")


@working("looking for studies")
def find(data_config, *, masks: bool = True) -> Found:
  """Lists the studies of `config.data.manifest`.

  Rows with an error make findings and no study.

  Args:
    data_config: the `data` part of a config.
    masks: False leaves the masks out, there or not (prediction).

  Raises:
    InputError: no table, no rows, or a column that is missing.
  """
  if not data_config.manifest:
    raise InputError(
      "config.data.manifest is empty", "give --config.data.manifest=TABLE.tsv"
    )
  path = Path(data_config.manifest).expanduser()
  if not path.is_file():
    raise InputError(
      "no such file", "check config.data.manifest", path=path.absolute()
    )
  root = Path(data_config.root or path.parent).expanduser()
  findings: list[Finding] = []
  columns = manifest_columns.parse(data_config.columns)
  named: set[Path] = set()  # also by rows that cannot be used
  studies = _studies(path, root, columns, masks, findings, named)
  findings += manifest_rows.check(studies, path, training=masks)
  twins = manifest_rows.repeated(studies)  # which is meant cannot be known
  studies = {n: study for n, study in studies.items() if n not in twins}
  scheme = None
  if any(study.mask for study in studies.values()):
    scheme = read_mask_scheme(path.parent / "dseg.tsv", findings)
  findings += _not_listed(studies.values(), named, root, masks)
  return Found(tuple(studies.values()), scheme, root, tuple(findings))


def _studies(
  path: Path,
  root: Path,
  columns: Mapping[str, str],
  masks: bool,
  findings: list[Finding],
  named: set[Path],
) -> dict[int, Study]:
  """Returns {number of the row: study}; adds a finding for any other row.

  The files of all rows are added to `named`.
  """
  table = read_table(path)
  findings += table_notes(table)
  # (A run's names of columns need not be those of what is predicted.)
  rows = manifest_columns.renamed(table, columns, strict=masks)
  if not rows:
    raise InputError("no rows below the header", "add studies", path=path)
  studies = {}
  for number, row in rows:
    cells = filter(None, map(row.get, (*CHANNELS, "mask")))
    named.update(path for cell in cells for path in candidates(cell, root))
    if not masks:
      row.pop("mask", None)
    try:
      studies[number] = _study(row, root)
    except InputError as error:
      problem = f"row {number}: {error.problem}"
      study = row.get("patient", "") if not masks else ""
      findings.append(Finding(ERROR, problem, error.remedy, path, study))
  return studies


def _study(row: Mapping[str, str], root: Path) -> Study:
  """Reads one row.

  Raises:
    InputError: a cell that cannot be used.
  """
  cells = {k: v for k, v in row.items() if v.lower() not in EMPTY_CELLS}
  for column in ("patient", "session"):
    value = cells.get(column, "")
    if re.search(r'[/\\:*?"<>|\x00-\x1f]', value) or value.startswith("."):
      raise InputError(
        f"{column} {value!r} cannot be part of a file name",
        "use letters, digits, dashes and underscores",
      )
  if "patient" not in cells:
    raise InputError("no patient", "fill the cell")
  images = {c: existing(c, cells[c], root) for c in CHANNELS if c in cells}
  if not images:
    raise InputError("no image", f"fill {' or '.join(CHANNELS)}")
  mask = existing("mask", cells["mask"], root) if "mask" in cells else None
  further = {k: v for k, v in row.items() if k not in COLUMNS}
  return Study(
    cells["patient"],
    cells.get("session", ""),
    images,
    mask,
    {"participant": further},
    _split(cells.get("split")),
    _fold(cells.get("fold")),
  )


def _split(cell: str | None) -> str | None:
  if cell is None or cell in SPLITS:
    return cell
  raise InputError(
    f"split is {cell!r}",
    did_you_mean(cell, SPLITS) + f"allowed: {', '.join(SPLITS)}, or empty",
  )


def _fold(cell: str | None) -> int | None:
  if cell is None or cell.isdecimal():
    return None if cell is None else int(cell)
  raise InputError(
    f"fold is {cell!r}", "give a whole number such as 0, 1, 2, or nothing"
  )


def _not_listed(
  studies: Collection[Study], named: Collection[Path], root: Path, masks: bool
) -> list[Finding]:
  """Reports the images that lie where those of the table lie, in no row."""
  used = [Path(p) for s in studies for p in (*s.images.values(), s.mask) if p]
  if not used:
    return []
  place = Path(os.path.commonpath([path.absolute().parent for path in used]))

  def why(path: Path) -> Reason | None:
    if names.looks_like_mask(path):
      return left_out.MASKS if masks else None
    return Reason(INFO, "in no row of the manifest", "add rows to use them")

  inside = root.absolute() in (place, *place.parents)
  seen = {Path(os.path.abspath(path)) for path in (*used, *named)}
  return left_out.report(place, seen, why) if inside else []
