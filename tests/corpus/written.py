"""What is written of names that came from files: tables, pages, labels."""

import csv
import importlib.util
from html.parser import HTMLParser
from pathlib import Path

from corpus import harness
from corpus.entry import Family, flagged, read, read_or, refused
from corpus.world import DSEG
from lumbar_jax.anatomy import read_dseg_tsv
from lumbar_jax.reports.html import write_report

WRITTEN = Family("names in results", kind="folder", commands=("predict",))
add = WRITTEN.add
_HOSTILE = "<script>alert(1)<script>"
_FORMULAS = "=+-@"


def rows_of(path: Path) -> list[list[str]]:
  """Returns a table's cells."""
  delimiter = "," if path.suffix == ".csv" else "\t"
  with open(path, newline="", encoding="utf-8") as file:
    return list(csv.reader(file, delimiter=delimiter))


def problems_of(path: Path) -> str:
  """Returns what is wrong with a table that names went into, or ""."""
  rows = rows_of(path)
  if len({len(row) for row in rows}) > 1:
    return f"{path.name} has rows of {[len(row) for row in rows]} cells"
  for cell in (cell for row in rows for cell in row):
    if cell[:1] in tuple(_FORMULAS) and not _is_number(cell):
      return f"{path.name} has the formula {cell!r}"
    if any(mark in cell for mark in "\t\n\r"):
      return f"{path.name} has a cell of several lines or columns"
  return ""


def _is_number(cell: str) -> bool:
  try:
    float(cell)
  except ValueError:
    return False
  return True


def _failing(stem):
  """Returns an entry whose study fails: its name goes into failed.tsv."""

  def make(w):
    w.rename_image(f"{stem}_T2w.nii.gz").write_bytes(b"no image")
    w.target, w.culprit = stem, None
    w.checks.append(lambda: _check_failed(w.output / "failed.tsv"))

  return make


def _check_failed(path: Path) -> str:
  if len(rows_of(path)) != 2:
    return f"{path.name} has {len(rows_of(path))} rows for one failure"
  return problems_of(path)


for _name, _stem, _text in (
  ("failed_formula", "=1+1", "begins with ="),
  ("failed_at", "@SUM(A1)", "begins with @"),
  ("failed_newline", "p\n2", "has a newline"),
  ("failed_tab", "p\t2", "has a tab"),
  ("failed_script", _HOSTILE, "has <script>"),
):
  add(
    _name,
    f"failed.tsv, where the study's name {_text}",
    _failing(_stem),
    refused("NIfTI"),
  )


def _classes(name):
  """Returns an entry whose run has a class of another name."""

  def make(w):
    path = w.folder / "scheme" / "dseg.tsv"
    path.parent.mkdir()
    cell = '"' + name.replace('"', '""') + '"'
    path.write_text(DSEG.replace("Disc", cell))
    w.fields["data.scheme"] = str(path)
    w.make_run()
    w.checks.append(lambda: _check_classes(w, name))

  return make


def _check_classes(w, name: str) -> str:
  path = w.output / "dseg.tsv"
  found = read_dseg_tsv(path, recorded=True).names
  if found[2] != " ".join(name.split()):
    return f"dseg.tsv calls the class {found[2]!r}"
  for table, head in (("itksnap_labels.txt", 14), ("slicer_colors.ctbl", 1)):
    lines = (w.output / table).read_text(encoding="utf-8").splitlines()
    if len(lines) != head + 4:
      return f"{table} has {len(lines)} lines"
  return problems_of(path)


for _name, _class, _text in (
  ("class_formula", "=1+1", "=1+1"),
  ("class_minus", "-L5", "-L5"),
  ("class_script", _HOSTILE, "<script>"),
  ("class_tab", "a\tb", "a, a tab, b"),
  ("class_newline", "a\nb", "a, a newline, b"),
  ("class_quote", 'the "third" one', 'the "third" one'),
):
  add(
    _name,
    f"the tables of labels, where a class is called {_text}",
    _classes(_class),
    read,
  )


def _drawn(w):
  w.rename_image(f"{_HOSTILE}$x^2$_T2w.nii.gz")
  w.target, w.compare = f"{_HOSTILE}$x^2$", False
  w.options["overlays"] = True
  w.options["overwrite"] = True
  w.checks.append(lambda: _check_drawn(w))


def _check_drawn(w) -> str:
  found = list(w.output.glob("*script*_overlay.png"))
  return "" if found else "no overlay"


add(
  "overlay",
  "an overlay, where the study's name has <script> and $x^2$",
  _drawn,
  read_or(flagged("Windows")),
)

# -------------------------------------------------------------------- report


def _fakes():
  path = Path(__file__).parents[1] / "reports" / "reports_fakes.py"
  spec = importlib.util.spec_from_file_location("reports_fakes", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


class _Tags(HTMLParser):
  """Collects what a browser would run."""

  def __init__(self):
    super().__init__()
    self.run: list[str] = []

  def handle_starttag(self, tag, attrs):
    if tag == "script" or any(name.startswith("on") for name, _ in attrs):
      self.run.append(tag)


def _report(w) -> harness.Seen:
  """Writes the report of a run whose patient and class have hostile names."""
  fakes, seen = _fakes(), harness.Seen()
  path = w.folder / "scheme" / "dseg.tsv"
  path.parent.mkdir()
  path.write_text(DSEG.replace("Disc", _HOSTILE).replace("Canal", "=1+1"))
  run = fakes.fake_run(w.folder / "fake", scheme=str(path))
  names = (f"sub-{_HOSTILE}_ses-=1+1", "sub-01_ses-01")
  studies = [fakes.fake_study(n, fakes.truth_of(i, 4))
             for i, n in enumerate(names)]  # fmt: skip
  for fold in run.folds:
    fakes.write_history(run, fold, (0.5, 0.6))
  fakes.write_evaluation(run, studies, run.folds)
  fakes.write_rest(run, studies)
  page = write_report(run, studies).read_text(encoding="utf-8")
  tags = _Tags()
  tags.feed(page)
  if tags.run or "alert(1)" not in page:
    seen.wrong = f"the page would run {tags.run}"
  for table in sorted((run.folder / "evaluation").glob("*.csv")):
    seen.wrong = seen.wrong or problems_of(table)
  return seen


add(
  "report",
  "report.html and its tables, where a patient and a class have <script>",
  lambda w: setattr(w, "process", _report),
  read,
  predict=None,
  training=read,
)
