"""Readers of files: whatever the bytes, a right result or words."""

import gzip
import itertools
import json
import tempfile
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.world import DSEG, affine_of, image_of, picture
from lumbar_jax import runs
from lumbar_jax.anatomy import SCHEMES, read_dseg_tsv
from lumbar_jax.data import cache
from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.data.volumes import read_volume, write_volume
from lumbar_jax.errors import InputError
from lumbar_jax.evaluation.labelling import read_thresholds
from lumbar_jax.formats.tables import read_table
from lumbar_jax.inference.inputs import find_inputs

_DEADLINE_MS = 5000  # longer is a hang
_SCHEME = SCHEMES["spider"]
_SEEDS = st.integers(0, 2**32 - 1)


def bounded(num_examples):
  """Returns the settings of a test that always draws the same examples."""
  return settings(
    max_examples=num_examples,
    derandomize=True,
    database=None,
    deadline=_DEADLINE_MS,
    suppress_health_check=list(HealthCheck),
  )


def written(name, content):
  """Returns a file in a folder that lives as long as the result is held."""
  folder = tempfile.TemporaryDirectory(prefix="corpus_readers_")
  path = Path(folder.name) / name
  path.write_bytes(content)
  return path, folder


def or_refused(function, *args):
  """Returns the result, or None where it is refused in words."""
  try:
    return function(*args)
  except InputError:
    return None


# ------------------------------------------------------------------- volumes


def _rotation(rng) -> np.ndarray:
  """Returns any rotation or reflection [3 3]."""
  matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
  return matrix * np.sign(np.diag(upper))


@bounded(60)
@given(
  st.tuples(*[st.integers(1, 6)] * 3),
  st.sampled_from(["i2", "u1", "f4", "f8", "i4", "u2"]),
  st.booleans(),
  _SEEDS,
)
def test_any_grid_is_read_as_nibabel_does(shape, dtype, packed, seed):
  rng = np.random.default_rng(seed)
  affine = np.eye(4)
  affine[:3, :3] = _rotation(rng) * rng.uniform(0.5, 5, 3)
  affine[:3, 3] = rng.uniform(-200, 200, 3)
  array = rng.integers(0, 200, shape).astype(dtype)
  image = image_of(array, affine)
  content = image.to_bytes()
  name = f"x.nii{'.gz' * packed}"
  path, folder = written(name, gzip.compress(content, 1) if packed else content)
  volume = read_volume(path)
  transform = nib.orientations.ornt_transform(
    nib.orientations.io_orientation(affine),
    nib.orientations.axcodes2ornt("RIP"),
  )
  wanted = image.as_reoriented(transform)
  np.testing.assert_array_equal(volume.array, np.asarray(wanted.dataobj))
  np.testing.assert_allclose(volume.affine, wanted.affine, atol=1e-3)
  out = Path(folder.name) / "out.nii.gz"
  write_volume(out, volume.array.astype(dtype), volume)
  back = nib.load(out)
  np.testing.assert_array_equal(np.asarray(back.dataobj), array)
  np.testing.assert_allclose(back.affine, affine, atol=1e-3)


def _good_bytes() -> bytes:
  return image_of(picture(1, (3, 12, 10)), affine_of()).to_bytes()


@bounded(60)
@given(st.floats(0, 1), st.booleans())
def test_files_cut_short_are_refused(share, packed):
  content = _good_bytes()
  content = gzip.compress(content) if packed else content
  length = min(int(share * len(content)), len(content) - 1)
  name = f"x.nii{'.gz' * packed}"
  path, _folder = written(name, content[:length])
  assert or_refused(read_volume, path) is None


def _peak_of(function, path) -> tuple[object, int]:
  """Returns (result, most bytes that were allocated)."""
  tracemalloc.start()
  try:
    return or_refused(function, path), tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()


@bounded(150)
@given(
  st.lists(
    st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=9
  ),
  st.booleans(),
)
def test_headers_of_any_bytes_are_read_or_refused(changes, packed):
  content = bytearray(_good_bytes())
  for place, value in changes:
    content[place] = value
  name = f"x.nii{'.gz' * packed}"
  raw = gzip.compress(content) if packed else bytes(content)
  path, _folder = written(name, raw)
  volume, peak = _peak_of(read_volume, path)
  assert peak < 30 * len(content) + 2**20
  if volume is not None:
    assert np.isfinite(volume.array).all()
    assert np.isfinite(volume.affine).all()
    assert volume.array.size <= len(content)


@bounded(60)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1,
                max_size=5))  # fmt: skip
def test_flipped_packed_files_are_the_same_or_refused(flips):
  content = bytearray(gzip.compress(_good_bytes(), mtime=0))
  for share, mask in flips:
    content[int(share * (len(content) - 1))] ^= mask
  path, _folder = written("x.nii.gz", bytes(content))
  volume, peak = _peak_of(read_volume, path)
  assert peak < 30 * len(_good_bytes()) + 2**20
  if volume is not None:  # only gzip's own head was hit
    good, _other = written("x.nii", _good_bytes())
    np.testing.assert_array_equal(volume.array, read_volume(good).array)


@bounded(40)
@given(st.binary(max_size=700), st.sampled_from(["x.nii", "x.nii.gz", "x.hdr"]))
def test_any_bytes_are_refused_as_a_volume(content, name):
  path, _folder = written(name, content)
  assert or_refused(read_volume, path) is None


# -------------------------------------------------------------------- tables

_CELLS = st.text(
  st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp"),
                exclude_characters='"'),
  min_size=1,
  max_size=8,
)  # fmt: skip


@bounded(80)
@given(
  st.integers(2, 4).flatmap(
    lambda n: st.lists(
      st.lists(_CELLS, min_size=n, max_size=n), min_size=1, max_size=5
    )
  ),
  st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
  st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_tables_are_read_as_they_were_written(rows, encoding, newline):
  header = [f"column{i}" for i in range(len(rows[0]))]
  text = newline.join("\t".join(row) for row in [header, *rows]) + newline
  path, _folder = written("x.tsv", text.encode(encoding))
  table = read_table(path)
  assert list(table.header) == header
  assert [list(row.values()) for _, row in table.rows] == rows
  assert [n for n, _ in table.rows] == list(range(2, len(rows) + 2))


@bounded(120)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_any_bytes_are_a_table_or_refused(content):
  raw = content if isinstance(content, bytes) else content.encode()
  path, _folder = written("x.tsv", raw)
  table = or_refused(read_table, path)
  if table is not None:
    assert all(set(row) == set(table.header) for _, row in table.rows)


_LINES = st.lists(
  st.one_of(
    st.builds("{}\t{}\t{}".format, st.integers(-2, 300), _CELLS, _CELLS),
    st.text(max_size=20),
    st.sampled_from(["1\tVertebra", "2\tDisc\tred", "3", "", "2\tdisc"]),
  ),
  max_size=5,
)


@bounded(100)
@given(_LINES, st.sampled_from(["index\tname\tcolor", "Index;Name", "x"]))
def test_any_dseg_tsv_is_a_scheme_or_refused(lines, header):
  text = "\n".join([header, "0\tBackground", *lines])
  path, _folder = written("dseg.tsv", text.encode())
  scheme = or_refused(read_dseg_tsv, path)
  if scheme is not None:
    folded = [name.casefold() for name in scheme.names]
    assert len(set(folded)) == len(folded) == scheme.num_classes
    assert len(set(scheme.indices)) == scheme.num_classes
    assert scheme.indices[0] == 0
    assert scheme.colors.shape == (scheme.num_classes, 3)


def test_the_good_dseg_tsv_is_a_scheme():
  path, _folder = written("dseg.tsv", DSEG.encode())
  assert read_dseg_tsv(path).names == _SCHEME.names


# --------------------------------------------------------------------- names

_STEMS = st.one_of(
  st.text("ab1_-. []%é<", min_size=1, max_size=8),
  st.sampled_from(["p1_T2w", "p1_T1w", "mask_1", "p1_T2w_seg", "sub-1_T2w"]),
)
_ENDINGS = st.sampled_from(
  [".nii", ".nii.gz", ".NII.GZ", ".Nii", "_T2w.nii.gz", ".mha", ".txt"]
)


@bounded(60)
@given(st.lists(st.builds("{}{}".format, _STEMS, _ENDINGS), min_size=1,
                max_size=6, unique_by=str.casefold))  # fmt: skip
def test_no_image_vanishes(names):
  _path, folder = written("good_T2w.nii.gz", b"x")
  place = Path(folder.name)
  for name in names:
    (place / name).write_bytes(b"x")
  found = find_inputs(place, ("T2w",))
  taken = {p.name for study in found.studies for p in study.images.values()}
  told = " ".join(map(str, found.findings))
  for path in place.iterdir():
    if path.name.casefold().endswith((".nii", ".nii.gz")):
      assert path.name in taken or path.name in told, (taken, told)


# ---------------------------------------------------------------------- JSON

_JSON = st.recursive(
  st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)
  ),
  lambda inner: st.one_of(
    st.lists(inner, max_size=3),
    st.dictionaries(st.text(max_size=5), inner, max_size=3),
  ),
  max_leaves=6,
)
_CLASSES = dict(zip(_SCHEME.names, itertools.repeat(0.5), strict=False))
_FILES = st.one_of(
  st.binary(max_size=40),
  _JSON.map(json.dumps).map(str.encode),
  st.dictionaries(
    st.sampled_from(["scheme", "classes", "thresholds", "model", "folds"]),
    st.one_of(_JSON, st.just(list(_SCHEME.names)), st.just(_CLASSES)),
  ).map(lambda value: json.dumps(value).encode()),
)


@bounded(150)
@given(_FILES)
def test_any_thresholds_are_read_or_refused(content):
  path, _folder = written("thresholds.json", content)
  limits = or_refused(lambda: read_thresholds(path, _SCHEME))
  if limits is not None:
    assert limits.shape == (_SCHEME.num_classes,)
    assert ((limits >= 0) & (limits <= 1)).all()


@bounded(100)
@given(_FILES)
def test_any_config_and_splits_are_read_or_refused(content):
  path, folder = written("config.json", content)
  path.with_name("dseg.tsv").write_text(DSEG)
  assert or_refused(runs.load_run, folder.name) is None or b"{" in content
  or_refused(read_splits, path)


@bounded(60)
@given(_FILES)
def test_any_entry_of_a_cache_is_read_or_made_again(content):
  _path, folder = written("info.json", content)
  assert cache.read(Path(folder.name)) is None
