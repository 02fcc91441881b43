import dataclasses
import re
import shutil

import matplotlib.image
import numpy as np
import pytest
import reports_fakes as fakes
from reports_page import Page

from lumbar_jax import metrics, modes
from lumbar_jax.anatomy import Scheme, Structure
from lumbar_jax.environment import record_environment
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import surface_table, tables
from lumbar_jax.evaluation.results import Results, Row, load_counts
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.files import write_json, write_text
from lumbar_jax.reports import contents, pictures, predicted
from lumbar_jax.reports.html import write_report


def full_run(folder, **settings):
  """Returns a finished run and its studies."""
  run = fakes.fake_run(folder, **settings)
  size = run.scheme.num_classes
  studies = [
    fakes.fake_study(f"sub-0{n}_ses-1", fakes.truth_of(n, size))
    for n in range(3)
  ]
  for fold in range(2):
    fakes.write_history(run, fold, (0.3, 0.8, 0.6))
  fakes.write_evaluation(run, studies, ("0", "1", "averaged"))
  fakes.write_rest(run, studies)
  for number, study in enumerate(studies):
    wrong = np.roll(study.native_mask, number, axis=1)
    fakes.write_prediction(run, study, wrong)
  return run, studies


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  run, studies = full_run(tmp_path_factory.mktemp("finished"))
  picture = np.zeros((20, 30, 3), np.uint8)
  folder = run.folder / "predictions"
  for name in ("sub-77_ses-1_acq-sag", "sub-01_ses-1_acq-sag"):
    matplotlib.image.imsave(folder / f"{name}_overlay.png", picture)
    digest = {"InputDigest": f"digest of {name.removesuffix('_acq-sag')}"}
    write_json(folder / f"{name}_dseg.json", digest)
  flag = "T1w: registration refused <by 20 mm>"
  studies[1] = dataclasses.replace(
    studies[1], info=studies[1].info | {"flags": [flag]}
  )
  return run, studies, Page(write_report(run, studies))


class TestFinishedRun:
  def test_the_page_needs_no_other_file(self, finished):
    _, _, page = finished
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    assert not re.search(r"https?://|<script|@import|url\(", page.source)

  def test_every_tag_is_closed(self, finished):
    page = finished[2]
    assert (page.open, page.unbalanced) == ([], [])

  def test_every_picture_has_words(self, finished):
    page = finished[2]
    assert len(page.images) == 3 + 2 + 1  # charts, films, unlabelled
    assert all(len(image["alt"]) > 20 for image in page.images)

  @pytest.mark.parametrize(("place", "fold"), [(0, "mean"), (1, "averaged")])
  def test_numbers_are_those_of_per_class_csv(self, finished, place, fold):
    run, _, page = finished
    shown = page.table("Class")[place]
    rows = tables.read_table(run.folder / "evaluation" / "per_class.csv")
    for name in (*run.scheme.names, *MEAN_ROWS):
      cells = []
      for labelling in ("MAP", "TH"):
        (row,) = contents.select(
          rows, fold=fold, labelling=labelling, **{"class": name}
        )
        for metric in ("iou", "dice"):
          span = f"{row[f'{metric}_low']:.3f}–{row[f'{metric}_high']:.3f}"
          cells.append(f"{row[metric]:.3f} {span}")
        cells += [f"{row['precision']:.3f}", f"{row['recall']:.3f}"]
      assert [" ".join(cell.split()) for cell in shown[name]] == cells

  def test_studies_are_ranked_and_are_those_of_per_study_csv(self, finished):
    run, _, page = finished
    (table,) = page.table("Study")[:1]
    rows = contents.select(
      tables.read_table(run.folder / "evaluation" / "per_study.csv"),
      fold="averaged",
      labelling="TH",
    )
    for name in ("sub-00_ses-1", "sub-01_ses-1", "sub-02_ses-1"):
      of = {r["class"]: r for r in contents.select(rows, study=name)}
      wanted = [f"{of[MEAN_ROWS[0]][m]:.3f}" for m in ("dice", "iou")]
      wanted += [f"{of[c]['iou']:.3f}" for c in run.scheme.names]
      assert table[name] == wanted
    dice = [float(cells[0]) for cells in list(table.values())[1:]]
    assert dice == sorted(dice, reverse=True)

  def test_both_ways_of_joining_folds_are_named(self, finished):
    (means,) = finished[2].table("Model")
    assert list(means)[2:] == [
      *("fold 0", "fold 1", "fold models’ mean", "folds’ averaged scores")
    ]

  def test_best_epochs_count_from_one(self, finished):
    table = finished[2].table("Fold")[0]
    assert table["0"] == ["3 of 3", "1 min 15 s", "2", "0.800", "0.400"]

  def test_data_splits_flags_and_thresholds_are_there(self, finished):
    _, _, page = finished
    assert "the data set Spines" in page.text
    assert "phantom" not in page.text
    parts = page.table("Part")[0]
    assert parts["test"] == ["3", "sub-00, sub-01, sub-02"]
    assert parts["validation of fold 1"] == ["2", "sub-91, sub-92"]
    (thresholds,) = page.table("Class")[2:]
    assert thresholds["Canal"] == ["0.95"] * 3
    flags = page.table("Study")[1]
    assert flags["sub-01_ses-1"] == ["T1w: registration refused <by 20 mm>"]

  def test_best_median_and_worst_slices_are_the_predictions_own(self, finished):
    alt = next(i["alt"] for i in finished[2].images if "worst:" in i["alt"])
    names = re.findall(r"(best|median|worst): (sub-0\d)", alt)
    assert names == [
      *(("best", "sub-00"), ("median", "sub-01"), ("worst", "sub-02"))
    ]
    assert "Dice 1.000" in alt

  def test_only_unscored_studies_are_in_the_gallery(self, finished):
    alts = [image["alt"] for image in finished[2].images]
    assert sum("sub-77" in alt for alt in alts) == 1
    assert not any("predicted classes" in a and "sub-01" in a for a in alts)

  def test_the_file_is_small_and_the_same_each_time(self, finished):
    run, studies, page = finished
    assert len(page.source) < 5_000_000
    assert write_report(run, studies).read_text("utf-8") == page.source


def test_a_new_run_has_a_report(tmp_path):
  page = Page(write_report(fakes.fake_run(tmp_path)))
  assert page.images == []
  assert page.tables  # the settings
  for sentence in (
    *("No epoch has been finished yet", "Nothing has been evaluated yet"),
    *("The patients are not split yet", "No thresholds have been tuned"),
    *("There are no pictures", "None was predicted", "No study is flagged"),
  ):
    assert sentence in page.text


def test_one_trained_fold_without_evaluation(tmp_path):
  run = fakes.fake_run(tmp_path)
  fakes.write_history(run, 1, (0.5,))
  page = Page(write_report(run))
  assert len(page.images) == 1
  table = page.table("Fold")[0]
  assert table["0"] == ["0 of 3", "–", "–", "–", "–"]
  assert table["1"][:3] == ["1 of 3", "25 s", "1"]


def test_one_evaluated_fold_without_test_patients(tmp_path):
  run = fakes.fake_run(tmp_path)
  study = fakes.fake_study("sub-01_ses-1", fakes.truth_of(1, 4))
  fakes.write_evaluation(run, [study], ("0",))
  fakes.write_rest(run, [])
  page = Page(write_report(run, [study]))
  (means,) = page.table("Model")
  assert list(means)[2:] == ["fold 0", "fold models’ mean"]
  # One patient: no intervals, and none is made up.
  assert all("–" not in cell for cell in means["fold 0"])
  assert "There are no test patients" in page.text


class TestSurfaces:
  def test_the_table_is_the_summary_of_surface_csv(self, tmp_path):
    run, studies = full_run(tmp_path)
    maps = {s.name: np.roll(s.native_mask, 2, axis=1) for s in studies}
    maps[studies[0].name] = np.zeros_like(studies[0].native_mask)
    rows = surface_table.measure(studies, maps, run.scheme, 1.5)
    surface_table.write(run.folder / "evaluation", rows)
    page = Page(write_report(run, studies))
    table = page.table("Class")[2]
    for row in surface_table.summarise(rows, run.scheme):
      distances = [
        f"{row[f'{name}{end}']:.2f}"
        for name in ("hd95_mm", "assd_mm")
        for end in ("_median", "")
      ]
      numbers = [str(row["num_studies"]), str(row["num_missed"])]
      assert table[row["class"]] == [*distances, f"{row['nsd']:.3f}", *numbers]
    assert "within 1.50 mm" in page.text
    assert (page.open, page.unbalanced) == ([], [])

  def test_without_the_file_the_report_says_so(self, finished):
    assert "None have been measured" in finished[2].text


def test_phantoms_are_told_from_patients(tmp_path):
  run, studies = full_run(tmp_path, source="phantom", scheme="midas12")
  page = Page(write_report(run, studies))
  assert "Measured on synthetic phantom data." in page.text
  assert "the data set" not in page.text
  assert list(page.table("Class")[0])[2:14] == list(run.scheme.names)


def test_absent_classes_show_a_dash(tmp_path):
  run = fakes.fake_run(tmp_path)
  study = fakes.fake_study("sub-01_ses-1", fakes.truth_of(1, 3))
  fakes.write_evaluation(run, [study], ("0",))
  page = Page(write_report(run, [study]))
  assert page.table("Class")[0]["Canal"] == ["–"] * 8
  assert page.table("Study")[0]["sub-01_ses-1"][-1] == "–"
  assert "nan" not in page.text.lower().split()


def test_names_are_escaped(tmp_path):
  scheme = "\n".join(("index\tname", "0\tBackground", "1\tA<b>&\"'"))
  write_text(tmp_path / "own" / "dseg.tsv", scheme + "\n")
  run = fakes.fake_run(
    tmp_path / "run",
    scheme=str(tmp_path / "own" / "dseg.tsv"),
    root="/data/<img src=x>",
  )
  study = fakes.fake_study("sub-<i>_ses-1", fakes.truth_of(1, 2))
  fakes.write_evaluation(run, [study], ("0",))
  page = Page(write_report(run))
  assert "the data set <img src=x>" in page.text  # as text, after parsing
  assert "A<b>&\"'" in page.table("Class")[0]
  assert "sub-<i>_ses-1" in page.table("Study")[0]
  assert not {"<i>", "<img src=x>", "<b>&"} & set(
    re.findall(r"<i>|<img src=x>|<b>&", page.source)
  )


def test_predictions_on_another_grid_are_left_out_and_named(tmp_path):
  run, studies = full_run(tmp_path)
  fakes.write_prediction(run, studies[0], studies[0].native_mask[:, 1:])
  page = Page(write_report(run, studies))
  assert "Not shown: sub-00_ses-1:" in page.text
  worst = next(i["alt"] for i in page.images if "worst:" in i["alt"])
  assert "sub-00" not in worst


def test_predictions_with_unknown_labels_are_left_out_and_named(tmp_path):
  run, studies = full_run(tmp_path)
  fakes.write_prediction(run, studies[2], studies[2].native_mask + 1)
  page = Page(write_report(run, studies))
  assert "label 4 is not in scheme spider" in page.text


def test_predictions_are_read_in_the_schemes_numbers(tmp_path):
  run, studies = full_run(tmp_path)
  structures = tuple(Structure(n, "#101010") for n in ("Back", *"abc"))
  scheme = Scheme("own", structures, (0, 1, 201, 300))
  facts = contents.gather(run)
  run = dataclasses.replace(run, scheme=scheme)
  numbers = np.array(scheme.indices, np.uint16)[studies[0].native_mask]
  fakes.write_prediction(run, studies[0], numbers)
  cases, _ = contents.predicted_slices(run, facts, studies[:1])
  assert [case.dice for case in cases["sub-00_ses-1"]] == [1.0] * 5


def test_patients_with_names_alike_keep_their_own_predictions(tmp_path):
  run = fakes.fake_run(tmp_path)
  names = ("sub-10_ses-1", "sub-1_ses-10", "sub-1_ses-1", "1_2", "2_1", "2_")
  studies = [fakes.fake_study(name, fakes.truth_of(0, 4)) for name in names]
  for study in (*studies[:2], *studies[3:5]):
    fakes.write_prediction(run, study, study.native_mask)
  found = predicted.paths_of(run, studies)
  assert {name: path.name for name, path in found.items()} == {
    name: f"{name}_acq-sag_dseg.nii.gz" for name in (*names[:2], *names[3:5])
  }


def test_twins_keep_their_own_places_and_damaged_sidecars_are_nobodys(tmp_path):
  run = fakes.fake_run(tmp_path)
  studies = [
    fakes.fake_study(f"sub-{n}_ses-1", fakes.truth_of(0, 4)) for n in (2, 1)
  ]
  for study in studies:
    study.info["digest"] = "the same"  # the same files under two names
    # (`outputs.place` tells BIDS names by the file; these are not there.)
    folder = run.folder / "predictions"
    for end in ("_dseg.nii.gz", "_dseg.json"):
      write_text(folder / f"{study.name}{end}", '{"InputDigest": "the same"}')
  write_text(folder / "sub-3_ses-1_dseg.json", "{")
  write_text(folder / "sub-4_ses-1_dseg.json", "[]")
  found = predicted.paths_of(run, studies)
  assert {n: p.name for n, p in found.items()} == {
    s.name: f"{s.name}_dseg.nii.gz" for s in studies
  }


def test_flags_come_from_the_cache_without_studies(tmp_path):
  run = fakes.fake_run(tmp_path)
  environment = {"studies": {"a_1": "k", "b": "x"}}
  write_json(run.folder / "environment.json", environment)
  for name, flags in (("a_1-k", ["T1w: refused"]), ("a_1-old", ["stale"])):
    write_json(run.cache / name / "info.json", {"info": {"flags": flags}})
  write_text(run.cache / "b-x" / "info.json", "{")  # damaged
  facts = contents.gather(run)
  assert contents.study_flags(run, facts, ()) == {"a_1": ["T1w: refused"]}


def test_what_was_learnt_from_and_tested_on_is_said(tmp_path):
  run = fakes.fake_run(tmp_path)
  fakes.write_rest(run, [])
  shared = {"shared_patients": {"1": ["sub-<7> (test): the same files"]}}
  record_environment(run, {}, shared)
  page = Page(write_report(run))
  assert "Evaluated on patients whom the weights have learnt from." in page.text
  assert "fold 1: sub-<7> (test): the same files." in page.text


def test_a_damaged_table_is_named(tmp_path):
  run = fakes.fake_run(tmp_path)
  write_text(run.folder / "evaluation" / "per_class.csv", "a,b\n1,2\n")
  page = Page(write_report(run))
  assert "evaluation/per_class.csv: columns a, b" in page.text
  assert "Nothing has been evaluated yet" in page.text


def test_files_that_were_cut_off_are_named_and_the_rest_is_shown(
  finished, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(finished[0].folder, folder)
  names = ["counts.npz", "per_study.csv"]
  names = [f"evaluation/{name}" for name in names] + ["fold_0/metrics.jsonl"]
  names += ["environment.json", "splits.json", "thresholds.json"]
  for path in (folder / name for name in names):
    path.write_bytes(path.read_bytes()[:-40])
  page = Page(write_report(dataclasses.replace(finished[0], folder=folder)))
  for name in names:
    assert f"A damaged file is left out : {name}:" in page.text
  assert "Canal" in page.table("Class")[0]  # of per_class.csv
  assert page.table("Fold")[0]["1"][0] == "3 of 3"
  assert (page.open, page.unbalanced) == ([], [])


def test_a_damaged_picture_is_listed(tmp_path):
  run = fakes.fake_run(tmp_path)
  for number, content in enumerate((b"", b"\x89PNG\r\n\x1a\n", b"no picture")):
    path = run.folder / "predictions" / f"s{number}_overlay.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
  page = Page(write_report(run))
  assert page.images == []
  assert "predictions/s2_overlay.png" in page.text


def test_without_its_data_a_run_has_a_report(tmp_path, monkeypatch):
  def gone(run):
    raise InputError("no such folder", "give another", path="/data/gone")

  monkeypatch.setattr(modes.stages, "material", gone)
  run = fakes.fake_run(tmp_path)
  modes.report(modes.Options(config=None, workdir=tmp_path))
  page = Page(run.folder / "report.html")
  assert "Not at hand : /data/gone: no such folder. give another." in page.text
  with pytest.raises(InputError):  # nothing was begun there
    modes.report(modes.Options(config=run.config, workdir=tmp_path / "new"))


def test_what_is_not_at_hand_is_said(tmp_path):
  page = Page(write_report(fakes.fake_run(tmp_path), (), ["no folder /data"]))
  assert "Not at hand : no folder /data" in page.text


class TestTakenFor:
  def test_the_table_is_the_counts(self, finished):
    run, _, page = finished
    results = load_counts(run.folder / "evaluation" / "counts.npz")
    counts = sum(row.counts for row in results.select("averaged", "TH"))
    (table,) = page.table("There is")
    for name, row in zip(run.scheme.names, counts, strict=True):
      shown = [float(cell or 0) for cell in table[name]]
      np.testing.assert_allclose(shown, 100 * row / row.sum(), atol=0.51)

  def test_the_worst_exchange_stands_in_a_sentence(self, finished):
    assert re.search(
      r"The worst exchanges between structures: \w+ is taken for \w+ in "
      r"[\d.]+ % of its pixels",
      finished[2].text,
    )

  def test_a_class_that_is_never_predicted_is_a_banner(self, tmp_path):
    run = fakes.fake_run(tmp_path)
    study = fakes.fake_study("sub-01_ses-1", fakes.truth_of(1, 4))
    found = np.where(study.native_mask == 3, 0, study.native_mask)
    counts = metrics.confusion_host(study.native_mask, found, 4)
    row = Row("0", "TH", study.name, study.patient, counts)
    results = Results(run.scheme, [row])
    tables.save(run.folder / "evaluation", results, num_samples=0)
    page = Page(write_report(run))
    assert re.search(r"Not found : Canal .* is never predicted", page.text)


def test_of_many_overlays_the_rest_are_listed(tmp_path):
  run = fakes.fake_run(tmp_path)
  folder = run.folder / "predictions"
  folder.mkdir()
  for number in range(pictures.NUM_OVERLAYS + 1):
    matplotlib.image.imsave(
      folder / f"s{number}_overlay.png", np.zeros((4, 4, 3), np.uint8)
    )
  page = Page(write_report(run))
  assert len(page.images) == pictures.NUM_OVERLAYS
  assert "predictions/s8_overlay.png" in page.text
