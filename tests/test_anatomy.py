"""Label schemes: paper's classes, mapping by name, dseg.tsv."""

import numpy as np
import pytest

from lumbar_jax import anatomy
from lumbar_jax.anatomy import (
  IGNORE,
  MIDAS12,
  MRSPINESEG,
  PHANTOM,
  SPIDER,
  Scheme,
  Structure,
)
from lumbar_jax.errors import InputError

# Paper 000, Table 6.
TABLE_6 = (
  *("Background", "Vert", "Sacrum", "Int-Disc", "Spinal-Cavity", "SCT"),
  *("Epi-Fat", "IM-Fat", "Rper-Fat", "Nerve-Root", "Blood-Vessels", "Muscle"),
)


def test_midas12_is_table_6_in_order():
  assert MIDAS12.names == TABLE_6
  assert MIDAS12.indices == tuple(range(12))
  assert MIDAS12.num_classes == 12


# The MRSpineSeg challenge's list of its label values; paper 002, Table 2.
CHALLENGE = (
  *("Background", "S", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9"),
  *("L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12"),
  *("T10/T11", "T9/T10"),
)


def test_mrspineseg_is_the_challenges_list_in_order():
  theirs = Scheme("theirs", tuple(Structure(n, "#000000") for n in CHALLENGE))
  assert MRSPINESEG.lookup(theirs) == {i: i for i in range(20)}
  assert MRSPINESEG.num_classes == 20


@pytest.mark.parametrize(
  "scheme", anatomy.SCHEMES.values(), ids=lambda s: s.name
)
def test_schemes_are_unambiguous(scheme):
  assert scheme.names[0] == "Background"
  spoken = [name for s in scheme.structures for name in (s.name, *s.includes)]
  assert len(set(spoken)) == len(spoken)
  assert len({s.color.lower() for s in scheme.structures}) == len(scheme.names)
  assert scheme.colors.shape == (scheme.num_classes, 3)
  assert IGNORE not in scheme.indices


def test_colours_are_their_hexadecimal_digits():
  assert Structure("A", "#0a80ff").rgb == (10, 128, 255)


def _by_name(scheme, source, remap=None):
  table = scheme.lookup(source, remap)
  number = dict(zip(source.indices, source.names, strict=True))
  classes = {**dict(enumerate(scheme.names)), IGNORE: "ignore"}
  return {number[n]: classes[c] for n, c in table.items()}


LEVELS = [f"L{i}" for i in range(1, 6)] + [f"T{i}" for i in range(9, 13)]
DISCS = [n for n in PHANTOM.names if "-" in n and n[0] in "LT"]
TISSUES = TABLE_6[4:]


def test_the_phantom_maps_into_mrspineseg():
  assert _by_name(MRSPINESEG, PHANTOM) == {
    **{name: name for name in (*LEVELS, *DISCS, "Sacrum")},
    **dict.fromkeys(("Background", *TISSUES), "Background"),
  }


def test_vertebrae_without_a_level_have_no_class_in_mrspineseg():
  with pytest.raises(InputError, match=r"'Vertebra' .* no counterpart"):
    MRSPINESEG.lookup(SPIDER)


def test_the_phantom_maps_into_midas12():
  assert len(DISCS) == 9
  assert _by_name(MIDAS12, PHANTOM) == {
    "Background": "Background",
    **dict.fromkeys(LEVELS, "Vert"),
    "Sacrum": "Sacrum",
    **dict.fromkeys(DISCS, "Int-Disc"),
    **{name: name for name in TISSUES},
  }


def test_the_phantom_maps_into_spider_where_told_what_spider_lacks():
  lacking = ["Sacrum", *TISSUES[1:]]
  with pytest.raises(InputError, match=r"no counterpart in scheme spider"):
    SPIDER.lookup(PHANTOM)
  remap = dict.fromkeys(lacking, "Background") | {"Sacrum": "ignore"}
  assert _by_name(SPIDER, PHANTOM, remap) == {
    "Background": "Background",
    **dict.fromkeys(LEVELS, "Vertebra"),
    **dict.fromkeys(DISCS, "Disc"),
    "Spinal-Cavity": "Canal",
    **dict.fromkeys(lacking, "Background"),
    "Sacrum": "ignore",
  }


def test_remap_goes_before_the_match_by_name():
  found = _by_name(MIDAS12, SPIDER, {"Disc": "Muscle", "Canal": "ignore"})
  assert found == {
    "Background": "Background",
    "Vertebra": "Vert",
    "Disc": "Muscle",
    "Canal": "ignore",
  }


def test_a_remap_of_an_unknown_name_is_refused():
  with pytest.raises(InputError, match=r"'Dics'.*did you mean Disc"):
    MIDAS12.lookup(SPIDER, {"Dics": "Muscle"})
  with pytest.raises(InputError, match=r"'Disc'.*no counterpart"):
    MIDAS12.lookup(SPIDER, {"Disc": "Muscles"})


def test_labels_are_mapped_by_number_and_ignore_stays():
  table = {0: 0, 5: 2, 200: IGNORE, 255: IGNORE}
  labels = np.array([[[0, 5], [200, 255]]], np.int16)
  mapped = anatomy.map_labels(labels, table, "mask.nii.gz")
  assert mapped.dtype == np.uint8
  np.testing.assert_array_equal(mapped, [[[0, 2], [IGNORE, IGNORE]]])


@pytest.mark.parametrize("bad", [7, -1, 1.5])
def test_an_unknown_number_is_refused(bad):
  labels = np.array([0, 5, bad])
  with pytest.raises(InputError, match=rf"mask\.nii.*label {bad}") as caught:
    anatomy.map_labels(labels, {0: 0, 5: 2}, "mask.nii")
  assert "0, 5" in caught.value.problem


@pytest.mark.parametrize("scheme", [MIDAS12, SPIDER, PHANTOM])
def test_dseg_tsv_round_trip(tmp_path, scheme):
  path = tmp_path / scheme.name / "dseg.tsv"
  anatomy.write_dseg_tsv(path, scheme)
  back = anatomy.read_dseg_tsv(path)
  assert back.names == scheme.names
  assert back.indices == scheme.indices
  assert [s.color for s in back.structures] == [
    s.color for s in scheme.structures
  ]
  assert path.read_text().splitlines()[0] == "index\tname\tcolor"


def test_names_of_any_text_go_through_a_dseg_tsv(tmp_path):
  names = ("Back", "=1+1", 'a"b', '"q"', "-L5", "'=1", "<script>", "a,b;c")
  scheme = anatomy.scheme_from_names("own", names, ["#102030"] * len(names))
  path = tmp_path / "own" / "dseg.tsv"
  anatomy.write_dseg_tsv(path, scheme)
  assert anatomy.read_dseg_tsv(path, recorded=True).names == names
  cells = [line.split("\t")[1] for line in path.read_text().splitlines()]
  assert not any(cell.startswith(tuple("=+-@")) for cell in cells)


def test_names_are_one_line(tmp_path):
  path = tmp_path / "dseg.tsv"
  path.write_text('index\tname\n0\tBack\n1\t"a\tb\nc"\n')
  assert anatomy.read_dseg_tsv(path).names == ("Back", "a b c")


def test_a_run_records_what_its_scheme_ignores(tmp_path):
  """So that its masks mean the same when it is opened again."""
  scheme = Scheme("own", SPIDER.structures, (0, 1, 2, 9), ignored=(7, 255))
  path = tmp_path / "own" / "dseg.tsv"
  anatomy.write_dseg_tsv(path, scheme)
  for recorded in (False, True):
    back = anatomy.read_dseg_tsv(path, recorded=recorded)
    assert back.names == scheme.names
    assert back.ignored == scheme.ignored
    assert back.lookup(back) == scheme.lookup(scheme)


def test_a_foreign_dseg_tsv(tmp_path):
  """Numbers with gaps, in any order, other columns, no colours."""
  path = tmp_path / "manual" / "dseg.tsv"
  path.parent.mkdir()
  path.write_text(
    "name\tabbreviation\tindex\n"
    "Canal\tC\t100\nBackground\tB\t0\nL4-L5\tD\t204\nVertebra\tV\t20\n"
  )
  scheme = anatomy.read_dseg_tsv(path)
  assert scheme.indices == (0, 20, 100, 204)
  assert scheme.names == ("Background", "Vertebra", "Canal", "L4-L5")
  assert len(scheme.colors) == 4
  assert SPIDER.lookup(scheme) == {0: 0, 20: 1, 100: 3, 204: 2}
  mask = np.array([204, 0, 20, 100])
  mapped = anatomy.map_labels(mask, MIDAS12.lookup(scheme), path)
  np.testing.assert_array_equal(mapped, [3, 0, 1, 4])


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("index\tlabel\n0\tBackground\n", "'name'"),
    ("name\nBackground\n", "'index'"),
    ("", "no column"),
    ("index\tname\n0\tBackground\n1.5\tDisc\n", "1.5"),
    ("index\tname\n0\tBackground\nx\tDisc\n", "'x'"),
    ("index\tname\n0\tBackground\n1\tDisc\n1\tCanal\n", "once"),
    ("index\tname\n1\tDisc\n2\tCanal\n", "0 must be the background"),
    ("index name\n0 Background\n", "tab-separated"),
    ("index\tname\n0\tBackground\n-1\tDisc\n", "row 3: index is '-1'"),
    ("index\tname\n0\tBackground\n1\n", "row 3: it has no name"),
    ("index\tname\n0\tB\n1\tDisc\n2\tdisc\n", "index 1 and index 2"),
    ("index\tname\n0\tignore\n1\tDisc\n", "0 must be the background"),
    ("index\tname\tcolor\n0\tB\tredd\n", "row 2: color is 'redd'"),
    ("index\tname\tcolor\n0\tB\t#12345\n", "#12345"),
    ("index\tname\tcolor\n0\tB\t255,0,0\n", "255,0,0"),
    ("index\tname\tName\n0\tB\tb\n", "occurs 2 times"),
  ],
)
def test_a_bad_dseg_tsv_is_refused_with_its_path(tmp_path, text, message):
  path = tmp_path / "dseg.tsv"
  path.write_text(text)
  with pytest.raises(InputError, match=message) as caught:
    anatomy.read_dseg_tsv(path)
  assert caught.value.path == path


def test_columns_colours_and_numbers_as_people_write_them(tmp_path):
  path = tmp_path / "dseg.tsv"
  path.write_text(
    "Index;NAME;Color;abbreviation\n0;Background;n/a;BG\n"
    "1.0;Disc;E6194B;D\n2;Canal;#abc;C\n3;Sacrum;red;\n"
  )
  scheme, notes = anatomy.read_dseg_table(path)
  assert scheme.names == ("Background", "Disc", "Canal", "Sacrum")
  colors = [structure.color for structure in scheme.structures]
  assert colors == ["#000000", "#e6194b", "#aabbcc", "#ff0000"]
  assert scheme.indices == (0, 1, 2, 3)
  assert "1.0" in " ".join(notes)


def test_a_row_called_ignore_is_no_class(tmp_path):
  path = tmp_path / "dseg.tsv"
  path.write_text(
    "index\tname\n0\tBackground\n9\tIgnore\n1\tDisc\n255\tignore\n"
  )
  scheme = anatomy.read_dseg_tsv(path)
  assert scheme.names == ("Background", "Disc")
  assert (scheme.indices, scheme.ignored) == ((0, 1), (9, 255))
  assert SPIDER.lookup(scheme) == {0: 0, 1: 2, 9: IGNORE, 255: IGNORE}
  path.write_text(  # by an older run, to which they were classes
    "index\tname\tcolor\n0\tBackground\t#000000\n1\tDisc\t#ff0000\n"
    "9\tIgnore\t#00ff00\n255\tignore\t#0000ff\n"
  )
  recorded = anatomy.read_dseg_tsv(path, recorded=True)
  assert recorded.names == ("Background", "Disc", "Ignore", "ignore")


def test_load_scheme(tmp_path):
  for name in ("midas12", "spider", "phantom"):
    assert anatomy.load_scheme(name).name == name
  path = tmp_path / "dseg.tsv"
  anatomy.write_dseg_tsv(path, SPIDER)
  assert anatomy.load_scheme(str(path)).names == SPIDER.names
  with pytest.raises(InputError, match=r"'midas'.*did you mean midas12"):
    anatomy.load_scheme("midas")
  with pytest.raises(InputError, match="unknown label scheme"):
    anatomy.load_scheme(str(tmp_path / "absent.tsv"))


def test_scheme_from_names():
  colors = [s.color for s in SPIDER.structures]
  back = anatomy.scheme_from_names("mine", SPIDER.names, colors)
  assert (back.name, back.names) == ("mine", SPIDER.names)
  np.testing.assert_array_equal(back.colors, SPIDER.colors)
