"""Fold models on prepared studies, counted on the native grid."""

import types

import numpy as np
import pytest
import sklearn.metrics

from lumbar_jax.anatomy import SPIDER
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import evaluate, labelling
from lumbar_jax.evaluation.reconstruction import resize_scores

PATCHING = {"patch_size": 8, "patch_stride": 6, "batch_size": 5}


class Scorer:
  """A pixel-wise model of four classes that counts the patches it sees."""

  def __init__(self, seed):
    rng = np.random.default_rng(seed)
    self.kernel = rng.normal(size=(2, 4)).astype(np.float32)
    self.num_calls = 0

  def __call__(self, images):
    self.num_calls += 1
    odds = np.exp(images @ self.kernel)
    return odds / odds.sum(-1, keepdims=True)


def make_study(number, shape=(3, 14, 9), native_shape=(14, 9)):
  rng = np.random.default_rng(number)
  mask = rng.integers(0, 4, (shape[0], *native_shape)).astype(np.uint8)
  mask[rng.random(mask.shape) < 0.1] = 255
  return types.SimpleNamespace(
    name=f"study-{number}",
    patient=f"patient-{number // 2}",
    image=rng.normal(size=(*shape, 2)).astype(np.float32),
    native_mask=mask,
    native_shape=native_shape,
  )


def make_thresholds(number):
  rng = np.random.default_rng(number + 100)
  return rng.choice(labelling.CANDIDATES[:8], 4)


def reference(study, scores, kind, thresholds):
  """Counts by scikit-learn from whole-slice scores."""
  scores = np.stack([resize_scores(s, study.native_shape) for s in scores])
  found = labelling.label(scores, kind, thresholds)
  kept = study.native_mask != 255
  return sklearn.metrics.confusion_matrix(
    study.native_mask[kept], found[kept], labels=range(4)
  )


@pytest.mark.parametrize("native_shape", [(14, 9), (31, 20)])
def test_counts_of_folds_and_their_average(native_shape):
  study = make_study(0, native_shape=native_shape)
  models = [Scorer(seed) for seed in range(3)]
  limits = [make_thresholds(number) for number in range(3)]
  limits.append(np.array([0, 0.5, 0.6, 0.4], np.float32))
  counts = evaluate.evaluate_study(
    models, study, limits[:3], limits[3], **PATCHING
  )
  assert set(counts) == {
    (fold, kind)
    for fold in ("0", "1", "2", "averaged")
    for kind in ("MAP", "TH")
  }
  whole = [Scorer(seed)(study.image) for seed in range(3)]
  scores = {"0": whole[0], "1": whole[1], "2": whole[2]}
  scores["averaged"] = np.mean(whole, axis=0)
  for (fold, kind), found in counts.items():
    threshold = limits[3 if fold == "averaged" else int(fold)]
    expected = reference(study, scores[fold], kind, threshold)
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == (study.native_mask != 255).sum()
  assert np.any(counts["0", "MAP"] != counts["0", "TH"])


def test_each_model_sees_each_patch_once():
  study = make_study(1)
  models = [Scorer(seed) for seed in range(2)]
  limits = [make_thresholds(0)] * 2
  evaluate.evaluate_study(models, study, limits, limits[0], **PATCHING)
  # 3 slices of 2 x 2 patches in batches of 5.
  assert [model.num_calls for model in models] == [3, 3]


def test_folds_can_be_named_and_the_average_left_out():
  counts = evaluate.evaluate_study(
    [Scorer(0)], make_study(2), [make_thresholds(0)], folds=["2"], **PATCHING
  )
  assert set(counts) == {("2", "MAP"), ("2", "TH")}


def test_disagreeing_sizes_are_refused():
  study = make_study(3)
  study.native_mask = study.native_mask[1:]
  limits = [make_thresholds(0)]
  with pytest.raises(ValueError, match="study-3"):
    evaluate.evaluate_study([Scorer(0)], study, limits, **PATCHING)
  with pytest.raises(ValueError, match="zip"):
    evaluate.evaluate_study(
      [Scorer(0), Scorer(1)], make_study(3), limits, **PATCHING
    )


def test_study_without_truth_is_refused():
  study = make_study(3)
  study.native_mask = None
  with pytest.raises(InputError, match="study-3 has no mask"):
    evaluate.collect_thresholds(Scorer(0), [study], 4, **PATCHING)


def test_memory_mapped_study_counts_the_same(tmp_path):
  study = make_study(4)
  limits = [make_thresholds(0)]
  expected = evaluate.evaluate_study([Scorer(0)], study, limits, **PATCHING)
  np.save(tmp_path / "image.npy", study.image)
  study.image = np.load(tmp_path / "image.npy", mmap_mode="r")
  found = evaluate.evaluate_study([Scorer(0)], study, limits, **PATCHING)
  for key, counts in expected.items():
    np.testing.assert_array_equal(found[key], counts)


def test_results_hold_every_study_fold_and_labelling():
  studies = [make_study(number) for number in range(3)]
  models = [Scorer(seed) for seed in range(2)]
  limits = [make_thresholds(number) for number in range(3)]
  seen = []
  results = evaluate.evaluate_studies(
    *(models, iter(studies), SPIDER, limits[:2], limits[2]),
    **PATCHING,
    on_study=lambda study: seen.append(study.name),
  )
  assert seen == [study.name for study in studies]
  assert results.folds == ["0", "1"]
  assert results.labellings == ["MAP", "TH"]
  assert len(results.rows) == 3 * 3 * 2
  for row in results.rows:
    study = studies[int(row.study[-1])]
    assert row.patient == study.patient
    counts = evaluate.evaluate_study(
      models, study, limits[:2], limits[2], **PATCHING
    )
    np.testing.assert_array_equal(row.counts, counts[row.fold, row.labelling])


def test_thresholds_are_collected_on_the_native_grid():
  studies = [make_study(n, native_shape=(28, 18)) for n in range(2)]
  found = evaluate.collect_thresholds(Scorer(0), studies, 4, **PATCHING)
  scores, truth = [], []
  for study in studies:
    whole = Scorer(0)(study.image)
    scores += [resize_scores(s, study.native_shape) for s in whole]
    truth += list(study.native_mask)
  scores, truth = np.stack(scores), np.stack(truth)
  kept = truth != 255
  for number in range(1, 4):
    # As in the definition: best one-vs-rest IoU over whole arrays.
    values = [
      sklearn.metrics.jaccard_score(
        truth[kept] == number,
        scores[kept][:, number] >= candidate,
        zero_division=0,
      )
      for candidate in labelling.CANDIDATES
    ]
    best = labelling.CANDIDATES[values.index(max(values))]
    assert found.thresholds()[number] == best
