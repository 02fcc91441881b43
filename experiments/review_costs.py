"""Table 3 of paper 002 rebuilt: parameters, FLOPs and memory of its networks.

  python experiments/review_costs.py [--only=REGEX] [--memory] [--csv=FILE]

As the paper has it: 20 classes, an image of 880 x 880. By the paper's rule of
counting and, beside it, what the networks really cost: all multiply-accumulates
and, with --memory, the peak of a forward pass as XLA allocates it here. The
rule, and where the printed table differs: `lumbar_jax/reports/review_costs.py`.
experiments/paper_002.py prints the same of your own study's networks.
"""

import functools
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app, flags

from lumbar_jax import models
from lumbar_jax.reports import review_costs

_ONLY = flags.DEFINE_string("only", "", "regular expression of names")
_MEMORY = flags.DEFINE_bool("memory", False, "compile, for the peak of memory")
_CSV = flags.DEFINE_string("csv", "", "a file to write the table to as well")
_SIZE = flags.DEFINE_integer("size", 880, "rows and columns of the image")

CLASSES = 20


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  size = _SIZE.value
  names = [n for n in review_costs.PRINTED if re.search(_ONLY.value, n)]
  if not names:
    sys.exit(f"no network matches --only={_ONLY.value}")
  nets = ((n, models.build(n, CLASSES, size)) for n in names)
  show = functools.partial(print, flush=True)
  found = review_costs.count_all(
    nets, (size, size, 1), show, memory=_MEMORY.value
  )
  if _CSV.value:
    review_costs.write_table3(Path(_CSV.value), found)


if __name__ == "__main__":
  app.run(main)
