"""The page of an ensemble: its members, and whether it beats them."""

import numpy as np
import pytest
import reports_fakes as fakes
from reports_page import Page

from lumbar_jax import metrics
from lumbar_jax.evaluation import tables
from lumbar_jax.evaluation.results import Results, Row
from lumbar_jax.files import write_json
from lumbar_jax.reports import contents, ensemble_members
from lumbar_jax.reports.html import write_report

DIGESTS = ["0123456789abcdef", "fedcba9876543210"]


def evaluate(run, rolls, num_studies=6):
  """Writes the counts of a model that is wrong by some rows in each fold."""
  rows = []
  for number in range(num_studies):
    truth = fakes.truth_of(number, 4)
    for fold, roll in enumerate(rolls):
      found = np.roll(truth, roll, axis=1)
      counts = metrics.confusion_host(truth, found, 4)
      for kind in ("MAP", "TH"):
        name = f"sub-{number}"
        rows.append(Row(str(fold), kind, f"{name}_ses-1", name, counts))
  results = Results(run.scheme, rows)
  tables.save(run.folder / "evaluation", results, num_samples=0)


def make(tmp_path, rolls, method="arithmetic", **counts):
  """Returns an ensemble of two members, in the folder beside theirs."""
  for name in ("one", "two"):
    member = fakes.fake_run(tmp_path / name)
    if name in rolls:
      evaluate(member, rolls[name], counts.get(name, 6))
  run = fakes.fake_run(tmp_path / "joined")
  run.config.evaluation.num_bootstrap = 50
  members = [
    {"name": n, "path": f"../{n}", "weights": DIGESTS} for n in ("one", "two")
  ]
  content = {"name": "E", "method": method, "left_out": "", "weights": []}
  settings = {"num_epochs": 7} if method == "NAD" else {}
  content |= {"members": members, "settings": settings}
  write_json(run.folder / "ensemble.json", content)
  if "joined" in rolls:
    evaluate(run, rolls["joined"])
  return run


def test_members_and_what_they_are_stand_in_a_table(tmp_path):
  rolls = {"one": (3, 3), "two": (2, 2), "joined": (1, 1)}
  page = Page(write_report(make(tmp_path, rolls)))
  (table,) = page.table("Member")
  assert table["one"][-2:] == ["../one", "0123456789ab, fedcba987654"]
  assert [table[n][2] for n in ("one", "two")] == ["better", "better"]
  for name in ("one", "two"):
    rows = tables.read_table(tmp_path / name / "evaluation" / "per_class.csv")
    (iou,) = (
      r["iou"]
      for r in rows
      if (r["fold"], r["labelling"], r["class"])
      == ("mean", "TH", tables.MEAN_ROWS[0])
    )
    assert table[name][0] == f"{iou:.3f}"
  assert "E-arithmetic is better than its best member two: " in page.text
  assert "No epoch has been finished" not in page.text
  assert "not better" not in page.text
  assert (page.open, page.unbalanced) == ([], [])


def test_an_ensemble_that_is_worse_says_so_on_top(tmp_path):
  rolls = {"one": (3, 3), "two": (1, 1), "joined": (2, 2)}
  page = Page(write_report(make(tmp_path, rolls)))
  sentence = "E-arithmetic is not better than its best member two: "
  assert sentence in page.text
  assert page.text.index(sentence) < page.text.index("What was run")
  assert "on the same 6 patients (difference −0." in page.text


@pytest.mark.parametrize(
  ("rolls", "counts", "why"),
  [
    ({"one": (2, 2), "joined": (1, 1)}, {}, "it is not evaluated"),
    (
      {"one": (2, 2), "two": (1, 1), "joined": (1, 1)},
      {"two": 4},
      "other studies were evaluated (4 in common)",
    ),
    ({"one": (2, 2), "two": (1, 1)}, {}, "the ensemble is not evaluated"),
  ],
)
def test_a_member_that_cannot_be_compared_is_named(
  tmp_path, rolls, counts, why
):
  run = make(tmp_path, rolls, **counts)
  facts = contents.gather(run)
  found = ensemble_members.view(run, facts.results, facts.labelling)
  line = found["members"][1]
  assert (line["name"], line["difference"], line["why"]) == ("two", None, why)


def test_a_member_that_was_trained_on_is_not_compared(tmp_path):
  run = make(tmp_path, {"one": (2, 2), "two": (1, 1), "joined": (1, 1)})
  record = tmp_path / "one" / "evaluation" / "record.json"
  write_json(record, {"evaluated": {"weights": "of yesterday"}})
  facts = contents.gather(run)
  found = ensemble_members.view(run, facts.results, facts.labelling)
  one, two = found["members"]
  assert one["why"] == "it was trained on since it was evaluated"
  assert (two["why"], found["best"]) == ("", two)


def test_a_meta_learner_has_its_own_curves(tmp_path):
  run = make(tmp_path, {}, "NAD")
  fakes.write_history(run, 0, (0.3, 0.8))
  page = Page(write_report(run))
  assert "Training of the meta-learner" in page.text
  assert page.table("Fold")[0]["0"][0] == "2 of 7"


def test_ensembles_of_a_study_are_held_against_their_best_member(tmp_path):
  results = {}
  for name, rolls in (("a", (3, 3)), ("b", (1, 1)), ("E", (2, 2))):
    run = fakes.fake_run(tmp_path / name)
    evaluate(run, rolls)
    path = run.folder / "evaluation" / "counts.npz"
    results[name] = ensemble_members.load_counts(path)
  (line,) = ensemble_members.of_study(
    results, {"E": ["a", "b"]}, ["E"], "TH", num_samples=20
  )
  assert (line["member"], line["difference"].words) == ("b", "not better")
  assert line["sentence"].startswith("E is not better than its best member b")
