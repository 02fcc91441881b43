"""The doctor: looks at a whole data set, changes nothing, reports it all."""

import collections
import concurrent.futures
import dataclasses
import io
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lumbar_jax.anatomy import IGNORE, Scheme, load_scheme
from lumbar_jax.data.checks import StudyRow, check_all_masks, check_study
from lumbar_jax.data.sources import Found, scan
from lumbar_jax.data.sources.found import (
  ERROR,
  INFO,
  WARNING,
  Finding,
  finding_of,
)
from lumbar_jax.data.splits import make_splits
from lumbar_jax.data.splits_file import load_or_make_splits, read_splits
from lumbar_jax.data.studies import Study
from lumbar_jax.errors import InputError

_SEVERITIES = (ERROR, WARNING, INFO)
_WIDTH = 110  # characters of a printed report
_NAMES_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Report:
  """What the doctor found.

  Attributes:
    rows: one a study, sorted by name.
    findings: all of them, errors first.
    counts: {"patients", "studies", "studies with a mask", ...}: number.
    strata: {column to stratify by: {value: number of patients}}.
  """

  rows: tuple[StudyRow, ...]
  findings: tuple[Finding, ...]
  counts: Mapping[str, int]
  strata: Mapping[str, Mapping[str, int]]

  @property
  def ok(self) -> bool:
    """Whether there is no error."""
    return all(finding.severity != ERROR for finding in self.findings)


def examine(
  data_config,
  workdir: str | Path | None = None,
  progress: Callable[[int, int, str], None] | None = None,
) -> Report:
  """Reads every file of the configured data set, and changes nothing.

  Args:
    data_config: the `data` part of a config.
    workdir: the run's folder, if there is one: its splits and prepared
      studies are looked at too.
    progress: called with (number done, number of studies, name of the last).

  Returns:
    A report, whatever is wrong with the data.
  """
  findings: list[Finding] = []
  try:
    found = scan(data_config, workdir)
  except InputError as error:
    found = Found((), None, Path(data_config.root), (finding_of(error),))
  findings += found.findings
  scheme, table = _label_table(found, data_config, findings)
  rows = _check_studies(found.studies, data_config, table, progress)
  findings += [finding for row in rows for finding in row.findings]
  if scheme is not None and table is not None:
    masks = [row.label_counts for row in rows if row.labels is not None]
    explained = found.mask_scheme is not None
    findings += check_all_masks(masks, scheme, table, explained=explained)
  findings += _check_masks(found.studies)
  findings += _check_splits(found.studies, data_config, workdir)
  findings += _check_registrations(data_config, workdir)
  findings.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
  return Report(
    rows,
    tuple(findings),
    _count(found.studies, rows),
    _count_strata(found.studies, data_config.stratify_by),
  )


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
  channels = tuple(data_config.channels)
  # Threads, since most of the time goes into unpacking .gz files.
  num_threads = min(4, os.cpu_count() or 1)
  with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
    assumed = data_config.assume_orientation
    for row in pool.map(
      lambda s: check_study(s, channels, table, assumed), studies
    ):
      rows.append(row)
      if progress is not None:
        progress(len(rows), len(studies), row.name)
  return tuple(rows)


def _some(names: Collection[str]) -> str:
  shown = sorted(names)[:_NAMES_SHOWN]
  more = len(names) - len(shown)
  return ", ".join(shown) + (f" and {more} more" if more else "")


def _check_masks(studies: Sequence[Study]) -> list[Finding]:
  names = [study.name for study in studies if study.mask is None]
  if not names:
    return []
  problem = f"{len(names)} studies have no mask: {_some(names)}"
  remedy = "they take no part in training and evaluation"
  return [Finding(INFO, problem, remedy)]


def _check_splits(
  studies: Sequence[Study], data_config, workdir: str | Path | None
) -> list[Finding]:
  if not studies:
    return []
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
      seed = read_splits(path)[1].get("seed", 0)
      load_or_make_splits(path, studies, **settings, seed=seed)
    else:
      make_splits(studies, **settings, seed=0)
  except InputError as error:
    # Without any mask the data can still be predicted on.
    return [finding_of(error, ERROR if labelled else WARNING)]
  return []


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


def format_report(report: Report) -> str:
  """Returns the report as plain text: studies, findings, counts."""
  console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
  if report.rows:
    console.print(_table(report.rows))
  for finding in report.findings:
    study = f"[{finding.study}] " if finding.study else ""
    line = f"{finding.severity.upper():<7} {study}{finding}"
    console.print(Text(line), soft_wrap=True)
  counts = ", ".join(f"{n} {name}" for name, n in report.counts.items())
  console.print(Text(f"\n{counts}"), soft_wrap=True)
  for column, values in report.strata.items():
    line = ", ".join(f"{value} {n}" for value, n in values.items())
    console.print(Text(f"{column}: {line} patients"), soft_wrap=True)
  severities = [finding.severity for finding in report.findings]
  verdict = "cannot be used as they are"
  if report.ok:
    masks = any(row.labels for row in report.rows)
    verdict = f"can be {'used as they are' if masks else 'predicted only'}"
  console.print(
    f"{severities.count(ERROR)} errors, {severities.count(WARNING)} warnings: "
    f"the data {verdict}"
  )
  lines = console.file.getvalue().splitlines()
  return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _table(rows: Sequence[StudyRow]) -> Table:
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
  for heading in ("patient", "session", "channel", "matrix"):
    table.add_column(heading, overflow="fold")
  table.add_column("spacing mm")
  table.add_column("axes")
  table.add_column("labels", overflow="fold")
  table.add_column("", no_wrap=True)
  for row in rows:
    labels = " ".join(f"{n:g}" for n in row.labels[:40]) if row.labels else "-"
    first = [row.patient, row.session]
    last = [labels, "" if row.ok else "ERROR"]
    for channel, grid in row.grids.items() or [("-", None)]:
      cells = ["?", "?", "?"]
      if grid is not None:
        spacing = " ".join(f"{s:.3g}" for s in grid.spacing_mm)
        cells = ["x".join(map(str, grid.matrix)), spacing, grid.orientation]
      table.add_row(*map(Text, [*first, channel, *cells, *last]))
      first, last = ["", ""], ["", ""]
  return table
