"""A run's report: one HTML file with everything in it.

No script, no link to another file, pictures inside: it can be mailed, opened
on a phone, printed.
"""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.evaluation.results import AVERAGED, MEAN
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.files import write_text
from lumbar_jax.reports import contents, figures, slices
from lumbar_jax.reports.contents import Facts
from lumbar_jax.runs import Run

FILM_DPI = 130
NUM_EXAMPLES = 3  # held-out studies in the picture of examples
NAMES_SHOWN = 40  # patients of a part
NUM_OVERLAYS = 8  # pictures of studies without masks
_TEMPLATES = Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True)
class Picture:
  """A picture inside the page.

  Attributes:
    source: data URI.
    alt: what it shows, for those who cannot see it.
    caption: what is seen.
    kind: "chart" (dark ink on white) or "film" (slices on black).
  """

  source: str
  alt: str
  caption: str
  kind: str = "chart"


def write_report(run: Run, studies: Sequence[PreparedStudy] = ()) -> Path:
  """Writes `report.html` of what a run has so far.

  Args:
    run: trained, half trained or new.
    studies: prepared studies with truth, for the pictures; may be empty.

  Returns:
    The file's path.

  Raises:
    InputError: a file of the run is there and cannot be used.
  """
  facts = contents.gather(run)
  page = _environment().get_template("report.html")
  path = run.folder / "report.html"
  write_text(path, page.render(_context(run, facts, studies)))
  return path


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  filters = {"score": _score, "span": _span, "plain": _plain, "names": _names}
  environment.filters |= filters
  return environment


def _score(value: float) -> str:
  """Returns "0.912", or a dash for NaN (an absent class)."""
  return "–" if np.isnan(value) else f"{value:.3f}"


def _span(row: Mapping[str, Any], name: str) -> str:
  """Returns "0.893–0.931", or nothing without an interval."""
  low, high = row[f"{name}_low"], row[f"{name}_high"]
  return "" if np.isnan(low) else f"{low:.3f}–{high:.3f}"


def _plain(value: Any) -> str:
  """Returns a config value as one would write it."""
  if isinstance(value, list | tuple):
    return ", ".join(map(_plain, value)) or "none"
  return "(empty)" if value == "" else str(value)


def _names(names: Sequence[str]) -> str:
  """Returns names with commas; of many only the first."""
  more = len(names) - NAMES_SHOWN
  shown = ", ".join(names[:NAMES_SHOWN])
  return f"{shown} and {more} more (see splits.json)" if more > 0 else shown


def _context(
  run: Run, facts: Facts, studies: Sequence[PreparedStudy]
) -> dict[str, Any]:
  """Returns everything that the template names."""
  cases, problems = contents.predicted_slices(run, facts, studies)
  return {
    "run": run,
    "facts": facts,
    "colors": {s.name: s.color for s in run.scheme.structures},
    "data_name": contents.data_name(run),
    "is_phantom": run.config.data.source == "phantom",
    "settings": contents.changed_settings(run),
    "training": _training(run, facts),
    "curves": _curves(facts),
    "headline": _headline(facts),
    "blocks": _blocks(facts),
    "means": _means(facts),
    "class_chart": _class_chart(run, facts),
    "study_rows": _study_rows(facts),
    "box_chart": _box_chart(run, facts),
    "examples": _examples(run, cases),
    "extremes": _extremes(run, cases),
    "problems": problems,
    "flags": contents.study_flags(run, facts, studies),
    "num_studies": len(facts.environment.get("studies", studies)),
    "unlabelled": _unlabelled(run, facts),
    "MEAN_ROWS": MEAN_ROWS,
  }


def _picture(image: bytes, alt: str, caption: str, kind="chart") -> Picture:
  form = "png" if image.startswith(b"\x89PNG") else "jpeg"
  code = base64.b64encode(image).decode("ascii")
  return Picture(f"data:image/{form};base64,{code}", alt, caption, kind)


def _training(run: Run, facts: Facts) -> list[dict[str, Any]]:
  """Returns how far each fold is, and its best epoch's validation scores."""
  table = []
  for fold in run.folds:
    lines = facts.histories.get(fold, [])
    best = figures.best_epoch(lines)
    chosen = lines[best] if best is not None else {}
    table.append(
      {
        "fold": fold,
        "epochs": len(lines),
        "best": None if best is None else chosen["epoch"] + 1,
        "accuracy": chosen.get("val/accuracy", np.nan),
        "iou": chosen.get("val/iou", np.nan),
      }
    )
  return table


def _curves(facts: Facts) -> Picture | None:
  if not facts.histories:
    return None
  return _picture(
    figures.to_png(figures.learning_curves(facts.histories)),
    "Line charts of loss, accuracy and mean IoU by epoch, one colour a fold.",
    "Loss, accuracy and mean foreground IoU on training (dashed) and "
    "validation patches (solid). The dot is the epoch with the best "
    "validation accuracy, whose weights are used.",
  )


def _select(rows, **wanted: str) -> list[dict[str, Any]]:
  return [r for r in rows if all(r[n] == v for n, v in wanted.items())]


def _headline(facts: Facts) -> dict[str, Any] | None:
  """Returns the row that the report opens with: paper 000's number."""
  wanted = {"fold": MEAN, "class": MEAN_ROWS[0]}
  rows = _select(facts.per_class, labelling=facts.labelling, **wanted)
  return rows[0] if rows else None


def _blocks(facts: Facts) -> list[dict[str, Any]]:
  """Returns the tables by class: {"fold", "rows": [(class, {MAP: row})]}."""
  blocks = []
  for fold in (MEAN, AVERAGED):
    rows = _select(facts.per_class, fold=fold)
    classes = {}
    for row in rows:
      classes.setdefault(row["class"], {})[row["labelling"]] = row
    if rows:
      blocks.append({"fold": fold, "rows": list(classes.items())})
  return blocks


def _means(facts: Facts) -> list[dict[str, Any]]:
  """Returns the means of every fold: {"fold", class: {labelling: row}}."""
  table = {}
  for row in facts.per_class:
    if row["class"] in MEAN_ROWS:
      line = table.setdefault(row["fold"], {"fold": row["fold"]})
      line.setdefault(row["class"], {})[row["labelling"]] = row
  return list(table.values())


def _class_chart(run: Run, facts: Facts) -> Picture | None:
  rows = _select(facts.per_class, fold=MEAN)
  if not rows:
    return None
  return _picture(
    figures.to_png(figures.class_scores(rows, run.scheme)),
    "Dot chart of IoU by class with intervals, MAP and TH.",
    "IoU by class, the fold models' mean, with 95 % bootstrap intervals over "
    "patients. The numbers are in the table below.",
  )


def _study_rows(facts: Facts) -> list[dict[str, Any]]:
  """Returns [{"study", class or mean: row}], best mean Dice first."""
  rows = _select(
    facts.per_study, fold=facts.shown_fold, labelling=facts.labelling
  )
  table = {}
  for row in rows:
    line = table.setdefault(row["study"], {"study": row["study"]})
    line[row["class"]] = row
  values = list(table.values())
  return sorted(values, key=lambda line: -line[MEAN_ROWS[0]]["dice"])


def _box_chart(run: Run, facts: Facts) -> Picture | None:
  rows = _select(
    facts.per_study, fold=facts.shown_fold, labelling=facts.labelling
  )
  if not rows:
    return None
  return _picture(
    figures.to_png(figures.study_boxes(rows, run.scheme)),
    "Box plot of each study's IoU by class.",
    f"IoU by class over the {len(facts.studies)} studies ({facts.labelling}). "
    "Box: quartiles and median; whiskers: the furthest study within 1.5 box "
    "lengths; dots: studies.",
  )


def _film(run: Run, cases, words, alt: str, caption: str) -> Picture:
  channels = run.config.data.channels
  figure = slices.draw_cases(cases, run.scheme, channels, words)
  return _picture(figures.to_png(figure, FILM_DPI), alt, caption, "film")


def _examples(
  run: Run, cases: Mapping[str, Sequence[slices.Case]]
) -> Picture | None:
  shown = [slices.telling(c) for c in list(cases.values())[:NUM_EXAMPLES]]
  if not shown:
    return None
  return _film(
    run,
    shown,
    (),
    "Slices with truth, prediction and errors: "
    + "; ".join(map(slices.title, shown)),
    f"Of the first {len(shown)} evaluated studies by name, the slice with the "
    "most classes: not chosen by score.",
  )


def _extremes(
  run: Run, cases: Mapping[str, Sequence[slices.Case]]
) -> Picture | None:
  chosen = slices.choose(list(cases.values()))
  if not chosen:
    return None
  shown = list(chosen.values())
  return _film(
    run,
    shown,
    list(chosen),
    "; ".join(f"{w}: {slices.title(c)}" for w, c in chosen.items()),
    "Chosen by mean foreground Dice among the slices with at least half the "
    "foreground of the fullest slice of their study. Errors: wrong pixels in "
    "the colour of what is there, white where nothing is there. Superior is "
    "up, anterior (A) left; the bar is 5 cm long.",
  )


def _unlabelled(run: Run, facts: Facts) -> dict[str, Any]:
  """Returns pictures of studies without masks, and the paths of the others."""
  folder = run.folder / "predictions"
  paths = {
    path.name.removesuffix("overlay.png"): path
    for path in sorted(folder.rglob("*_overlay.png"))
  }
  paths = [  # those that were scored are among the slices already
    path
    for name, path in paths.items()
    if not any(name.startswith(f"{study}_") for study in facts.studies)
  ]
  left_out = [p.relative_to(run.folder).as_posix() for p in paths]
  shown = [_overlay(path) for path in paths[:NUM_OVERLAYS]]
  return {"shown": shown, "left_out": left_out[NUM_OVERLAYS:]}


def _overlay(path: Path) -> Picture:
  """Returns a predicted study's picture, as JPEG to keep the page small."""
  name = path.name.removesuffix("_overlay.png")
  alt = f"Slices of {name} with the predicted classes over them"
  return _picture(figures.to_jpeg(path), alt, name, "film")
