r"""Text from files and users, made harmless for where it is written.

Names of patients, studies, classes and models come from files that others made.
Whoever writes them into a table, a LaTeX file or a picture calls this module;
pages escape by themselves (`reports/page.py`).
"""

import re
import unicodedata

# Spreadsheets take a cell that begins so for a formula and run it (OWASP, "CSV
# injection"). Apostrophes before it are ours: the escape can be undone.
_FORMULA = re.compile(r"['\s]*[=+\-@\uff0b\uff0d\uff1d\uff20]")
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
  "\\": r"\textbackslash{}",
  "~": r"\textasciitilde{}",
  "^": r"\textasciicircum{}",
  "<": r"\textless{}",
  ">": r"\textgreater{}",
  "|": r"\textbar{}",
  '"': r"\textquotedbl{}",
  # At the start of a line they would be arguments of the \\ before it.
  "[": "{[}",
  "*": "{*}",
}


def one_line(text: str) -> str:
  r"""Returns text as one printable line.

  Tabs, newlines and other control characters become spaces, and a byte of a
  file's name that is not UTF-8 becomes visible ("\udce4"), since no file and
  no font can hold it.
  """
  if text.isascii() and text.isprintable():
    return text
  whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
  shown = (" " if unicodedata.category(c)[0] in "CZ" else c for c in whole)
  return " ".join("".join(shown).split())


def cell(value: object) -> object:
  """Returns a table's cell: text as one line that is no formula.

  Numbers stay numbers, also those below 0. `uncell` takes the apostrophe away
  again.
  """
  if not isinstance(value, str):
    return value
  text = one_line(value)
  return f"'{text}" if _FORMULA.match(text) else text


def uncell(text: str) -> str:
  """Returns a cell without the apostrophe that `cell` put before a formula."""
  rest = text.removeprefix("'")
  return rest if rest != text and _FORMULA.match(rest) else text


def latex(text: str) -> str:
  """Returns text in which LaTeX's special characters stand for themselves."""
  return "".join(_LATEX.get(c, c) for c in one_line(text))
