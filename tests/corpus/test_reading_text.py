"""Readers of tables, names and JSON: a right result or words."""

import itertools
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from corpus.readers import bounded, or_refused, written
from corpus.world import DSEG
from lumbar_jax import runs
from lumbar_jax.anatomy import SCHEMES, read_dseg_tsv
from lumbar_jax.data import cache
from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.evaluation.labelling import read_thresholds
from lumbar_jax.formats.tables import read_table
from lumbar_jax.inference.inputs import find_inputs

_SCHEME = SCHEMES["spider"]

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
