"""What the documents say is what the code gives."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest

from lumbar_jax import __version__, models
from lumbar_jax import config as config_lib

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


DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OF_USE = [p for p in DOCUMENTS if p.name != "robustness.md"]  # of bad input


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_files_of_a_document_are_there(path):
  text = path.read_text(encoding="utf-8")
  links = [t for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
  for link in links:
    assert (path.parent / link).exists(), link
  inside = r"\b(?:configs|experiments|docs|lumbar_jax)/[\w/]+\.\w+"
  for name in re.findall(inside, text):
    assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", OF_USE, ids=lambda path: path.name)
def test_fields_and_flags_of_a_document_are_known(path):
  text = path.read_text(encoding="utf-8")
  config = config_lib.default()
  for name in re.findall(r"\bconfig\.([a-z]+(?:\.\w+)+)", text):
    node = config
    for part in name.split("."):
      assert part in node, name
      node = node[part]
  launcher = (ROOT / "launch.py").read_text(encoding="utf-8")
  defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', launcher)) | {"config"}
  others = {"pictures"}  # of experiments
  for name in re.findall(r"(?<![\w-])--([a-z_]+)", text):
    assert name.removeprefix("no") in defined or name in defined | others, name


def test_the_citation_names_the_version_and_the_paper():
  text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
  assert f"version: {__version__}\n" in text
  assert "10.1016/j.artmed.2023.102559" in text
  readme = (ROOT / "README.md").read_text(encoding="utf-8")
  assert "10.1016/j.artmed.2023.102559" in readme
