"""A study's tables, figures and page, of counts and label maps made by hand."""

import csv
import math
import re

import numpy as np
import pytest
import reports_fakes as fakes
from reports_page import Page

from lumbar_jax.anatomy import SPIDER
from lumbar_jax.evaluation.results import AVERAGED, Results, Row
from lumbar_jax.evaluation.surface import surface_scores
from lumbar_jax.files import read_json, write_text
from lumbar_jax.reports import study_rows, study_tables
from lumbar_jax.reports.study import Found
from lumbar_jax.reports.study_page import write_study_report

NUM_STUDIES = 8
# Wrong pixels of the 100 of class 1, in each of two folds.
WRONG = {
  "U1": (40, 30),
  "UMD": (20, 10),
  "E4-arithmetic": (18, 8),
  "E4-NAD": (15, 9),
  "E4-NAD-without-U1": (16, 10),
  "E4-NAD-without-UMD": (25, 19),
}
ENSEMBLES = {m: tuple(m.split("-")) for m in ("E4-arithmetic", "E4-NAD")}
VALIDATION = {"U1": 0.5, "UMD": 0.6, "E4-arithmetic": 0.8, "E4-NAD": 0.7}


def counts_of(wrong, size=4):
  """Class 1 has an IoU of (100 - wrong) %, class 2 one of 1, the last none."""
  counts = np.zeros((size, size), np.int64)
  counts[0, 0], counts[1, 0], counts[1, 1] = 900, wrong, 100 - wrong
  if size > 3:
    counts[2, 2] = 50
  return counts


def results_of(run, wrong, studies, held_out=True):
  """Counts of two folds; study n has n more wrong pixels than its fold."""
  rows = [
    Row(
      *(fold, labelling, study.name, study.patient),
      counts_of(base + n + 5 * (labelling == "MAP"), run.scheme.num_classes),
    )
    for fold, base in zip(("0", "1", AVERAGED), (*wrong, wrong[0]), strict=True)
    if held_out or fold != AVERAGED
    for labelling in ("MAP", "TH")
    for n, study in enumerate(studies)
  ]
  return Results(run.scheme, rows)


def found_of(run, studies, wrong=WRONG, ensembles=ENSEMBLES, **options):
  """Returns a study whose shown models erred by two rows."""
  run.config.evaluation.num_bootstrap = 20
  run.config.study.update(ablation="E4-NAD", baselines=("U1", "FCN"))
  shown = [m for m in wrong if "without" not in m]
  maps = {s.name: np.roll(s.native_mask, 2, axis=1) for s in studies}
  return Found(
    run=run,
    results={
      m: results_of(run, w, studies, options.get("held_out", True))
      for m, w in wrong.items()
    },
    members={m: ["U1", "UMD"] if "-" in m else [m] for m in wrong},
    methods=ensembles,
    ablations={m.rpartition("-")[2]: m for m in wrong if "without" in m},
    shown=shown,
    validation={m: VALIDATION.get(m, 0.1) for m in wrong},
    label_maps=dict.fromkeys(shown, maps) if options.get("maps", True) else {},
    studies=studies,
  )


def read(path):
  with open(path, newline="", encoding="utf-8") as file:
    return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
  """A whole study of real data, its folder and its page."""
  run = fakes.fake_run(tmp_path_factory.mktemp("study"))
  studies = [
    fakes.fake_study(f"sub-{n}_ses-1", fakes.truth_of(n, 4))
    for n in range(NUM_STUDIES)
  ]
  studies[3].info["flags"].append("T2w: <b>odd</b>")
  fakes.write_rest(run, studies)
  fakes.write_history(run, 0, (0.5,))
  found = found_of(run, studies)
  del found.label_maps["E4-arithmetic"]
  return found, Page(write_study_report(found))


def iou_by_hand(model, extra=0):
  """Class 1's pooled IoU in each fold, by the definition of the counts."""
  more = np.mean(range(NUM_STUDIES)) + extra
  return [1 - (wrong + more) / 100 for wrong in WRONG[model]]


class TestFiles:
  def test_every_table_and_figure_is_there_and_linked(self, full):
    found, page = full
    folder = found.run.folder
    names = {f"tables/table{n}.{e}" for n in (6, 7, 8) for e in ("csv", "tex")}
    names |= {
      f"tables/{n}.csv" for n in ("models", "wilcoxon", "surface", "confusion")
    }
    names |= {f"figures/figure{n}.png" for n in (7, 8, 9)} | {"study.json"}
    assert all((folder / name).is_file() for name in names)
    links = {link for link in page.links if not link.startswith("data:")}
    assert {link for link in links if not link.startswith("#")} == names
    assert not list(folder.rglob(".*"))

  def test_table_6_and_7_are_the_counts(self, full):
    folder = full[0].run.folder / "tables"
    (line,) = (r for r in read(folder / "table6.csv") if r["class"] == "Disc")
    assert float(line["U1 TH iou"]) == 1
    (line,) = (
      r for r in read(folder / "table6.csv") if r["class"] == "Vertebra"
    )
    for labelling, extra in (("TH", 0), ("MAP", 5)):
      by_hand = iou_by_hand("U1", extra)
      mean, std = np.mean(by_hand), np.std(by_hand, ddof=1)
      name = f"U1 {labelling} iou"
      assert float(line[name]) == pytest.approx(mean, abs=1e-6)
      assert float(line[f"{name}_std"]) == pytest.approx(std, abs=1e-6)
    (line,) = (
      r for r in read(folder / "table7.csv") if r["class"] == "Vertebra"
    )
    # Nothing is taken for class 1 that is not: recall is the IoU.
    f1 = np.mean([2 * iou / (1 + iou) for iou in iou_by_hand("UMD")])
    assert float(line["UMD TH precision"]) == 1
    recall = np.mean(iou_by_hand("UMD"))
    assert float(line["UMD TH recall"]) == pytest.approx(recall, abs=1e-6)
    assert float(line["UMD TH f1"]) == pytest.approx(f1, abs=1e-6)

  def test_table_8_is_the_difference(self, full):
    folder = full[0].run.folder / "tables"
    (line,) = (
      r for r in read(folder / "table8.csv") if r["class"] == "Vertebra"
    )
    assert float(line["without U1 TH impact"]) == pytest.approx(-0.01)
    assert float(line["without UMD TH impact"]) == pytest.approx(-0.1)

  def test_models_are_means_over_the_classes_there_are(self, full):
    rows = read(full[0].run.folder / "tables" / "models.csv")
    assert len(rows) == 2 * len(WRONG)
    (row,) = (
      r for r in rows if (r["model"], r["labelling"]) == ("E4-NAD", "TH")
    )
    by_hand = [(iou + 1) / 2 for iou in iou_by_hand("E4-NAD")]
    assert float(row["iou"]) == pytest.approx(np.mean(by_hand), abs=1e-6)
    std = np.std(by_hand, ddof=1)
    assert float(row["iou_std"]) == pytest.approx(std, abs=1e-6)
    assert (row["num_members"], row["validation_iou"]) == ("2", "0.700000")

  def test_all_studies_differ_one_way(self, full):
    rows = read(full[0].run.folder / "tables" / "wilcoxon.csv")
    (row,) = (r for r in rows if (r["model"], r["class"]) == ("U1", "Vertebra"))
    assert float(row["p"]) == pytest.approx(2 / 2**NUM_STUDIES, abs=1e-6)
    assert (row["reference"], row["num_patients"], row["star"]) == (
      *("UMD", str(NUM_STUDIES), "1"),
    )

  def test_surfaces_are_the_label_maps_own(self, full):
    found, _ = full
    rows = read(found.run.folder / "tables" / "surface.csv")
    assert len(rows) == 3 * NUM_STUDIES * 3
    study = found.studies[2]
    labels = found.label_maps["UMD"][study.name]
    wanted = surface_scores(study.native_mask, labels, study.spacing_mm, 4, 2.0)
    (row,) = (
      r
      for r in rows
      if (r["model"], r["study"], r["class"]) == ("UMD", study.name, "Disc")
    )
    for name, values in wanted._asdict().items():
      assert float(row[name]) == pytest.approx(values[2], abs=1e-6)
    assert float(row["tolerance_mm"]) == 2

  def test_study_json_says_how_it_was_run(self, full):
    found = full[0]
    record = read_json(found.run.folder / "study.json")
    assert record["data"]["source"] == "mids"
    assert record["data"]["root"] == "/data/Spines"
    assert not record["data"]["synthetic"]
    assert [n["name"] for n in record["networks"]] == ["U1", "UMD"]
    assert record["ensembles"]["E4-NAD"]["members"] == ["U1", "UMD"]
    assert (record["best"], record["reference"]) == ("E4-arithmetic", "UMD")
    assert record["evaluated"] == {
      **{"studies": NUM_STUDIES, "patients": NUM_STUDIES, "held_out": True}
    }
    assert "jax" in record["versions"]


class TestPage:
  def test_it_needs_no_other_file(self, full):
    page = full[1]
    assert not re.search(r"https?://|<script|@import|url\(", page.source)
    targets = {n for n in page.links if n.startswith("#")}
    ids = re.findall(r'id="([^"]+)"', page.source)
    assert targets == {f"#{name}" for name in ids}
    assert (page.open, page.unbalanced) == ([], [])
    assert [len(image["alt"]) > 20 for image in page.images] == [True] * 3

  def test_headline_is_the_best_by_validation_and_the_baselines(self, full):
    text = full[1].text
    best = np.mean([(iou + 1) / 2 for iou in iou_by_hand("E4-arithmetic")])
    first = text.index(f"{best:.3f} E4-arithmetic, the best on validation")
    worst = np.mean([(iou + 1) / 2 for iou in iou_by_hand("U1")])
    assert f"{worst:.3f} U1, baseline" in text[first:]
    assert "phantom" not in text
    assert "There are no test patients" not in text

  def test_ensembles_are_held_against_their_best_member(self, full):
    (table,) = full[1].table("Ensemble")
    cells = table["E4-NAD"]
    assert cells[1] == "UMD"
    ours, theirs = (np.mean(iou_by_hand(m)) for m in ("E4-NAD", "UMD"))
    change = ((ours + 1) / 2 - (theirs + 1) / 2).round(3)  # of two classes
    assert cells[3].startswith(f"+{change:.3f}")
    assert cells[4] == "better"

  def test_flagged_studies_are_listed(self, full):
    (table,) = full[1].table("Study")
    assert table["sub-3_ses-1"] == ["T2w: <b>odd</b>"]

  def test_which_class_is_taken_for_which_is_shown_by_model(self, full):
    found, page = full
    tables_of = page.table("There is")
    assert len(tables_of) == len(found.compared)
    assert tables_of[0]["Vertebra"][:2] == ["38", "62"]  # of U1
    (words,) = page.table("Shown model")
    assert words["U1"] == ["none of 1 % or more"]

  def test_models_are_ranked_with_the_ablations_apart(self, full):
    (table,) = full[1].table("Model")
    names = list(table)[2:]
    assert names == [
      *("E4-NAD", "E4-arithmetic ▲", "UMD", "U1"),
      *("One member left out", "E4-NAD-without-U1", "E4-NAD-without-UMD"),
    ]
    mean = np.mean([(iou + 1) / 2 for iou in iou_by_hand("UMD")])
    assert table["UMD"][5].split()[:2] == [f"{mean:.3f}", "±"]

  def test_the_best_of_a_line_is_bold(self, full):
    source = full[1].source
    part = source[source.index('id="table6"') : source.index('id="table7"')]
    bold = re.findall(r"<b>([^<]+)</b>", part[part.index("Vertebra") :])
    assert bold[0] == f"{np.mean(iou_by_hand('E4-NAD')):.3f}"
    # Disc is perfect with all of them.
    assert bold[1:9] == ["1.000"] * 8

  def test_impacts_stand_beside_the_iou(self, full):
    (table,) = (
      t for t in full[1].table("Class") if "without UMD" in t["Class"]
    )
    cells = [" ".join(cell.split()) for cell in table["Vertebra"]]
    whole, *others = (
      np.mean(iou_by_hand(m))
      for m in ("E4-NAD", "E4-NAD-without-U1", "E4-NAD-without-UMD")
    )
    assert cells == [
      f"{whole:.3f}",
      f"{others[0]:.3f} −0.010",
      f"{others[1]:.3f} −0.100",
    ]

  def test_tests_show_p_star_and_holm(self, full):
    (table,) = (t for t in full[1].table("Class") if "Patients" in t["Class"])
    size, first, *_ = table["Vertebra"]
    assert size == str(NUM_STUDIES)
    assert first.split()[:2] == ["★", ".008"]
    # Every model labels it alike: no pair differs, and a mark says so.
    assert table["Disc"][1].split() == ["1.000", "1.000", "a"]
    assert "a all pairs are equal" in full[1].text

  def test_models_without_label_maps_are_named(self, full):
    assert full[1].text.count("Without E4-arithmetic: no label maps") == 2

  def test_missed_classes_do_not_flatter(self):
    rows = []
    for model, values in {"A": (1.0, 9.0), "B": (2.0, math.nan)}.items():
      for name, value in zip(("Vertebra", "Disc"), values, strict=True):
        nsd = 0.0 if math.isnan(value) else 0.5
        row = {"model": model, "study": "s", "patient": "p", "class": name}
        row |= {"hd95_mm": value, "assd_mm": value / 2, "nsd": nsd}
        rows.append(row | {"tolerance_mm": 2.0})
    run = type("Run", (), {"scheme": SPIDER})
    table = study_rows.surfaces(type("Found", (), {"run": run}), rows)
    assert table["common"] == 1
    assert [cell["hd95_mm"] for cell in table["means"]] == [1, 2]
    assert dict(table["lines"])["Disc"][1]["num_missed"] == 1


@pytest.fixture(scope="module")
def small(tmp_path_factory):
  """One phantom study, no test patients, no ablation, no label maps."""
  folder = tmp_path_factory.mktemp("small")
  scheme = "\n".join(("index\tname", "0\tBackground", "1\tA<b>&\"'", "2\tC"))
  write_text(folder / "own" / "dseg.tsv", scheme + "\n")
  run = fakes.fake_run(
    folder / "study",
    scheme=str(folder / "own" / "dseg.tsv"),
    source="phantom",
  )
  studies = [fakes.fake_study("sub-<i>_ses-1", fakes.truth_of(1, 3))]
  for name in ("table8.csv", "surface.csv"):  # of an earlier report
    write_text(run.folder / "tables" / name, "old")
  found = found_of(
    run,
    studies,
    {"U1": (9, 5), "UMD": (8, 4), "X<i>-NAD": (3, 2)},
    {"X<i>-NAD": ("X<i>", "NAD")},
    maps=False,
    held_out=False,
  )
  return found, Page(write_study_report(found))


class TestSmall:
  def test_phantom_and_optimism_are_said(self, small):
    text = small[1].text
    assert "Measured on synthetic phantom data." in text
    assert "There are no test patients" in text
    assert read_json(small[0].run.folder / "study.json")["data"]["synthetic"]
    tex = (small[0].run.folder / "tables" / "table6.tex").read_text()
    assert study_tables.PHANTOM_NOTE in tex

  def test_no_test_could_be_made(self, small):
    text = small[1].text
    assert "No test could be made : there is one evaluated patient" in text
    assert not [t for t in small[1].table("Class") if "Studies" in t["Class"]]

  def test_what_was_not_made_is_missing_plainly(self, small):
    found, page = small
    names = {p.name for p in found.run.folder.rglob("*.*")}
    assert not names & {"table8.csv", "surface.csv", "figure7.png"}
    assert not any("table8" in link for link in page.links)
    assert "no label maps of the shown models were found" in page.text
    assert len(page.images) == 2
    assert (page.open, page.unbalanced) == ([], [])

  def test_names_are_escaped(self, small):
    page = small[1]
    tables = page.table("Class")
    assert all("A<b>&\"'" in table for table in tables)
    assert "X<i>-NAD" in page.table("Model")[0]
    assert not re.search(r"<i>|<b>&", page.source)

  def test_numbers_that_are_not_there_are_dashes(self, small):
    assert not {"nan", "None"} & set(small[1].text.split())


def test_one_model_alone_is_tested_against_nobody():
  tests = study_rows.tests([])
  assert tests["lines"] == []
  assert not tests["possible"]
