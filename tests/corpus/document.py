"""docs/robustness.md: what becomes of each entry of the corpus."""

import collections
from collections.abc import Mapping
from pathlib import Path

from corpus.entry import COMMANDS, Entry

PATH = Path(__file__).resolve().parents[2] / "docs" / "robustness.md"
_HEAD = """# Bad and odd inputs

<!-- Written by make corpus; do not edit. -->

Each line is an input that is wrong or unusual, made by `tests/corpus/`, and
what becomes of it with `--mode=doctor`, `--mode=predict` and training. `make
corpus` makes them all, runs all commands on each, and writes this page only if
every outcome is the right one; `make test` does so with a choice.

- **read right**: the result is that of the good input, voxel by voxel.
- **flagged**: the result is that of the good input, and a warning says what is
  odd (in the doctor's report, the log of training, the flags of a prediction).
- **refused**: an error in words that names the file; other studies go on.
- **left out**: no result of that study, and a warning says why.
- **named**: left out, or not as it may be meant, and a line says so.
- –: the command never meets this input.

In brackets: public reports of the same fault, of other programs.
"""


def _cell(text: str) -> str:
  """Returns text that Markdown shows as it is, within a table."""
  for mark in "\\`*_[]<>|#":
    text = text.replace(mark, f"\\{mark}")
  return text


def row(entry: Entry, outcomes: Mapping[str, str]) -> str:
  """Returns a line of the table."""
  shown = [outcomes.get(command, "–") for command in COMMANDS]
  text = entry.text + (f" ({entry.report})" if entry.report else "")
  cells = [entry.family, _cell(text), *shown]
  return f"| {' | '.join(cells)} |"


def page(results: Mapping[str, Mapping[str, str]], entries) -> str:
  """Returns the page.

  Args:
    results: {entry's name: {command: outcome}}.
    entries: all entries, in order.
  """
  counts = {c: collections.Counter() for c in COMMANDS}
  for outcomes in results.values():
    for command, outcome in outcomes.items():
      counts[command][outcome] += 1
  kinds = sorted({kind for counter in counts.values() for kind in counter})
  lines = [_HEAD, f"{len(entries)} inputs:", ""]
  lines += [f"| | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
  for command, counter in counts.items():
    numbers = " | ".join(str(counter[kind]) for kind in kinds)
    lines.append(f"| {command} | {numbers} |")
  lines += ["", f"| input | what it is | {' | '.join(COMMANDS)} |"]
  lines.append("|---" * (len(COMMANDS) + 2) + "|")
  lines += [row(entry, results[entry.name]) for entry in entries]
  return "\n".join(lines) + "\n"
