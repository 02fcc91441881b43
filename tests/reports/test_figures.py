import io

import matplotlib.image
import numpy as np
import pytest
from reports_fakes import SHAPE, fake_study, truth_of

from lumbar_jax.anatomy import IGNORE, SPIDER
from lumbar_jax.reports import figures, film, slices
from lumbar_jax.reports.style import DARK, LIGHT, to_jpeg, to_png


def lines(*accuracies):
  return [{"epoch": e, "val/accuracy": a} for e, a in enumerate(accuracies)]


def row(name, labelling, iou, low=0.4, high=0.9):
  named = {"class": name, "labelling": labelling}
  return named | {"iou": iou, "iou_low": low, "iou_high": high}


class TestLearningCurves:
  def test_best_epoch_is_the_first_of_equals(self):
    assert figures.best_epoch(lines(0.2, 0.9, 0.5, 0.9)) == 1

  def test_nan_is_never_the_best(self):
    assert figures.best_epoch(lines(np.nan, 0.1)) == 1
    assert figures.best_epoch(lines(np.nan)) is None
    assert figures.best_epoch([]) is None
    by_iou = [{"val/accuracy": 1 - v, "val/iou": v} for v in (0.1, 0.3, 0.2)]
    assert figures.best_epoch(by_iou) == 0
    assert figures.best_epoch(by_iou, "iou") == 1

  def test_best_epoch_is_marked_in_every_panel(self):
    history = [line | {"val/loss": 1.5} for line in lines(0.2, 0.9, 0.5)]
    loss, accuracy, _ = figures.learning_curves({0: history}).axes
    for axes, value in ((loss, 1.5), (accuracy, 0.9)):
      (dot,) = (line for line in axes.lines if line.get_marker() == "o")
      assert dot.get_xydata().tolist() == [[2, value]]

  def test_one_epoch_of_one_fold_can_be_drawn(self):
    assert to_png(figures.learning_curves({3: lines(0.4)}))[:4] == b"\x89PNG"


class TestClassScores:
  def test_dots_and_intervals_are_the_rows(self):
    rows = [row("Disc", "MAP", 0.5), row("Disc", "TH", 0.7, 0.6, 0.8)]
    axes = figures.class_scores(rows, SPIDER).axes[0]
    drawn = [tuple(np.round(line.get_xdata(), 3)) for line in axes.lines]
    assert {(0.5,), (0.4, 0.9), (0.7,), (0.6, 0.8)} <= set(drawn)

  def test_classes_stand_in_the_order_of_the_scheme(self):
    axes = figures.class_scores([row("Disc", "TH", 0.5)], SPIDER).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [*SPIDER.names, "mean without background"]
    disc = next(line for line in axes.lines if list(line.get_xdata()) == [0.5])
    assert disc.get_ydata()[0] == pytest.approx(2)
    assert axes.yaxis_inverted()

  def test_the_axis_holds_every_value(self):
    rows = [row("Disc", "TH", 0.5, 0.31, 0.9), row("Canal", "TH", np.nan)]
    axes = figures.class_scores(rows, SPIDER).axes[0]
    assert axes.get_xlim()[0] <= 0.31

  def test_themes_differ(self):
    rows = [row("Disc", "TH", 0.5)]
    pictures = [
      matplotlib.image.imread(
        io.BytesIO(to_png(figures.class_scores(rows, SPIDER, theme)))
      )
      for theme in (LIGHT, DARK)
    ]
    assert [p[0, 0, 0] > 0.5 for p in pictures] == [True, False]


def test_boxes_hold_the_studies_and_leave_out_absent_classes():
  rows = [{"class": "Disc", "iou": iou} for iou in (0.2, 0.4, 0.9, np.nan)] + [
    {"class": "Canal", "iou": np.nan}
  ]
  axes = figures.study_boxes(rows, SPIDER).axes[0]
  medians = [
    line.get_xdata()[0] for line in axes.lines if line.get_linewidth() == 1.4
  ]
  assert np.nan_to_num(medians, nan=-1).tolist() == [-1, -1, 0.4, -1]


def case(study, number, dice, foreground=100):
  mask = np.zeros((2, 2), np.uint8)
  return slices.Case(study, number, mask, mask, dice, foreground)


class TestChoice:
  def test_best_median_worst_over_all_studies(self):
    chosen = slices.choose(
      [
        [case("a", 0, 0.9), case("a", 1, 0.5)],
        [case("b", 0, 0.7), case("b", 1, 0.1), case("b", 2, 0.6)],
      ]
    )
    found = {word: (c.study, c.number) for word, c in chosen.items()}
    assert found == {"best": ("a", 0), "median": ("b", 2), "worst": ("b", 1)}

  def test_slices_with_little_foreground_take_no_part(self):
    slices_of_a = ((0, 1.0, 49), (1, 0.4, 100), (2, 0.3, 50), (3, 0.0, 2))
    study = [case("a", *values) for values in slices_of_a]
    chosen = slices.choose([study])
    assert {w: c.number for w, c in chosen.items()} == {"best": 1, "worst": 2}

  def test_each_study_is_measured_by_its_own_fullest_slice(self):
    small = [case("small", 0, 0.1, 3), case("small", 1, np.nan, 0)]
    chosen = slices.choose([[case("large", 0, 0.9, 10_000)], small])
    assert chosen["worst"].study == "small"

  @pytest.mark.parametrize("num", [1, 2, 3, 4])
  def test_no_slice_is_shown_twice(self, num):
    chosen = slices.choose([[case("a", n, n / 10) for n in range(num)]])
    numbers = [c.number for c in chosen.values()]
    assert len(set(numbers)) == len(numbers) == min(num, 3)
    assert numbers[0] == num - 1
    assert num < 2 or numbers[-1] == 0

  def test_nothing_without_foreground(self):
    assert slices.choose([]) == {}
    assert slices.choose([[case("a", 0, np.nan, 0)]]) == {}

  def test_scores_are_the_slices_own(self):
    truth = np.zeros(SHAPE, np.uint8)
    truth[1:, :10] = 1
    predicted = truth.copy()
    predicted[2, :5] = 0  # Dice 2*5 / (5 + 10)
    truth[3, 20:] = IGNORE
    predicted[3, 20:] = 2
    cases = slices.cases_of(fake_study("p_s", truth), predicted, SPIDER)
    assert np.isnan(cases[0].dice)
    np.testing.assert_allclose([c.dice for c in cases[1:4]], [1, 2 / 3, 1])
    assert [c.foreground for c in cases[:2]] == [0, 200]

  def test_the_telling_slice_has_the_most_classes_then_is_central(self):
    truth = np.ones(SHAPE, np.uint8)
    truth[(0, 1, 4), 0] = 2
    cases = slices.cases_of(fake_study("p_s", truth), truth, SPIDER)
    assert slices.telling(cases).number == 1


class TestFilm:
  def test_error_map_tells_the_kinds_of_pixels_apart(self):
    truth = np.array([[0, 1, 1, 0, IGNORE]], np.uint8)
    predicted = np.array([[0, 1, 2, 3, 3]], np.uint8)
    picture = film.error_map(truth, predicted, SPIDER)[0]
    assert picture[[0, 4]].max() == 0
    assert picture[1].tolist() == [52, 52, 52]
    assert tuple(picture[2]) == SPIDER.structures[1].rgb
    assert picture[3].tolist() == [255, 255, 255]

  def test_overlay_leaves_the_background_alone(self):
    grey = np.full((1, 2, 3), 100.0)
    picture = film.overlay(grey, np.array([[0, 2]]), SPIDER)[0]
    assert picture[0].tolist() == [100, 100, 100]
    color = np.array(SPIDER.structures[2].rgb)
    assert np.all(np.sign(picture[1] - 100.0) == np.sign(color - 100))

  def test_panels_have_the_true_aspect_superior_up_anterior_left(self):
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, 0, 0] = 1  # most superior and anterior
    study = fake_study("p_s", truth)
    cases = slices.cases_of(study, truth, SPIDER)
    figure = film.draw_cases(cases[:2], SPIDER, ("T2w",), ("one", "two"))
    assert len(figure.axes) == 2 * 4
    panel = figure.axes[1]
    assert panel.get_aspect() == 1
    left, right, bottom, top = panel.images[0].get_extent()
    assert (right - left, bottom - top) == (20 * 1.0, 24 * 0.5)
    assert not panel.xaxis_inverted()
    assert panel.yaxis_inverted()
    shown = panel.images[0].get_array()
    assert shown.shape == (24, 20, 3)
    assert shown[0, 0, 0] > shown[0, 0, 1]  # the vertebrae's red

  def test_rows_are_titled_with_study_slice_and_score(self):
    truth = truth_of(0, 4)
    cases = slices.cases_of(fake_study("p_s", truth), truth, SPIDER)
    figure = film.draw_cases([cases[2]], SPIDER, ("T2w",), ("best",))
    title = figure.axes[0].get_title(loc="left")
    assert title == "best: p_s, slice 3 of 5, Dice 1.000"

  def test_only_classes_that_occur_are_in_the_legend(self):
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, :4] = 3
    cases = slices.cases_of(fake_study("p_s", truth), truth, SPIDER)
    legend = film.draw_cases(cases[:1], SPIDER, ("T2w",)).legends[0]
    names = [text.get_text() for text in legend.get_texts()]
    assert "Canal" in names
    assert "Disc" not in names


def test_jpeg_keeps_the_picture(tmp_path):
  picture = np.zeros((30, 40, 3), np.uint8)
  picture[:, 20:] = (250, 10, 10)
  matplotlib.image.imsave(tmp_path / "a.png", picture)
  jpeg = to_jpeg(tmp_path / "a.png")
  assert jpeg[:2] == b"\xff\xd8"
  back = matplotlib.image.imread(io.BytesIO(jpeg), format="jpeg")
  assert np.abs(back[15, [5, 35]].astype(int) - picture[15, [5, 35]]).max() < 12
