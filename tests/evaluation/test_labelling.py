"""MAP, TH and the threshold search against naive loops."""

import json

import numpy as np
import pytest

from lumbar_jax.anatomy import MIDAS12, SPIDER
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import labelling
from lumbar_jax.evaluation.labelling import CANDIDATES, ThresholdCounts


def make_scores(shape, num_classes, seed=0, on_grid=0.5):
  """Softmax-like scores, a share of them exactly on candidates (and ties)."""
  rng = np.random.default_rng(seed)
  scores = rng.dirichlet(np.full(num_classes, 0.4), shape).astype(np.float32)
  exact = rng.choice(CANDIDATES, scores.shape)
  below = np.nextafter(exact, np.float32(0))
  pick = rng.random(scores.shape)
  scores = np.where(pick < on_grid, exact, scores)
  return np.where(pick < on_grid / 3, below, scores)


def walk(scores, thresholds):
  """The paper's walk for one pixel, as it is written."""
  for number in np.argsort(-scores, kind="stable"):
    if number == 0 or scores[number] >= thresholds[number]:
      return number
  return 0


def one_vs_rest_iou(scores, truth, number, threshold):
  counted = truth != 255
  found = (scores[..., number] >= threshold)[counted]
  target = (truth == number)[counted]
  union = (found | target).sum()
  return (found & target).sum() / union if union else 0.0


def naive_thresholds(scores, truth):
  best = [np.float32(0)]
  for number in range(1, scores.shape[-1]):
    values = [one_vs_rest_iou(scores, truth, number, t) for t in CANDIDATES]
    best.append(CANDIDATES[values.index(max(values))])
  return np.array(best)


def test_candidates_are_the_papers():
  np.testing.assert_allclose(CANDIDATES, np.arange(5, 100, 5) / 100, rtol=1e-7)
  assert np.float32(0.15) in CANDIDATES
  assert CANDIDATES.dtype == np.float32


def test_map_takes_the_first_of_equals():
  scores = np.array([[0.2, 0.4, 0.4], [0.5, 0.1, 0.4]], np.float32)
  assert labelling.label_map(scores).tolist() == [1, 0]


@pytest.mark.parametrize(
  ("scores", "expected"),
  [
    ([0.1, 0.5, 0.4], 1),  # the best passes
    ([0.1, 0.4, 0.5], 1),  # the best fails, the next passes
    ([0.3, 0.2, 0.5], 0),  # the best fails, the background ends the walk
    ([0.0, 0.2, 0.5], 0),  # nothing passes
    ([0.2, 0.3, 0.5], 1),  # exactly on the threshold passes
    ([0.4, 0.4, 0.2], 0),  # equal: the lower class
    ([0.1, 0.2, 0.7], 2),
  ],
)
def test_th_by_hand(scores, expected):
  thresholds = np.array([0.9, 0.3, 0.6], np.float32)
  found = labelling.label_th(np.array(scores, np.float32), thresholds)
  assert found == expected
  assert thresholds[0] == np.float32(0.9)  # the caller's array is left alone


def test_th_equals_the_walk():
  scores = make_scores((40, 30), 6)
  rng = np.random.default_rng(3)
  for _ in range(3):
    thresholds = rng.choice(CANDIDATES, 6)
    found = labelling.label_th(scores, thresholds)
    expected = [walk(s, thresholds) for s in scores.reshape(-1, 6)]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.ravel(), expected)
    named = labelling.label(scores, "TH", thresholds)
    np.testing.assert_array_equal(named, found)
  zeros = labelling.label_th(scores, np.zeros(6, np.float32))
  np.testing.assert_array_equal(zeros, labelling.label(scores, "MAP", None))


def test_unknown_labelling_is_refused():
  with pytest.raises(InputError, match="MAP, TH"):
    labelling.label(np.ones((2, 2), np.float32), "map", np.ones(2))


@pytest.mark.parametrize("seed", range(4))
def test_search_equals_the_naive_one(seed):
  scores = make_scores((3, 30, 20), 5, seed)
  rng = np.random.default_rng(seed + 10)
  truth = rng.integers(0, 5, (3, 30, 20)).astype(np.uint8)
  better = rng.random(truth.shape) < 0.5
  truth[better] = scores.argmax(-1)[better]
  truth[rng.random(truth.shape) < 0.1] = 255
  counts = ThresholdCounts.zeros(5)
  for one, mask in zip(scores, truth, strict=True):
    counts.add(one, mask)
  expected = naive_thresholds(scores, truth)
  found = counts.thresholds()
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, expected)
  iou = [
    [one_vs_rest_iou(scores, truth, c, t) for t in CANDIDATES] for c in range(5)
  ]
  np.testing.assert_allclose(counts.iou(), iou, rtol=1e-12)


def test_search_finds_a_threshold_made_to_be_best():
  # Class 1 is right from .35 on and wrong below it.
  ramp = np.linspace(0.01, 0.99, 99, dtype=np.float32)
  scores = np.stack([1 - ramp, ramp], -1)
  truth = (ramp >= np.float32(0.35)).astype(np.uint8)
  counts = ThresholdCounts.zeros(2)
  counts.add(scores, truth)
  assert counts.thresholds()[1] == np.float32(0.35)


def test_equal_candidates_give_the_smallest():
  # Any candidate in .20 ... .70 separates perfectly.
  scores = np.array([[0.83, 0.17], [0.3, 0.7]], np.float32)
  counts = ThresholdCounts.zeros(2)
  counts.add(scores, np.array([0, 1], np.uint8))
  assert counts.thresholds()[1] == np.float32(0.2)


def test_folds_pool_by_adding():
  scores = make_scores((2, 200), 4)
  truth = np.random.default_rng(5).integers(0, 4, (2, 200)).astype(np.uint8)
  parts = [ThresholdCounts.zeros(4) for _ in range(2)]
  whole = ThresholdCounts.zeros(4)
  for part, one, mask in zip(parts, scores, truth, strict=True):
    part.add(one, mask)
    whole.add(one, mask)
  pooled = parts[0] + parts[1]
  np.testing.assert_array_equal(pooled.counts, whole.counts)
  assert whole.counts.sum() == 4 * truth.size
  np.testing.assert_array_equal(
    pooled.thresholds(), naive_thresholds(scores, truth)
  )


def test_absent_class_gets_the_lowest_and_is_named():
  scores = make_scores((100,), 4)
  truth = np.full(100, 1, np.uint8)
  truth[:20] = 255
  truth[20:40] = 3
  counts = ThresholdCounts.zeros(4)
  counts.add(scores, truth)
  assert counts.absent() == (2,)
  assert counts.thresholds()[2] == np.float32(0.05)


def test_thresholds_file_round_trip(tmp_path):
  path = tmp_path / "thresholds.json"
  thresholds = np.array([0, *CANDIDATES[:11]], np.float32)
  labelling.write_thresholds(path, MIDAS12, thresholds)
  found = labelling.read_thresholds(path, MIDAS12)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, thresholds)
  content = json.loads(path.read_text())
  assert content["thresholds"]["Vert"] == 0.05
  assert content["scheme"] == "midas12"


def test_thresholds_of_another_scheme_are_refused(tmp_path):
  path = tmp_path / "thresholds.json"
  labelling.write_thresholds(path, SPIDER, np.zeros(4, np.float32))
  with pytest.raises(InputError, match=r"thresholds\.json.*Vertebra.*midas12"):
    labelling.read_thresholds(path, MIDAS12)


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": ["a"]}'])
def test_damaged_thresholds_are_refused(tmp_path, text):
  path = tmp_path / "thresholds.json"
  path.write_text(text)
  with pytest.raises(InputError, match=r"thresholds\.json: .*run --mode=eval"):
    labelling.read_thresholds(path, MIDAS12)


def stored_thresholds(path):
  thresholds = np.array([0, *CANDIDATES[:11]], np.float32)
  labelling.write_thresholds(path, MIDAS12, thresholds, model="abc")
  return thresholds, json.loads(path.read_text())


@pytest.mark.parametrize(
  "edit",
  [
    lambda content: content["thresholds"].update(Vert=0.5),
    lambda content: content.update(model="other"),
    lambda content: content["classes"].reverse(),
    lambda content: content.update(checksum="0123456789abcdef"),
    lambda content: content.update(more=1),
  ],
)
def test_edited_thresholds_are_refused(tmp_path, edit):
  path = tmp_path / "thresholds.json"
  _, content = stored_thresholds(path)
  edit(content)
  path.write_text(json.dumps(content))
  with pytest.raises(InputError, match=r"edited, or is damaged.*delete it and"):
    labelling.read_thresholds(path, MIDAS12)


def test_every_flipped_byte_of_thresholds_is_noticed_or_harmless(tmp_path):
  path = tmp_path / "thresholds.json"
  thresholds, _ = stored_thresholds(path)
  whole = path.read_bytes()
  for place in range(0, len(whole), 3):
    for bit in (0, 4):
      flipped = bytearray(whole)
      flipped[place] ^= 1 << bit
      path.write_bytes(bytes(flipped))
      try:
        found = labelling.read_thresholds(path, MIDAS12, "abc")
      except InputError:
        continue
      np.testing.assert_array_equal(found, thresholds)


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.5, "much", None])
def test_thresholds_without_a_checksum_are_read_if_they_can_be(
  tmp_path, caplog, value
):
  path = tmp_path / "thresholds.json"
  thresholds, content = stored_thresholds(path)
  del content["checksum"]
  path.write_text(json.dumps(content))
  found = labelling.read_thresholds(path, MIDAS12)
  np.testing.assert_array_equal(found, thresholds)
  content["thresholds"]["Vert"] = value
  path.write_text(json.dumps(content))
  with pytest.raises(InputError, match="delete it and run"):
    labelling.read_thresholds(path, MIDAS12)
