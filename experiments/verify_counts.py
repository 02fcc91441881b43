"""Checks every network's size against published counts.

  python experiments/verify_counts.py [--only=REGEX]

Parameters, BatchNorm's running statistics, the output's shape and
multiply-accumulates, of all networks at the sizes of
tests/models/arch_checks.csv: nothing is computed. Prints a line for each row
and `N passed, N failed`; exits 1 if one failed.
"""

import csv
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app, flags

from lumbar_jax import models
from lumbar_jax.models.summary import summarize

CHECKS = ROOT / "tests" / "models" / "arch_checks.csv"

_ONLY = flags.DEFINE_string("only", "", "regular expression of rows' names")


def check(row: dict[str, str]) -> list[str]:
  """Returns what differs between our network and a row's; [] if nothing."""
  image, output = (
    tuple(map(int, row[name].split())) for name in ("image", "output")
  )
  overrides = json.loads(row["overrides"])
  net = models.build(row["network"], output[-1], image[0], **overrides)
  summary = summarize(net, image)
  expected = {
    name: int(row[name])
    for name in ("params", "batch_stats", "macs")
    if row[name]  # else not published
  }
  expected["output"] = output
  return [
    f"{name} {getattr(summary, name)}, expected {value}"
    for name, value in expected.items()
    if getattr(summary, name) != value
  ]


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  with CHECKS.open() as file:
    rows = [
      r for r in csv.DictReader(file) if re.search(_ONLY.value, r["name"])
    ]
  failed = 0
  for row in rows:
    wrong = check(row)
    print(
      "FAIL" if wrong else "ok  ", row["name"], "; ".join(wrong), flush=True
    )
    failed += bool(wrong)
  print(f"{len(rows) - failed} passed, {failed} failed")
  if not rows:
    print(f"no row of {CHECKS} matches --only={_ONLY.value}", file=sys.stderr)
  sys.exit(0 if rows and not failed else 1)


if __name__ == "__main__":
  app.run(main)
