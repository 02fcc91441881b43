"""Writes the table of paper 002's networks into docs/review_networks.md.

  python experiments/review_table.py

Nothing in it is typed: it is what `models/review/table.py` and the networks'
summaries give now.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app

from lumbar_jax import models
from lumbar_jax.files import write_text
from lumbar_jax.models.summary import summarize

PATH = ROOT / "docs" / "review_networks.md"
SIZE, CHANNELS, CLASSES = 880, 1, 20
_TEXT = """# The networks of the review

<!-- Written by experiments/review_table.py; do not edit. -->

The twelve networks of Zhou et al. 2022 (paper 002) and their variants. A plain
name is the public implementation that the review measured, found by its counts
of parameters and operations; `NAME_official` is what the network's authors
published, where that differs. Parameters and multiply-accumulates (of
convolutions and matrix products) are of {size} x {size} x {channels} images and
{classes} classes, auxiliary heads included. `make verify` holds the networks to
golden forward passes and counts of these implementations.

| name | public implementation | parameters | GMACs |
|---|---|---:|---:|
{rows}
"""


def row(name: str) -> str:
  """Returns a network's line."""
  net = models.build(name, CLASSES, SIZE)
  found = summarize(net, (SIZE, SIZE, CHANNELS))
  source = models.topology(name).source
  return f"| {name} | {source} | {found.params:,} | {found.macs / 1e9:.2f} |"


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  rows = "\n".join(map(row, models.names("002")))
  text = _TEXT.format(size=SIZE, channels=CHANNELS, classes=CLASSES, rows=rows)
  write_text(PATH, text)
  print(f"wrote {PATH}")


if __name__ == "__main__":
  app.run(main)
