"""Draws one chart, and prints one table, of benchmarks of several machines.

  python experiments/benchmark_chart.py --only='train_step|forward' \\
      --output=docs/speed.png runs/cpu/benchmark.json runs/gpu/benchmark.json

Each file is what `launch.py --mode=benchmark` wrote. Bars are our time over
PyTorch's; records without a peer stand in the table alone.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app, flags

from lumbar_jax.benchmarks import records, table

_ONLY = flags.DEFINE_string("only", "", "regular expression of cases")
_OUTPUT = flags.DEFINE_string("output", "speed.png", "the chart's file")


def main(argv: list[str]) -> None:
  if len(argv) < 2:
    raise app.UsageError("give one or more benchmark.json")
  found: list[records.Record] = []
  for path in argv[1:]:
    if not Path(path).is_file():
      raise app.UsageError(f"there is no file {path}")
    found = records.merge(found, records.read(path))
  found = [r for r in found if re.search(_ONLY.value, r["name"])]
  print(table.format_table(found))
  if not table.save_chart(_OUTPUT.value, found):
    print("nothing in there was measured beside PyTorch: no chart")


if __name__ == "__main__":
  app.run(main)
