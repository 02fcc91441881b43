"""Figures 18 and 19 of the review."""

import numpy as np
import pytest
from reports_fakes import fake_run, fake_study, truth_of

from lumbar_jax import metrics
from lumbar_jax.anatomy import IGNORE, SPIDER
from lumbar_jax.reports import review_figures
from lumbar_jax.reports.study import Found
from lumbar_jax.training.position import EpochSums


def epoch(counts, number):
  sums = EpochSums(1.0 + number, 2.0, counts)
  scalars = sums.scalars("train", SPIDER) | sums.scalars("val", SPIDER)
  return {"epoch": number, **scalars}


def histories(*seeds):
  """Counts of random epochs; class 3 is absent."""
  found, counts = [], []
  for seed in seeds:
    rng = np.random.default_rng(seed)
    matrices = rng.integers(1, 50, (3, 4, 4))
    matrices[:, 3] = matrices[:, :, 3] = 0
    found.append([epoch(m, n) for n, m in enumerate(matrices)])
    counts.append(matrices)
  return found, counts


def test_dice_follows_from_what_was_recorded():
  (history,), (counts,) = histories(0)
  expected = metrics.mean(metrics.dice(counts), with_background=False)
  found = review_figures.validation_dice(history, SPIDER)
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_curves_are_means_over_the_folds_that_got_so_far():
  (one, two, alone), _ = histories(0, 1, 2)
  drawn = {"U1": {0: one, 1: two[:2]}, "UMD": {0: alone}}
  figure = review_figures.draw_figure19(drawn, SPIDER)
  losses, _, dice, iou = figure.axes
  both = [line.get_ydata() for line in losses.lines]
  np.testing.assert_allclose(both[0], [0.5, 1.0])
  np.testing.assert_allclose(both[1], [0.5, 1.0, 1.5])
  first = review_figures.validation_dice(one, SPIDER)[:2]
  second = review_figures.validation_dice(two, SPIDER)[:2]
  np.testing.assert_allclose(dice.lines[0].get_ydata(), (first + second) / 2)
  np.testing.assert_allclose(
    iou.lines[1].get_ydata(), [line["val/iou"] for line in alone]
  )
  names = [text.get_text() for text in figure.legends[0].get_texts()]
  assert names == ["U1", "UMD"]


def test_twelve_networks_look_different():
  (history,), _ = histories(0)
  drawn = {f"N{n}": {0: history} for n in range(12)}
  lines = review_figures.draw_figure19(drawn, SPIDER).axes[0].lines
  looks = {(line.get_color(), line.get_linestyle()) for line in lines}
  assert len(looks) == 12


@pytest.fixture
def found(tmp_path):
  """Two models of two studies; UMD errs more in each further slice."""
  run = fake_run(tmp_path)
  studies, maps = [], {"U1": {}, "UMD": {}}
  for number in range(2):
    truth = truth_of(number, 4)
    study = fake_study(f"sub-0{number}_ses-1", truth)
    studies.append(study)
    maps["U1"][study.name] = truth
    wrong = truth.copy()
    for n in range(len(truth)):
      wrong[n] = np.roll(truth[n], n + 3 * number, axis=0)
    maps["UMD"][study.name] = wrong
  return Found(
    run=run,
    results=dict.fromkeys(maps),
    members={},
    methods={},
    ablations={},
    shown=list(maps),
    validation={},
    label_maps=maps,
    studies=studies,
  )


def test_best_worst_and_three_others_are_shown(found):
  figure = review_figures.draw_figure18(found)
  titles = [axes.get_title(loc="left") for axes in figure.axes[::4]]
  assert [title.split(":")[0] for title in titles] == [
    *("best", "worst", "random 1", "random 2", "random 3")
  ]
  assert titles[0] == "best: sub-00_ses-1, slice 1 of 5, mean Dice 1.000"
  # The last slice of the second study is rolled most.
  assert titles[1].startswith("worst: sub-01_ses-1, slice 5 of 5")
  assert len(set(titles)) == 5
  columns = [axes.texts[0].get_text() for axes in figure.axes[:4]]
  assert columns[1:] == ["truth", "U1", "UMD"]


def test_empty_slices_and_missing_maps_take_no_part(found):
  found.studies[0].native_mask.setflags(write=True)
  found.studies[0].native_mask[0] = IGNORE
  titles = [
    axes.get_title(loc="left")
    for axes in review_figures.draw_figure18(found).axes[::4]
  ]
  assert "sub-00_ses-1, slice 1 of 5" not in " ".join(titles)
  for maps in found.label_maps.values():
    maps.clear()
  assert review_figures.draw_figure18(found) is None
