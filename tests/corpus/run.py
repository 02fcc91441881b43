"""Runs the whole corpus and writes docs/robustness.md (make corpus)."""

import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(only: str = "") -> int:
  """Runs all entries, or those whose names match; returns how many fail."""
  sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
  from absl import flags, logging

  flags.FLAGS.mark_as_parsed()  # grain asks for absl's flags
  logging.use_absl_handler()
  logging.get_absl_handler().setLevel("CRITICAL")  # entries are meant to fail
  import jax

  jax.config.update("jax_platforms", "cpu")
  from corpus import document, harness, table

  say = logging.get_absl_handler().python_handler.stream.write
  start, results, failed = time.monotonic(), {}, 0
  entries = [e for e in table.ENTRIES if re.search(only, e.name)]
  for entry in entries:
    with tempfile.TemporaryDirectory(prefix="corpus_") as folder:
      results[entry.name], problems = harness.run_entry(entry, Path(folder))
    failed += bool(problems)
    for problem in problems:
      say(f"{problem}\n")
  passed = f"{len(entries) - failed} of {len(entries)} as expected"
  say(f"{passed}, {time.monotonic() - start:.0f} s\n")
  if not failed and not only:
    document.PATH.write_text(document.page(results, entries), encoding="utf-8")
    say(f"{document.PATH.relative_to(ROOT)} written\n")
  return failed


if __name__ == "__main__":
  sys.exit(min(main(*sys.argv[1:]), 1))
