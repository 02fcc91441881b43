"""Batches: every patch once, repeatable shuffles, resuming, shards, padding."""

import dataclasses
import json

import numpy as np
import pytest

from lumbar_jax.anatomy import IGNORE
from lumbar_jax.data.pipeline import PatchSource, eval_batches, train_batches
from lumbar_jax.errors import InputError

SIZE, STRIDE = 16, 12


@dataclasses.dataclass
class Prepared:
  """A stand-in with what the pipeline reads of a prepared study."""

  name: str
  patient: str
  image: np.ndarray
  mask: np.ndarray


def _study(number, shape=(2, 28, 16)):
  """Every pixel of every study has a value of its own."""
  count = int(np.prod(shape))
  image = np.arange(2 * count, dtype=np.float32).reshape(*shape, 2)
  mask = (np.arange(count) % 7).astype(np.uint8).reshape(shape)
  name = f"sub-{number}"
  return Prepared(name, name, image + 10_000 * number, mask)


@pytest.fixture(scope="module")
def source():
  """11 studies of two slices of two patches each, 44 patches."""
  return PatchSource([_study(i) for i in range(11)], SIZE, STRIDE)


def _firsts(batches):
  """What tells each patch from all others: its first pixel."""
  return [value for b in batches for value in b["images"][:, 0, 0, 0].tolist()]


def _epoch(source, batch_size=4, *, num_workers=0, **options):
  options = {"seed": 3, "epoch": 0} | options
  batches, count = train_batches(
    source, batch_size, num_workers=num_workers, **options
  )
  batches = list(batches)
  assert len(batches) == count
  return batches


def _order(*arguments, **options):
  return _firsts(_epoch(*arguments, **options))


def test_a_patch_is_cut_from_where_it_says(source):
  assert len(source) == 44
  seen = set()
  for index in range(len(source)):
    number, n, row, column = source.places[index]
    study, patch = source.studies[number], source[index]
    window = np.s_[n, row : row + SIZE, column : column + SIZE]
    np.testing.assert_array_equal(patch["images"], study.image[window])
    np.testing.assert_array_equal(patch["labels"], study.mask[window])
    assert patch["studies"] == number
    assert patch["images"].dtype == np.float32
    assert patch["labels"].dtype == np.int32
    seen.add((number, n, row, column))
  assert seen == {
    (i, n, row, 0) for i in range(11) for n in range(2) for row in (0, 12)
  }


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_patch_once_per_epoch(source, num_workers):
  order = _order(source, num_workers=num_workers)
  assert sorted(order) == sorted(
    float(source[i]["images"][0, 0, 0]) for i in range(len(source))
  )


def test_images_labels_and_studies_stay_together(source):
  for batch in _epoch(source):
    for image, labels, study in zip(
      batch["images"], batch["labels"], batch["studies"], strict=True
    ):
      pixels = (image[..., 0] - 10_000 * study) / 2
      np.testing.assert_array_equal(pixels.astype(int) % 7, labels)


def test_the_last_partial_batch_is_dropped(source):
  batches = _epoch(source, 5)
  assert [len(batch["images"]) for batch in batches] == [5] * 8
  order = _firsts(batches)
  assert len(set(order)) == 40


def test_shuffles_differ_by_epoch_and_seed_and_repeat(source):
  first = _order(source)
  assert _order(source) == first
  assert _order(source, num_workers=2) == first
  others = [
    _order(source, epoch=1),
    _order(source, epoch=2),
    _order(source, seed=40),
    sorted(first),
  ]
  orders = [first, *others]
  for i, a in enumerate(orders):
    for b in orders[:i]:
      assert sum(x == y for x, y in zip(a, b, strict=True)) < len(a) / 3


def test_a_large_seed_is_accepted(source):
  """The streams' seeds have 31 bits."""
  assert len(_order(source, seed=2**31 - 1, epoch=2)) == 44


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 6])
def test_resuming_mid_epoch_gives_the_same_next_batches(
  source, num_workers, taken
):
  expected = _order(source, num_workers=num_workers)[4 * taken :]
  options = dict(seed=3, epoch=0, num_workers=num_workers)
  batches, _ = train_batches(source, 4, **options)
  for _ in range(taken):
    next(batches)
  stored = json.dumps(batches.get_state())
  next(batches)  # what comes after the checkpoint is lost
  resumed, _ = train_batches(source, 4, **options)
  resumed.set_state(json.loads(stored))
  assert _firsts(resumed) == expected


@pytest.mark.parametrize("epoch", [0, 1])
def test_two_training_shards_are_disjoint_and_cover(source, epoch):
  shards = [_order(source, 2, epoch=epoch, shard=(i, 2)) for i in (0, 1)]
  assert [len(shard) for shard in shards] == [22, 22]
  assert sorted(shards[0] + shards[1]) == sorted(_order(source))


def test_fewer_patches_than_a_batch_is_an_error(source):
  with pytest.raises(
    InputError, match=r"batch_size is 45.*only 44.*at most 44"
  ):
    train_batches(source, 45, seed=0, epoch=0)
  with pytest.raises(InputError, match="batch_size is 46"):
    train_batches(source, 23, seed=0, epoch=0, shard=(0, 2))
  assert len(_epoch(source, 44)) == 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_pads_the_last_batch(source, num_workers):
  batches = list(eval_batches(source, 10, num_workers=num_workers))
  assert [len(batch["images"]) for batch in batches] == [10] * 5
  order = _firsts(batches)[:44]
  assert order == [float(source[i]["images"][0, 0, 0]) for i in range(44)]
  last = batches[-1]
  assert np.all(last["labels"][4:] == IGNORE)
  assert np.all(last["studies"][4:] == -1)
  assert not np.any(batches[0]["labels"] == IGNORE)
  for name in last:
    assert last[name].dtype == batches[0][name].dtype
    assert last[name].shape == batches[0][name].shape


def test_a_full_last_batch_is_not_padded(source):
  batches = list(eval_batches(source, 11))
  assert len(batches) == 4
  assert all((batch["studies"] >= 0).all() for batch in batches)


def test_evaluation_shards_have_equally_many_batches():
  """Five patches over two processes: 3 and 2; none lost, none twice."""
  study = _study(0, (5, 16, 16))
  source = PatchSource([study], SIZE, STRIDE)
  assert len(source) == 5
  for batch_size, num_batches in ((1, 3), (2, 2), (3, 1)):
    found = []
    for i in (0, 1):
      batches = list(eval_batches(source, batch_size, shard=(i, 2)))
      assert len(batches) == num_batches
      for batch in batches:
        assert batch["images"].shape == (batch_size, SIZE, SIZE, 2)
        real = batch["studies"] >= 0
        assert np.all(batch["labels"][~real] == IGNORE)
        found += batch["images"][real, 0, 0, 0].tolist()
    assert sorted(found) == study.image[:, 0, 0, 0].tolist()


def test_small_slices_are_padded_by_channel_minimum_and_ignore():
  study = _study(0, (2, 10, 40))
  study.image[1] -= 5000  # the padding is of the slice, not of the study
  source = PatchSource([study], SIZE, STRIDE)
  assert [place[:3] for place in source.places] == [
    (0, n, 0) for n in (0, 0, 0, 1, 1, 1)
  ]
  for index, (_, n, _, column) in enumerate(source.places):
    patch = source[index]
    part = np.s_[n, :, column : column + SIZE]
    np.testing.assert_array_equal(patch["images"][:10], study.image[part])
    np.testing.assert_array_equal(patch["labels"][:10], study.mask[part])
    assert np.all(patch["labels"][10:] == IGNORE)
    lowest = study.image[n].min(axis=(0, 1))
    assert np.all(patch["images"][10:] == lowest)
