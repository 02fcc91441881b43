"""What the documents say is what the code gives."""

import csv
import importlib.util
from pathlib import Path

from lumbar_jax import models

ROOT = Path(__file__).resolve().parents[1]


def _script(name):
  path = ROOT / "experiments" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_table_of_topologies_is_what_its_script_writes():
  script = _script("topology_table")
  found, image, classes = script.summaries()
  page = script.page(found, image, classes)
  remedy = "run python experiments/topology_table.py"
  assert script.PATH.read_text(encoding="utf-8") == page, remedy
  text = script.README.read_text(encoding="utf-8")
  assert text == script.readme(text, found), remedy
  picture = script.PATH.with_name(f"{script.PICTURE}.png")
  assert picture.stat().st_size < 150_000


def test_the_table_of_the_review_has_its_published_counts():
  text = _script("review_table").PATH.read_text(encoding="utf-8")
  lines = [line.split(" | ") for line in text.splitlines() if " | " in line]
  found = {name.lstrip("| "): rest for name, *rest in lines}
  assert [name for name in found if name != "name"] == [*models.names("002")]
  checked = 0
  with (ROOT / "tests" / "models" / "arch_checks.csv").open() as file:
    for row in csv.DictReader(file):
      size, whole = row["image"].split()[0], row["overrides"] == "{}"
      if row["network"] in found and size == "880" and whole:
        _, params, gmacs = found[row["network"]]
        assert params == f"{int(row['params']):,}"
        assert gmacs == f"{int(row['macs']) / 1e9:.2f} |"
        checked += 1
  assert checked >= 12
