"""The paper's tables from hand-made counts, as CSV and as LaTeX."""

import csv
import math

import numpy as np
import pytest

from lumbar_jax.anatomy import Scheme, Structure
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.results import Results, Row
from lumbar_jax.reports import latex, paper_tables
from lumbar_jax.reports.paper_rows import Entry

SCHEME = Scheme(
  "three",
  tuple(Structure(name, "#000000") for name in ("Background", "A_1", "B")),
)
FAST = {"num_samples": 20}
WITHOUT_BG = "mean without background"


def counts_of(wrong):
  """Returns counts in which class A_1's IoU is (100 - wrong) / 100."""
  return np.array([[900, 0, 0], [wrong, 100 - wrong, 0], [0, 0, 0]])


def entry(model, *wrong_by_fold, labelling="TH"):
  rows = [
    Row(str(fold), labelling, f"s{p}", f"p{p}", counts_of(wrong))
    for fold, wrong in enumerate(wrong_by_fold)
    for p in range(2)
  ]
  return Entry(model, labelling, Results(SCHEME, rows))


def value(rows, model, name, metric="iou"):
  (row,) = [
    row
    for row in rows
    if (row["model"], row["class"], row["metric"]) == (model, name, metric)
  ]
  return row


def cells(tex, name):
  """Returns the cells of the first line that begins with a class."""
  for line in tex.splitlines():
    found = [cell.strip() for cell in line.removesuffix(r"\\").split("&")]
    if name in found[:2] or f"{{{name}}}" in found[0]:
      return found[1 if "multicolumn" in found[0] else 2 :]
  raise AssertionError(f"no line {name}")


class TestTable6:
  def test_values_are_the_mean_over_folds_with_their_spread(self, tmp_path):
    rows = paper_tables.write_table6(tmp_path, [entry("U1", 40, 20)], **FAST)
    found = value(rows, "U1", "A_1")
    assert found["value"] == pytest.approx(0.7)
    assert found["std"] == pytest.approx(0.2 / math.sqrt(2))
    # Patients are alike: every resample of both folds gives the same.
    assert found["low"] == pytest.approx(0.7)
    assert found["high"] == pytest.approx(0.7)

  def test_rows_are_those_of_the_evaluation(self, tmp_path):
    one = entry("U1", 40, 20)
    rows = paper_tables.write_table6(tmp_path, [one], **FAST)
    known = tables.per_class(one.results, **FAST)
    known = [row for row in known if row["fold"] == "mean"]
    names = ("class", "iou", "iou_std", "iou_low", "iou_high")
    expected = [[r[n] for n in names] for r in known]
    names = ("class", "value", "std", "low", "high")
    for row, other in zip(rows, expected, strict=True):
      found = [row[n] for n in names]
      assert found[0] == other[0]
      assert found[1:] == pytest.approx(other[1:], nan_ok=True)

  def test_csv_has_a_line_a_class_and_reads_back(self, tmp_path):
    entries = [entry("E 13", 40, 20), entry("U1", 9, labelling="MAP")]
    rows = paper_tables.write_table6(tmp_path, entries, **FAST)
    with open(tmp_path / "table6.csv", encoding="utf-8") as file:
      lines = list(csv.DictReader(file))
    assert [line["class"] for line in lines] == [
      *SCHEME.names,
      *tables.MEAN_ROWS,
    ]
    assert float(lines[1]["E 13 TH iou"]) == pytest.approx(0.7)
    assert float(lines[1]["U1 MAP iou"]) == pytest.approx(0.91)
    assert math.isnan(float(lines[1]["U1 MAP iou_std"]))
    found = paper_tables.read_paper_table(tmp_path / "table6.csv")
    for one, other in zip(found, rows, strict=True):
      assert one == pytest.approx(other, abs=1e-6, nan_ok=True)

  def test_latex_is_percent_with_the_best_bold(self, tmp_path):
    entries = [entry("U1", 40, 20), entry("U_D", 10, 30), entry("FCN", 20, 20)]
    # U_D shows 80.0 %, FCN 80.0 %, U1 70.0 %: both best are bold.
    paper_tables.write_table6(tmp_path, entries, **FAST)
    tex = (tmp_path / "table6.tex").read_text()
    best = r"\textbf{80.0\%}"
    assert cells(tex, r"A\_1") == [r"70.0\%", best, best]
    assert cells(tex, "B") == ["--"] * 3  # occurs nowhere
    assert cells(tex, "IoU without Bg.") == [r"70.0\%", best, best]
    assert r" &  & U1 & U\_D & FCN \\" in tex
    assert r"\# & Class & TH & TH & TH \\" in tex

  def test_spread_and_note_are_added_on_demand(self, tmp_path):
    entries = [entry("U1", 40, 20), entry("UD", 50, 50)]
    note = "Synthetic phantom & more"
    paper_tables.write_table6(tmp_path, entries, spread=True, note=note, **FAST)
    tex = (tmp_path / "table6.tex").read_text()
    assert cells(tex, r"A\_1") == [
      r"\textbf{70.0\% $\pm$ 14.1}",
      r"50.0\% $\pm$ 0.0",
    ]
    assert r"\multicolumn{4}{l}{Synthetic phantom \& more} \\" in tex

  def test_alone_nothing_is_best(self, tmp_path):
    paper_tables.write_table6(tmp_path, [entry("U1", 40)], **FAST)
    assert "textbf" not in (tmp_path / "table6.tex").read_text()


class TestTable7:
  def test_parts_of_f1(self, tmp_path):
    entries = [entry("U1", 40, 20), entry("UD", 50, 50)]
    rows = paper_tables.write_table7(tmp_path, entries, **FAST)
    assert value(rows, "U1", "A_1", "precision")["value"] == 1
    recall = value(rows, "U1", "A_1", "recall")
    assert recall["value"] == pytest.approx(0.7)
    assert recall["std"] == pytest.approx(0.2 / math.sqrt(2))
    assert math.isnan(recall["low"])
    f1 = value(rows, "UD", "A_1", "f1")
    assert f1["value"] == pytest.approx(2 / 3)
    assert f1["low"] == pytest.approx(2 / 3)

  def test_latex_groups_the_models_under_each_metric(self, tmp_path):
    entries = [entry("U1", 40, 20), entry("UD", 50, 50)]
    paper_tables.write_table7(tmp_path, entries, **FAST)
    tex = (tmp_path / "table7.tex").read_text()
    f1 = f"{100 * (120 / 160 + 160 / 180) / 2:.1f}"
    assert cells(tex, r"A\_1") == [
      rf"\textbf{{{f1}\%}}",
      r"66.7\%",
      *[r"\textbf{100.0\%}"] * 2,
      *[r"\textbf{70.0\%}", r"50.0\%"],
    ]
    assert r"\multicolumn{2}{c}{F1 score}" in tex
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){5-6} \cmidrule(lr){7-8}" in tex


class TestTable8:
  def test_impact_is_the_ablated_less_the_whole(self, tmp_path):
    full = entry("E12-NAD", 20, 10)
    without = {"U1": entry("x", 22, 11), "UA": entry("x", 20, 10)}
    rows = paper_tables.write_table8(tmp_path, full, without, **FAST)
    found = value(rows, "without U1", "A_1", "impact")
    assert found["value"] == pytest.approx(-0.015)
    assert found["std"] == pytest.approx(0.01 / math.sqrt(2))
    assert value(rows, "without U1", "A_1")["value"] == pytest.approx(0.835)
    assert value(rows, "E12-NAD", "A_1")["value"] == pytest.approx(0.85)
    tex = (tmp_path / "table8.tex").read_text()
    assert cells(tex, r"A\_1") == [r"83.5\%", "$-0.015$", r"85.0\%", "-"]
    assert "Impact on E12-NAD TH of leaving out" in tex
    back = paper_tables.read_paper_table(tmp_path / "table8.csv")
    assert value(back, "without U1", "A_1", "impact") == pytest.approx(
      found, abs=1e-6, nan_ok=True
    )

  def test_six_members_stand_side_by_side(self, tmp_path):
    without = {f"U{n}": entry("x", n) for n in range(8)}
    paper_tables.write_table8(tmp_path, entry("E", 4), without, **FAST)
    tex = (tmp_path / "table8.tex").read_text()
    lines = [line for line in tex.splitlines() if line.startswith("1 & A")]
    assert [line.count("&") for line in lines] == [13, 13]
    assert lines[1].count(r"\%") == 2

  @pytest.mark.parametrize(
    ("value", "text"),
    [
      (0.0004, "-"),
      (-0.0004, "-"),
      (-0.0006, "$-0.001$"),
      (0.0031, "$0.003$"),
      (math.nan, "--"),
    ],
  )
  def test_impacts_that_round_to_nothing_are_dashes(self, value, text):
    assert latex.impact(value) == text


@pytest.mark.parametrize("number", [6, 7, 8])
def test_every_line_has_the_tabulars_columns(tmp_path, number):
  entries = [entry(f"U{n}", n, n + 1) for n in range(3)]
  if number == 8:
    without = {e.model: e for e in entries}
    paper_tables.write_table8(tmp_path, entries[0], without, note="n", **FAST)
  else:
    write = getattr(paper_tables, f"write_table{number}")
    write(tmp_path, entries, note="n", **FAST)
  lines = (tmp_path / f"table{number}.tex").read_text().splitlines()
  wanted = len(lines[1].split("{")[-1].rstrip("}"))
  for line in lines:
    if line.endswith(r"\\"):
      cells_found = line.removesuffix(r"\\").split("&")
      spans = [
        c.split("{")[1].split("}")[0] for c in cells_found if "multi" in c
      ]
      found = len(cells_found) - len(spans) + sum(map(int, spans))
      assert found == wanted, line


def test_specials_are_escaped():
  assert latex.escape(r"a_b&c%d") == r"a\_b\&c\%d"
  assert latex.escape("\\~{") == r"\textbackslash{}\textasciitilde{}\{"


def test_entries_that_do_not_go_together_are_refused(tmp_path):
  one = entry("U1", 4)
  with pytest.raises(InputError, match="U1 was evaluated with MAP"):
    paper_tables.write_table6(tmp_path, [Entry("U1", "MAP", one.results)])
  with pytest.raises(InputError, match="U1 TH is given twice"):
    paper_tables.write_table6(tmp_path, [one, one])
  other = Scheme("two", SCHEME.structures[:2])
  results = Results(other, [Row("0", "TH", "s", "p", np.eye(2, dtype=int))])
  with pytest.raises(InputError, match="one scheme"):
    paper_tables.write_table6(tmp_path, [one, Entry("U2", "TH", results)])
  assert not list(tmp_path.iterdir())


def test_other_files_are_no_tables(tmp_path):
  path = tmp_path / "table6.csv"
  with pytest.raises(InputError, match="no such file"):
    paper_tables.read_paper_table(path)
  path.write_text("class,U1 TH iou,U1 TH iou_std\nA,1,1\n")
  with pytest.raises(InputError, match=r"table6\.csv: not a table"):
    paper_tables.read_paper_table(path)
  path.write_text("")
  with pytest.raises(InputError, match="not a table"):
    paper_tables.read_paper_table(path)
