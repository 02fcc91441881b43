"""What files say stays text, wherever it is written."""

import csv
import io
import warnings

import pytest
from matplotlib.figure import Figure

from lumbar_jax.escaping import cell, latex, one_line, uncell

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\uff1d1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_and_none_is_changed_for_good(text):
  assert cell(text) == f"'{text}"
  assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["'=1", "''-2", "'plain", "a-b", "", "'"])
def test_the_apostrophe_can_be_undone_whatever_was_there(text):
  assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["\t=1", "\r\n-1", "\x00@x", "\u200b+1"])
def test_what_is_hidden_before_a_formula_hides_nothing(text):
  assert cell(text).startswith("'")


@pytest.mark.parametrize("number", [-0.5, -3, float("-inf")])
def test_numbers_below_0_stay_numbers(number):
  assert cell(number) is number


def test_cells_hold_no_tab_and_no_line():
  text = cell("sub-1\tT2w\r\nnext\u2028line\x1b[31m")
  assert text == "sub-1 T2w next line [31m"
  file = io.StringIO()
  csv.writer(file, delimiter="\t").writerow([text, "b"])
  assert len(file.getvalue().splitlines()) == 1


def test_bytes_that_are_no_text_become_visible():
  name = b"sub-\xe4_T2w".decode("utf-8", "surrogateescape")
  assert one_line(name) == r"sub-\udce4_T2w"
  one_line(name).encode("utf-8")


def test_ordinary_names_stay_as_they_are():
  for name in ("sub-001_ses-01", "L5/S1", "Müller", "脊椎", "a  b"):
    assert one_line(name) == cell(name) == name


def test_latex_specials_stand_for_themselves():
  assert latex("a_b & 50% #1 $x$ {y}") == r"a\_b \& 50\% \#1 \$x\$ \{y\}"
  assert latex("~^\\") == (
    r"\textasciitilde{}\textasciicircum{}\textbackslash{}"
  )
  assert latex("[1] *2\n<3>") == r"{[}1] {*}2 \textless{}3\textgreater{}"


ODD = "a $x$ $\\frac{ 50% \\alpha <b>\ud83d\ude00\udce4\x07 _ ^"


def test_titles_of_any_text_can_be_drawn():
  from lumbar_jax.reports.style import style, to_png

  with style():
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(one_line(ODD))
    axes.set_xticks([0], [one_line(ODD)])
    text = axes.text(0, 0, "$x^2$")
  assert text.get_parse_math() is False
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the font lacks a glyph
    assert to_png(figure)
