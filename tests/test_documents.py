"""What the documents say is what the code gives."""

import importlib.util
from pathlib import Path

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
