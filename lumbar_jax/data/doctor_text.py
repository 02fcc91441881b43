"""The doctor's report as plain text."""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lumbar_jax.data.acquisition import Row
from lumbar_jax.data.checks import StudyRow
from lumbar_jax.data.grouping import Group, group, some
from lumbar_jax.data.parts import Part
from lumbar_jax.data.sources.found import ERROR, WARNING
from lumbar_jax.escaping import one_line

if TYPE_CHECKING:
  from lumbar_jax.data.doctor import Report

WIDTH = 110  # characters of a printed report
_INDENT = 8


def format_report(report: "Report") -> str:
  """Returns the report as plain text: studies, what they are like, findings."""
  console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
  if report.rows:
    console.print(_table(report.rows))
  if report.acquisition:
    console.print(_acquisition_table(report.acquisition))
  if report.parts:
    console.print(_parts_table(report.parts))
  lines = [line for found in group(report.findings) for line in _lines(found)]
  counts = ", ".join(f"{n} {name}" for name, n in report.counts.items())
  lines += ["", counts]
  for column, values in report.strata.items():
    words = ", ".join(f"{value} {n}" for value, n in values.items())
    lines += _wrap(f"{column}: {words} patients")
  lines.append(_verdict(report))
  lines = [*console.file.getvalue().splitlines(), *lines]
  return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _verdict(report: "Report") -> str:
  severities = [finding.severity for finding in report.findings]
  verdict = "cannot be used as they are"
  if report.ok:
    masks = any(row.labels for row in report.rows)
    verdict = f"can be {'used as they are' if masks else 'predicted only'}"
  return (
    f"{severities.count(ERROR)} errors, {severities.count(WARNING)} warnings: "
    f"the data {verdict}"
  )


def _wrap(text: str, indent: int = 0) -> list[str]:
  """Returns lines that fit; long words stay whole."""
  return textwrap.wrap(
    one_line(text),
    WIDTH,
    initial_indent=" " * indent,
    subsequent_indent=" " * _INDENT,
    break_long_words=False,
    break_on_hyphens=False,
  )


def _lines(found: Group) -> list[str]:
  """Returns a finding's line, or for many that say the same one and names.

  A finding is one line however long, so that it can be searched for.
  """
  finding, names = found.first, found.names
  word = f"{finding.severity.upper():<{_INDENT}}"
  study = f"[{finding.study}] " if finding.study else ""
  text = one_line(f"{study}{finding}")
  if len(found.findings) == 1:
    return [word + text]
  what = "studies" if all(f.study for f in found.findings) else "files"
  such = "the first of them" if found.alike else "such as"
  return [
    f"{word}{len(names)} {what}, {such} {text}",
    *_wrap(f"These {len(names)}: {some(names)}.", _INDENT),
  ]


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
    first = [one_line(row.patient), one_line(row.session)]
    last = [labels, "" if row.ok else "ERROR"]
    for channel, grid in row.grids.items() or [("-", None)]:
      cells = ["?", "?", "?"]
      if grid is not None:
        spacing = " ".join(f"{s:.3g}" for s in grid.spacing_mm)
        cells = ["x".join(map(str, grid.matrix)), spacing, grid.orientation]
      table.add_row(*map(Text, [*first, channel, *cells, *last]))
      first, last = ["", ""], ["", ""]
  return table


def _acquisition_table(rows: Sequence[Row]) -> Table:
  """Returns the ranges of acquisition, a column a channel."""
  channels = list(dict.fromkeys(c for _, cells in rows for c in cells))
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
  table.add_column("acquisition")
  for channel in channels:
    table.add_column(channel, overflow="fold")
  for title, cells in rows:
    found = [one_line(cells.get(channel, "-")) for channel in channels]
    table.add_row(Text(title), *map(Text, found))
  return table


def _parts_table(parts: Sequence[Part]) -> Table:
  """Returns the parts of the data, numbers on the right."""
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
  table.add_column("part")
  names = ("patients", "studies", "slices", "patches")
  for name in names:
    table.add_column(name, justify="right")
  for part in parts:
    table.add_row(part.name, *(f"{getattr(part, name):,}" for name in names))
  return table
