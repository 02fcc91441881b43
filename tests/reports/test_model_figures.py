"""Figures of several models: boxes with stars, ensemble sizes, slices."""

import matplotlib.image
import numpy as np
import pytest

from lumbar_jax.anatomy import IGNORE, MIDAS12, SPIDER
from lumbar_jax.errors import InputError
from lumbar_jax.reports.ensemble_sizes import Point, ensemble_sizes
from lumbar_jax.reports.model_boxes import model_boxes
from lumbar_jax.reports.qualitative import Example, qualitative
from lumbar_jax.reports.style import save_png

NAN = float("nan")
PATIENTS = {f"s{n}": f"p{n}" for n in range(12)}


def scores_of(shift, num=8):
  """Returns {class: {study: IoU}}, `shift` (and a bit a study) above .5."""
  studies = {f"s{n}": 0.5 + n / 50 + shift * (1 + n / 9) for n in range(num)}
  return {name: dict(studies) for name in SPIDER.names}


def stars(axes):
  """Returns {box number: whether its star is filled}."""
  return {
    int(line.get_xdata()[0]): line.get_markerfacecolor() != "none"
    for line in axes.lines
    if line.get_marker() == "*"
  }


class TestModelBoxes:
  def test_stars_mark_what_differs_from_the_reference(self):
    better, equal = scores_of(0.02), scores_of(0)
    mixed = scores_of(0)
    mixed["Canal"]["s0"] += 0.1
    scores = {"U1": better, "UMD": scores_of(0), "same": equal, "mixed": mixed}
    figure = model_boxes(scores, SPIDER, "UMD", PATIENTS)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert titles == list(SPIDER.names)
    # U1: 2 / 2**8 = .0078 in four classes; times 12 tests it is above .05.
    for axes in figure.axes[:4]:
      assert stars(axes) == {1: False}

  def test_stars_that_survive_holm_are_filled(self):
    scores = {"UMD": scores_of(0, 12), "U1": scores_of(0.02, 12)}
    figure = model_boxes(scores, SPIDER, "UMD", PATIENTS)
    assert [stars(axes) for axes in figure.axes[:4]] == [{2: True}] * 4

  def test_a_patients_studies_are_one_pair(self):
    scores = {"UMD": scores_of(0, 12), "U1": scores_of(0.02, 12)}
    for count, starred in ((5, {}), (6, {2: False})):  # 2 / 2**5, 2 / 2**6
      few = {f"s{n}": f"p{n % count}" for n in range(12)}
      figure = model_boxes(scores, SPIDER, "UMD", few)
      assert [stars(axes) for axes in figure.axes[:4]] == [starred] * 4

  def test_stars_stand_over_their_box_inside_the_panel(self):
    scores = {"UMD": scores_of(0), "U1": scores_of(0.02)}
    axes = model_boxes(scores, SPIDER, "UMD", PATIENTS).axes[0]
    (star,) = (line for line in axes.lines if line.get_marker() == "*")
    highest = max(scores["U1"]["Vertebra"].values())
    assert highest < star.get_ydata()[0] < axes.get_ylim()[1]

  def test_boxes_hold_the_studies_without_nans(self):
    scores = {"UMD": scores_of(0)}
    values = {"s0": 0.2, "s1": NAN, "s2": 0.4, "s3": 0.9}
    scores["UMD"]["Disc"] = values
    scores["UMD"]["Canal"] = dict.fromkeys(values, NAN)
    figure = model_boxes(scores, SPIDER, "UMD", PATIENTS)
    disc, canal = figure.axes[2:4]
    (median,) = (x for x in disc.lines if x.get_linewidth() == 1.3)
    assert median.get_ydata()[0] == pytest.approx(0.4)
    assert [text.get_text() for text in canal.texts] == ["absent"]

  def test_every_class_has_a_panel_and_every_model_a_name(self):
    one = next(iter(scores_of(0).values()))
    scores = {m: dict.fromkeys(MIDAS12.names, one) for m in ("FCN", "UMD")}
    figure = model_boxes(scores, MIDAS12, "UMD", PATIENTS)
    assert len(figure.axes) == 12
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["FCN", "UMD (reference)"]
    assert len(names) == 4

  def test_wrong_scores_are_refused(self):
    scores = {"UMD": scores_of(0), "U1": scores_of(0)}
    with pytest.raises(InputError, match="did you mean UMD"):
      model_boxes(scores, SPIDER, "UMDD", PATIENTS)
    del scores["U1"]["Disc"]
    with pytest.raises(InputError, match="U1 has no scores of class Disc"):
      model_boxes(scores, SPIDER, "UMD", PATIENTS)


def points(values, technique="NAD", labelling="TH"):
  return [
    Point(f"E{n}", n, technique, labelling, iou, 0.01)
    for n, iou in values.items()
  ]


def drawn(axes, number):
  """Returns the IoUs of a technique's line."""
  return axes.containers[number].lines[0].get_ydata()


class TestEnsembleSizes:
  def test_ensembles_are_in_order_of_size_with_gaps(self):
    shown = [
      *points({13: 0.8, 4: 0.7, 10: 0.75}),
      *points({4: 0.6, 10: NAN, 13: 0.65}, "TCD"),
      *points({5: 0.5}, "arithmetic"),
    ]
    axes = ensemble_sizes(shown).axes[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["E4\n4", "E5\n5", "E10\n10", "E13\n13"]
    np.testing.assert_array_equal(drawn(axes, 0), [0.7, NAN, 0.75, 0.8])
    np.testing.assert_array_equal(drawn(axes, 1), [0.6, NAN, NAN, 0.65])
    np.testing.assert_array_equal(drawn(axes, 2), [NAN, 0.5, NAN, NAN])

  def test_bars_are_the_spread_and_do_not_lie_on_each_other(self):
    shown = [*points({4: 0.7}), *points({4: 0.7}, "TCD")]
    axes = ensemble_sizes(shown).axes[0]
    ends = [c.lines[2][0].get_segments()[0] for c in axes.containers]
    np.testing.assert_allclose(ends[0][:, 1], [0.69, 0.71])
    assert ends[0][0, 0] != ends[1][0, 0]

  def test_labellings_have_panels_of_one_scale(self):
    shown = [*points({4: 0.7}), *points({4: 0.2}, labelling="MAP")]
    figure = ensemble_sizes(shown, {"UMD": {"TH": 0.66, "MAP": 0.6}})
    first, second = figure.axes
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["TH", "MAP"]
    assert first.get_ylim() == second.get_ylim()
    assert [0.66, 0.66] in [list(line.get_ydata()) for line in first.lines]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["NAD", "UMD"]


def example(title="a", models=("U1", "UMD"), truth=None):
  if truth is None:
    truth = np.zeros((20, 30), np.uint8)
    truth[8:12, 10:20] = 1
  image = np.arange(600.0).reshape(20, 30)
  channels = {"T2w": image, "T1w": image[::2, ::2]}
  return Example(title, channels, truth, dict.fromkeys(models, truth), (2, 1))


class TestQualitative:
  def test_a_row_an_example_and_a_column_a_map(self):
    figure = qualitative([example("one"), example("two")], SPIDER)
    assert len(figure.axes) == 2 * 5
    heads = [axes.texts[-1].get_text() for axes in figure.axes[:5]]
    assert heads == ["T2w", "T1w", "truth", "U1", "UMD"]
    assert figure.axes[5].get_title(loc="left") == "two"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Vertebra"]

  def test_shown_is_what_lies_around_the_classes_in_mm(self):
    panel = qualitative([example()], SPIDER, margin_mm=4).axes[2]
    assert panel.images[0].get_array().shape == (4 + 2 * 2, 10 + 2 * 4, 3)
    left, right, bottom, top = panel.images[0].get_extent()
    assert (right - left, bottom - top) == (18, 16)
    whole = qualitative([example()], SPIDER, margin_mm=None).axes[2]
    assert whole.images[0].get_array().shape == (20, 30, 3)

  def test_a_prediction_outside_of_the_truth_is_not_cut_away(self):
    one = example()
    wrong = np.zeros_like(one.truth)
    wrong[0, 0] = 2
    one.predictions["UMD"] = wrong
    picture = qualitative([one], SPIDER).axes[4].images[0].get_array()
    assert picture[0, 0].std() > 0  # coloured, not grey

  @pytest.mark.parametrize("value", [0, IGNORE])
  def test_a_slice_without_classes_is_shown_whole(self, value):
    truth = np.full((20, 30), value, np.uint8)
    figure = qualitative([example(truth=truth)], SPIDER)
    assert figure.axes[0].images[0].get_array().shape == (20, 30, 3)

  def test_examples_of_other_models_are_refused(self):
    with pytest.raises(InputError, match="'b' has T2w, T1w, truth, U1"):
      qualitative([example(), example("b", ("U1",))], SPIDER)


def test_figures_are_written_whole(tmp_path):
  path = tmp_path / "figures" / "figure9.png"
  save_png(path, ensemble_sizes(points({4: 0.7, 5: 0.8})))
  assert matplotlib.image.imread(path).shape[1] > 400
  assert [p.name for p in path.parent.iterdir()] == ["figure9.png"]
