"""The doctor: looks at a whole data set, changes nothing, reports it all."""

import collections
import concurrent.futures
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lumbar_jax.anatomy import IGNORE, Scheme, load_scheme
from lumbar_jax.data import acquisition as acquisition_lib
from lumbar_jax.data import brightness
from lumbar_jax.data import parts as parts_lib
from lumbar_jax.data.checks import StudyRow, check_all_masks, check_study
from lumbar_jax.data.doctor_text import format_report
from lumbar_jax.data.sources import Found, alike, scan
from lumbar_jax.data.sources.found import (
  ERROR,
  INFO,
  WARNING,
  Finding,
  finding_of,
)
from lumbar_jax.data.splits import Splits, make_splits
from lumbar_jax.data.splits_file import load_or_make_splits, read_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

_SEVERITIES = (ERROR, WARNING, INFO)

__all__ = ["Report", "examine", "format_report"]


@dataclasses.dataclass(frozen=True)
class Report:
  """What the doctor found.

  Attributes:
    rows: one a study, sorted by name.
    findings: all of them, errors first.
    counts: {"patients", "studies", "studies with a mask", ...}: number.
    strata: {column to stratify by: {value: number of patients}}.
    acquisition: ranges of how it was acquired, see `acquisition.table`.
    parts: patients, slices and patches of each part; empty without masks.
  """

  rows: tuple[StudyRow, ...]
  findings: tuple[Finding, ...]
  counts: Mapping[str, int]
  strata: Mapping[str, Mapping[str, int]]
  acquisition: tuple[acquisition_lib.Row, ...] = ()
  parts: tuple[parts_lib.Part, ...] = ()

  @property
  def ok(self) -> bool:
    """Whether there is no error."""
    return all(finding.severity != ERROR for finding in self.findings)


def examine(
  data_config,
  workdir: str | Path | None = None,
  progress: Callable[[int, int, str], None] | None = None,
  seed: int = 0,
  shared: bool = False,
) -> Report:
  """Reads every file of the configured data set, and changes nothing.

  Args:
    data_config: the `data` part of a config.
    workdir: the run's folder, if there is one: its splits and prepared
      studies are looked at too.
    progress: called with (number done, number of studies, name of the last).
    seed: `config.seed`, which the patients are divided by.
    shared: `config.training.allow_shared_patients`.

  Returns:
    A report, whatever is wrong with the data.
  """
  findings: list[Finding] = []
  try:
    found = scan(data_config, workdir)
  except InputError as error:
    found = Found((), None, Path(data_config.root), (finding_of(error),))
  findings += found.findings
  findings += alike.without_mask(found.studies)
  scheme, table = _label_table(found, data_config, findings)
  rows = _check_studies(found.studies, data_config, table, progress)
  findings += [finding for row in rows for finding in row.findings]
  if scheme is not None and table is not None:
    masks = [row.label_counts for row in rows if row.labels is not None]
    explained = found.mask_scheme is not None
    findings += check_all_masks(masks, scheme, table, explained=explained)
  splits, problems = _check_splits(found.studies, data_config, workdir, seed)
  findings += problems
  leaks = functools.partial(_leaks, None if shared else splits)
  findings += alike.copies(found.studies, leaks, data_config.channels[0])
  findings += _check_registrations(data_config, workdir)
  channels = tuple(data_config.channels)
  grey = {row.name: row.brightness for row in rows}
  findings += brightness.outliers(grey, channels)
  findings.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
  return Report(
    rows,
    tuple(findings),
    _count(found.studies, rows),
    _count_strata(found.studies, data_config.stratify_by),
    _acquisition(found.studies, rows, channels),
    _count_parts(splits, rows, data_config),
  )


def _acquisition(studies: Sequence[Study], rows, channels):
  grids = {row.name: row.grids for row in rows}
  return tuple(acquisition_lib.table(studies, grids, channels))


def _count_parts(splits: Splits | None, rows, data_config):
  """Returns the sizes of the parts, of the studies that can be trained on."""
  reference = data_config.channels[0]
  grids = {
    row.name: (row.patient, row.grids[reference])
    for row in rows
    if row.ok and row.labels is not None and row.grids.get(reference)
  }
  if splits is None or not grids:
    return ()
  try:
    return tuple(parts_lib.count(splits, grids, data_config))
  except InputError:  # patches that cannot be cut: training says so
    return ()


def _label_table(
  found: Found, data_config, findings: list[Finding]
) -> tuple[Scheme | None, Mapping[int, int] | None]:
  """Returns (the classes, {number in a mask: class}); None: not known."""
  try:
    scheme = load_scheme(data_config.scheme)
    source = found.mask_scheme or scheme
    if not any(study.mask for study in found.studies):
      return scheme, None
    return scheme, scheme.lookup(source, dict(data_config.remap))
  except InputError as error:
    findings.append(finding_of(error))
  source = found.mask_scheme
  if source is None:
    return None, None
  numbers = {number: min(number, 1) for number in source.indices}
  return None, numbers | dict.fromkeys(source.ignored, IGNORE)


def _check_studies(
  studies: Sequence[Study],
  data_config,
  table: Mapping[int, int] | None,
  progress: Callable[[int, int, str], None] | None,
) -> tuple[StudyRow, ...]:
  rows = []
  # Threads, since most of the time goes into unpacking .gz files.
  num_threads = min(4, os.cpu_count() or 1)
  with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
    for row in pool.map(lambda s: check_study(s, data_config, table), studies):
      rows.append(row)
      if progress is not None:
        progress(len(rows), len(studies), row.name)
  return tuple(rows)


def _check_splits(
  studies: Sequence[Study],
  data_config,
  workdir: str | Path | None,
  seed: int,
) -> tuple[Splits | None, list[Finding]]:
  """Returns the division of the patients, and what is wrong with it."""
  if not studies:
    return None, []
  settings = {
    "test_fraction": data_config.test_fraction,
    "num_folds": data_config.num_folds,
    "stratify_by": tuple(data_config.stratify_by),
    "validation_fraction": data_config.validation_fraction,
  }
  path = Path(workdir) / "splits.json" if workdir is not None else None
  labelled = any(study.mask for study in studies)
  try:
    if path is not None and path.is_file():
      seed = read_splits(path)[1].get("seed", seed)
      splits = load_or_make_splits(path, studies, **settings, seed=seed)
    else:
      splits = make_splits(studies, **settings, seed=seed)
  except InputError as error:
    # Without any mask the data can still be predicted on.
    return None, [finding_of(error, ERROR if labelled else WARNING)]
  return splits, []


def _leaks(splits: Splits | None, patients: set[str]) -> bool:
  """Tells whether a fold trains on some of the patients and tests others."""
  if splits is None:
    return False
  return any(
    patients & set(splits.train(fold))
    and patients & {*splits.validation(fold), *splits.test}
    for fold in range(splits.num_folds)
  )


def _check_registrations(
  data_config, workdir: str | Path | None
) -> list[Finding]:
  """Lists the registrations that preparation refused, study by study."""
  if data_config.cache:
    cache = Path(data_config.cache)
  elif workdir is not None:
    cache = Path(workdir) / "cache"
  else:
    return []
  findings = []
  for path in sorted(cache.glob("[!.]*/info.json")):
    try:
      record = json.loads(path.read_text(encoding="utf-8"))
      registrations = record.get("info", record).get("registration", {})
      verdicts = {c: str(r["verdict"]) for c, r in registrations.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
      problem = f"damaged entry of the cache ({type(error).__name__}: {error})"
      remedy = "it is made again when it is needed"
      findings.append(Finding(WARNING, problem, remedy, path))
      continue
    for channel, verdict in verdicts.items():
      if verdict != "accepted":
        problem = f"{channel}: registration {verdict}"
        remedy = "the header's alignment is used: look at both images together"
        findings.append(Finding(WARNING, problem, remedy, path.parent))
  return findings


def _count(
  studies: Sequence[Study], rows: Sequence[StudyRow]
) -> dict[str, int]:
  return {
    "patients": len({study.patient for study in studies}),
    "patients with a mask": len({s.patient for s in studies if s.mask}),
    "studies": len(studies),
    "studies with a mask": sum(study.mask is not None for study in studies),
    "studies with an error": sum(not row.ok for row in rows),
  }


def _count_strata(
  studies: Sequence[Study], columns: Sequence[str]
) -> dict[str, dict[str, int]]:
  rows = {s.patient: s.metadata.get("participant", {}) for s in studies}
  strata = {}
  for column in columns:
    if any(column in row for row in rows.values()):
      values = [str(row.get(column) or "n/a") for row in rows.values()]
      strata[column] = dict(sorted(collections.Counter(values).items()))
  return strata
