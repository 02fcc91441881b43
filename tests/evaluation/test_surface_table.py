"""Surface distances of whole evaluations: surface.csv and its summary."""

import types

import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import held_out, runs, stages
from lumbar_jax.anatomy import SPIDER
from lumbar_jax.data.splits import Splits
from lumbar_jax.evaluation import surface_table, tables
from lumbar_jax.evaluation.labelling import write_thresholds
from lumbar_jax.evaluation.surface import summary, surface_scores

SPACING = (4.0, 0.5, 1.0)
SHAPE = (3, 32, 24)


def study_of(name, top=8):
  """Returns a study with one block of class 1; its picture is its truth."""
  truth = np.zeros(SHAPE, np.uint8)
  truth[:, top : top + 10, 5:15] = 1
  return types.SimpleNamespace(
    name=name,
    patient=name.split("_")[0],
    image=truth[..., None].astype(np.float32),
    native_mask=truth,
    native_shape=SHAPE[1:],
    spacing_mm=SPACING,
  )


STUDIES = [study_of(f"sub-{n}_ses-1", 6 + n) for n in range(3)]
# Two rows too low: 1 mm.
MAPS = {s.name: np.roll(s.native_mask, 2, axis=1) for s in STUDIES}


class TestMeasure:
  def test_rows_are_those_of_each_study_in_order(self):
    rows = surface_table.measure(STUDIES, MAPS, SPIDER, 0.6)
    names = [(r["study"], r["patient"], r["class"]) for r in rows]
    assert names == [
      (f"sub-{n}_ses-1", f"sub-{n}", name)
      for n in range(3)
      for name in SPIDER.names[1:]
    ]
    for row in rows:
      study = next(s for s in STUDIES if s.name == row["study"])
      truth, labels = study.native_mask, MAPS[study.name]
      wanted = surface_scores(truth, labels, SPACING, 4, 0.6)
      place = SPIDER.names.index(row["class"])
      for name, values in wanted._asdict().items():
        assert row[name] == pytest.approx(values[place], nan_ok=True)
      assert row["tolerance_mm"] == 0.6

  def test_studies_without_a_map_are_left_out(self):
    kept = {STUDIES[1].name: MAPS[STUDIES[1].name]}
    rows = surface_table.measure(STUDIES, kept, SPIDER, 2)
    assert {row["study"] for row in rows} == {STUDIES[1].name}
    assert surface_table.measure(STUDIES, {}, SPIDER, 2) == []


class TestSummary:
  def test_is_that_of_the_scores_and_ends_with_the_mean(self, tmp_path):
    maps = MAPS | {STUDIES[0].name: np.zeros(SHAPE, np.uint8)}
    rows = surface_table.measure(STUDIES, maps, SPIDER, 0.6)
    surface_table.write(tmp_path, rows)
    read = tables.read_table(tmp_path / "surface.csv")
    *found, mean = surface_table.summarise(read, SPIDER)
    scores = [
      surface_scores(s.native_mask, maps[s.name], SPACING, 4, 0.6)
      for s in STUDIES
    ]
    for row, wanted in zip(found, summary(scores, SPIDER), strict=True):
      assert row == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    first = found[0]
    assert first["hd95_mm"] == first["hd95_mm_median"] == 1
    assert (first["num_studies"], first["num_missed"]) == (2, 1)
    # The other classes are nowhere: the mean is of the one that there is.
    assert mean["class"] == surface_table.MEAN_OF_CLASSES
    assert mean["hd95_mm"] == first["hd95_mm"]
    assert mean["nsd"] == pytest.approx(first["nsd"])

  def test_medians_ignore_one_far_study(self):
    far = np.roll(STUDIES[0].native_mask, 8, axis=1)
    maps = MAPS | {STUDIES[0].name: far}
    rows = surface_table.measure(STUDIES, maps, SPIDER, 2)
    first = surface_table.summarise(rows, SPIDER)[0]
    assert first["hd95_mm_median"] == 1
    assert first["hd95_mm"] == pytest.approx((4 + 1 + 1) / 3)


def evaluated(folder, test, tolerance_mm=2.0):
  """Returns a run evaluated with scorers that see the truth, 1 row off."""
  config = config_lib.default()
  config.data.update(
    root="/data", scheme="spider", num_folds=2, patch_size=16, patch_stride=8
  )
  config.data.channels = ("T2w",)
  config.evaluation.update(num_bootstrap=0)
  config.evaluation.surface_tolerance_mm = tolerance_mm
  run = runs.open_run(folder, config)
  for fold in (0, 1, None):
    path = run.thresholds_path(fold)
    write_thresholds(path, run.scheme, np.full(4, 0.05))
  names = [s.patient for s in STUDIES]
  splits = (
    Splits(names[:1], (names[1:2], names[2:]))
    if test
    else Splits([], (names[:1], names[1:]))
  )
  data = stages.Material(splits, tuple(STUDIES), ())

  def scorer(images):
    found = np.asarray(images)[..., 0]
    return np.stack([1 - found, found, 0 * found, 0 * found], -1)

  return run, held_out.evaluate(run, data, [scorer, scorer])


class TestEvaluate:
  @pytest.mark.parametrize("test", [True, False])
  def test_an_evaluation_measures_its_label_maps(self, tmp_path, test):
    run, (_, maps) = evaluated(tmp_path, test)
    rows = tables.read_table(run.folder / "evaluation" / "surface.csv")
    assert {r["study"] for r in rows} == set(maps)
    assert len(maps) == (1 if test else 3)
    for row in rows:
      if row["class"] == SPIDER.names[1]:
        assert (row["hd95_mm"], row["nsd"]) == (0, 1)  # right everywhere

  def test_none_is_measured_at_zero_and_older_ones_go(self, tmp_path):
    run, _ = evaluated(tmp_path, True)
    path = run.folder / "evaluation" / "surface.csv"
    assert path.is_file()
    evaluated(tmp_path, True, 0.0)
    assert not path.is_file()
    assert (run.folder / "evaluation" / "per_class.csv").is_file()
