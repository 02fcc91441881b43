"""Confusion counts of an evaluation, kept in a file."""

import types

import numpy as np
import pytest

from lumbar_jax.anatomy import SPIDER, Scheme, Structure
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation import results as results_lib
from lumbar_jax.evaluation.results import (
  Results,
  Row,
  load_counts,
  make_row,
  save_counts,
)


def make_results():
  rng = np.random.default_rng(0)
  return Results(
    SPIDER,
    [
      make_row(
        (fold, kind),
        types.SimpleNamespace(name=f"s{study}", patient=f"p{study}"),
        rng.integers(0, 9, (2 + study, 4, 4)),
      )
      for study in range(2)
      for fold in ("0", "1", "averaged")
      for kind in ("MAP", "TH")
    ],
  )


def test_what_is_reported():
  results = make_results()
  assert results.folds == ["0", "1"]
  assert results.labellings == ["MAP", "TH"]
  assert results.reported_folds == ["0", "1", "mean", "averaged"]
  mean = results.select("mean", "TH")
  assert {(row.fold, row.study) for row in mean} == {
    *(("0", "s0"), ("1", "s0"), ("0", "s1"), ("1", "s1"))
  }
  assert {row.labelling for row in mean} == {"TH"}
  assert {r.fold for r in results.select("averaged", "MAP")} == {"averaged"}


def test_averaged_alone_has_no_mean():
  results = make_results()
  results.rows = results.select("averaged", "MAP")
  assert results.reported_folds == ["averaged"]


@pytest.mark.parametrize("num_rows", [0, 12])
def test_counts_file_round_trip(tmp_path, num_rows):
  results = make_results()
  results.rows = results.rows[:num_rows]
  path = tmp_path / "evaluation" / "counts.npz"
  results_lib.save_counts(path, results)
  found = results_lib.load_counts(path)
  assert found.scheme.names == SPIDER.names
  assert found.scheme.name == SPIDER.name
  np.testing.assert_array_equal(found.scheme.colors, SPIDER.colors)
  assert len(found.rows) == num_rows
  for one, other in zip(found.rows, results.rows, strict=True):
    assert (one.fold, one.labelling) == (other.fold, other.labelling)
    assert (one.study, one.patient) == (other.study, other.patient)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.slices, other.slices)
    assert one.slices.shape == (2 + int(one.study[1]), 4, 3)
    np.testing.assert_array_equal(one.slices[..., 1].sum(0), one.counts.sum(1))
    np.testing.assert_array_equal(one.slices[..., 2].sum(0), one.counts.sum(0))
    np.testing.assert_array_equal(
      one.slices[..., 0].sum(0), np.diag(one.counts)
    )
  assert [p.name for p in path.parent.iterdir()] == ["counts.npz"]


def test_a_file_of_an_older_version_has_no_slices(tmp_path):
  results, path = make_results(), tmp_path / "counts.npz"
  results_lib.save_counts(path, results)
  with np.load(path) as file:
    old = {n: file[n] for n in file.files if "slices" not in n}
  np.savez(path, **old)
  found = results_lib.load_counts(path)
  assert [row.slices for row in found.rows] == [None] * len(results.rows)
  results_lib.save_counts(path, found)
  assert [r.slices for r in results_lib.load_counts(path).rows] == [None] * 12


def test_missing_counts_name_the_file(tmp_path):
  with pytest.raises(InputError, match=r"counts\.npz"):
    results_lib.load_counts(tmp_path / "counts.npz")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damaged_counts_are_named(tmp_path, damage):
  path = tmp_path / "counts.npz"
  scheme = Scheme("s", (Structure("A", "#000000"), Structure("B", "#ffffff")))
  counts = np.arange(4).reshape(2, 2)
  save_counts(path, Results(scheme, [Row("0", "TH", "s", "p", counts)]))
  whole = bytearray(path.read_bytes())
  middle = len(whole) // 2
  whole[middle : middle + 64] = bytes(255 - b for b in whole[middle:][:64])
  path.write_bytes(
    {"cut": whole[:middle], "flipped": whole, "empty": b"", "text": b"a,b"}[
      damage
    ]
  )
  with pytest.raises(InputError, match=r"counts\.npz: damaged counts"):
    load_counts(path)
