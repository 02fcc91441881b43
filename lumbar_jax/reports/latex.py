r"""Tables of models as LaTeX, for `\usepackage{booktabs}`.

The functions take the tidy rows of `paper_tables` and return a `tabular`.
Percent with one decimal, best of a row bold, as paper 000's Tables 6 to 8.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lumbar_jax.escaping import latex as escape
from lumbar_jax.evaluation.tables import MEAN_ROWS

_MEAN_NAMES = dict(
  zip(MEAN_ROWS, ("IoU without Bg.", "IoU with Bg."), strict=True)
)
_METRIC_NAMES = {"f1": "F1 score", "precision": "Precision", "recall": "Recall"}
_ABSENT = "--"
_MEMBERS_A_BLOCK = 6  # of Table 8: more do not fit a page

# (model, labelling, metric), and {class: row} of each
_Columns = Mapping[tuple[str, str, str], Mapping[str, Mapping[str, Any]]]


def percent(value: float, std: float = math.nan) -> str:
  r"""Returns "75.3\%", or "75.3\% $\pm$ 0.2" with a spread; "--" for NaN."""
  if math.isnan(value):
    return _ABSENT
  spread = "" if math.isnan(std) else rf" $\pm$ {100 * std:.1f}"
  return rf"{100 * value:.1f}\%{spread}"


def impact(value: float) -> str:
  """Returns a difference of IoU in thousandths, "-" if it rounds to 0."""
  if math.isnan(value):
    return _ABSENT
  text = f"{value:.3f}"
  return "-" if float(text) == 0 else f"${text}$"


def iou_table(rows: Sequence[Mapping], spread: bool, note: str) -> str:
  """Returns Table 6: a column for each model and labelling."""
  columns = _columns(rows)
  header = [
    ["", "", *(escape(model) for model, _, _ in columns)],
    [r"\#", "Class", *(escape(labelling) for _, labelling, _ in columns)],
  ]
  body = _body(rows, lambda name: _best_bold(columns, name, spread))
  lines = [*map(_line, header), r"\midrule", *body]
  return _tabular(lines, len(columns), note)


def f1_table(rows: Sequence[Mapping], spread: bool, note: str) -> str:
  """Returns Table 7: the models' columns under F1, precision and recall."""
  columns = _columns(rows)
  metrics = list(dict.fromkeys(metric for _, _, metric in columns))
  groups = [{k: v for k, v in columns.items() if k[2] == m} for m in metrics]
  size = len(groups[0])
  names = (_METRIC_NAMES[m] for m in metrics)
  top = ["", "", *(rf"\multicolumn{{{size}}}{{c}}{{{n}}}" for n in names)]
  rules = " ".join(
    rf"\cmidrule(lr){{{3 + i * size}-{2 + (i + 1) * size}}}"
    for i in range(len(groups))
  )
  models = [f"{escape(m)} {escape(t)}" for group in groups for m, t, _ in group]

  def cells(name: str) -> list[str]:
    return [c for group in groups for c in _best_bold(group, name, spread)]

  lines = [_line(top), rules, _line([r"\#", "Class", *models]), r"\midrule"]
  return _tabular([*lines, *_body(rows, cells)], len(columns), note)


def ablation_table(rows: Sequence[Mapping], note: str) -> str:
  """Returns Table 8: IoU and impact for each member left out, six a block."""
  columns = _columns(rows)
  models = [key[:2] for key in columns if key[2] == "impact"]
  full = next(key for key in columns if key[:2] not in models)
  width = min(len(models), _MEMBERS_A_BLOCK)
  title = f"Impact on {escape(full[0])} {escape(full[1])} of leaving out"
  lines = [_line(["", "", rf"\multicolumn{{{2 * width}}}{{c}}{{{title}}}"])]
  for start in range(0, len(models), width):
    block = models[start : start + width]
    empty = [""] * (2 * (width - len(block)))
    names = (escape(m.removeprefix("without ")) for m, _ in block)
    top = [rf"\multicolumn{{2}}{{c}}{{{name}}}" for name in names]
    kinds = ["IoU", "Impact"] * len(block)

    def cells(name: str, block=block, empty=empty) -> list[str]:
      found = []
      for model in block:
        found.append(percent(columns[(*model, "iou")][name]["value"]))
        found.append(impact(columns[(*model, "impact")][name]["value"]))
      return found + empty

    lines += [r"\midrule", _line(["", "", *top, *empty])]
    lines += [_line([r"\#", "Class", *kinds, *empty]), r"\midrule"]
    lines += _body(rows, cells)
  return _tabular(lines, 2 * width, note)


def networks_table(
  rows: Sequence[Mapping],
  titles: Mapping[str, str],
  lowest: Collection[str],
  note: str,
) -> str:
  """Returns a line a network, percent with two decimals, as in paper 002.

  Args:
    rows: with "model", "rule" and shares under the keys of `titles`; the lines
      of each rule stand together, the best of each column bold.
    titles: {column: its head}.
    lowest: columns whose smallest number is the best.
    note: a last line.
  """
  lines = [_line(["Method", "Rule", *map(escape, titles.values())])]
  for rule in dict.fromkeys(row["rule"] for row in rows):
    block = [row for row in rows if row["rule"] == rule]
    best = {
      name: _best([row[name] for row in block], name in lowest)
      for name in titles
    }
    lines.append(r"\midrule")
    for row in block:
      shown = {name: _hundredths(row[name]) for name in titles}
      cells = [
        rf"\textbf{{{text}}}" if text == best[name] else text
        for name, text in shown.items()
      ]
      lines.append(_line([escape(row["model"]), escape(rule), *cells]))
  return _tabular(lines, len(titles), note, "ll")


def _hundredths(value: float) -> str:
  return _ABSENT if math.isnan(value) else f"{100 * value:.2f}"


def _best(values: Sequence[float], lowest: bool) -> str | None:
  """Returns how the best of several values is shown, None without a choice."""
  known = [value for value in values if not math.isnan(value)]
  if len(values) < 2 or not known:
    return None
  return _hundredths(min(known) if lowest else max(known))


def _columns(rows: Sequence[Mapping]) -> _Columns:
  columns = {}
  for row in rows:
    key = (row["model"], row["labelling"], row["metric"])
    columns.setdefault(key, {})[row["class"]] = row
  return columns


def _best_bold(columns: _Columns, name: str, spread: bool) -> list[str]:
  """Returns a class's cells; all that show the highest number are bold."""
  found = [column[name] for column in columns.values()]
  shown = [percent(row["value"]) for row in found]
  known = [row["value"] for row in found if not math.isnan(row["value"])]
  best = percent(max(known)) if len(shown) > 1 and known else None
  cells = []
  for row, text in zip(found, shown, strict=True):
    cell = percent(row["value"], row["std"]) if spread else text
    cells.append(rf"\textbf{{{cell}}}" if text == best else cell)
  return cells


def _body(rows: Sequence[Mapping], cells) -> list[str]:
  """Returns a line a class, then the means, with `cells(class name)`."""
  lines, names = [], dict.fromkeys(row["class"] for row in rows)
  for number, name in enumerate(names):
    if name == MEAN_ROWS[0]:
      lines.append(r"\midrule")
    first = [str(number), escape(name)]
    if name in _MEAN_NAMES:
      metric = rows[0]["metric"]
      words = _MEAN_NAMES[name]
      words = words if metric == "iou" else words.replace("IoU", "Mean")
      first = [rf"\multicolumn{{2}}{{l}}{{{words}}}"]
    lines.append(_line([*first, *cells(name)]))
  return lines


def _line(cells: Sequence[str]) -> str:
  return " & ".join(cells) + r" \\"


def _tabular(
  lines: Sequence[str], num_columns: int, note: str, first: str = "rl"
) -> str:
  """Returns the finished environment, the note as its last line."""
  last = [rf"\multicolumn{{{num_columns + 2}}}{{l}}{{{escape(note)}}} \\"]
  return "\n".join(
    [
      r"% needs \usepackage{booktabs}",
      rf"\begin{{tabular}}{{{first}{'r' * num_columns}}}",
      r"\toprule",
      *lines,
      r"\bottomrule",
      *(last if note else []),
      r"\end{tabular}",
      "",
    ]
  )
