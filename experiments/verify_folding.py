"""Checks that folded networks give what the networks give, name by name.

  python experiments/verify_folding.py [--only=RE] [--width=8] [--size=64]

Each network gets random parameters and random statistics of its normalisations
and sees images that are not square, and odd, where it takes such. Prints a line
for each name and `N passed, N failed`; exits 1 if one failed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
from absl import app, flags

from lumbar_jax import models
from lumbar_jax.models import folding_check

_ONLY = flags.DEFINE_string("only", "", "regular expression of names")
_WIDTH = flags.DEFINE_integer("width", 8, "width of the networks")
_SIZE = flags.DEFINE_integer("size", 64, "rows of the images, about")


def main(argv: list[str]) -> None:
  del argv
  jax.config.update("jax_disable_most_optimizations", True)  # each runs once
  names = [name for name in models.names() if re.search(_ONLY.value, name)]
  failed = 0
  for name in names:
    net, images = folding_check.build(name, _WIDTH.value, _SIZE.value)
    found = folding_check.compare(net, images)
    failed += not found.equal
    print(f"{'PASS' if found.equal else 'FAIL'} {name}: {found}", flush=True)
  print(f"{len(names) - failed} passed, {failed} failed")
  sys.exit(bool(failed or not names))


if __name__ == "__main__":
  app.run(main)
