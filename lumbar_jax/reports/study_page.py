"""A study's report: tables, figures, and one HTML file with all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lumbar_jax.ensembles.definitions import STACKING
from lumbar_jax.ensembles.train import stacking_settings
from lumbar_jax.evaluation.results import MEAN
from lumbar_jax.evaluation.tables import MEAN_ROWS
from lumbar_jax.files import write_json
from lumbar_jax.progress import working
from lumbar_jax.reports import (
  contents,
  ensemble_members,
  exchanges,
  page,
  pictures,
  study_record,
)
from lumbar_jax.reports import study_figures as figures
from lumbar_jax.reports import study_rows as shapes
from lumbar_jax.reports.contents import Facts
from lumbar_jax.reports.pictures import Picture
from lumbar_jax.reports.study import Found
from lumbar_jax.reports.study_tables import write_tables

Tables = Mapping[str, list[dict[str, Any]]]


@working("writing the report")
def write_study_report(found: Found) -> Path:
  """Writes `tables/`, `figures/`, `study.json` and `report.html`.

  Args:
    found: the study, every model of it evaluated.

  Returns:
    The page's path.

  Raises:
    InputError: a file of the study is there and cannot be used.
  """
  folder, facts = found.run.folder, contents.gather(found.run)
  tables = write_tables(found)
  figures.write_figures(found, tables["models"])
  write_json(folder / "study.json", study_record.record(found, facts))
  context = _context(found, facts, tables)
  return page.write(folder / "report.html", "study.html", context)


def _context(found: Found, facts: Facts, tables: Tables) -> dict[str, Any]:
  """Returns everything that the template names."""
  run = found.run
  return {
    "run": run,
    "found": found,
    "facts": facts,
    "colors": {s.name: s.color for s in run.scheme.structures},
    "data_name": contents.data_name(run),
    "is_phantom": found.is_phantom,
    "settings": contents.changed_settings(run),
    "headline": _headline(found, tables["models"]),
    "evaluated": study_record.evaluated(found),
    "held_out": study_record.is_held_out(found),
    "networks": study_record.networks(found),
    "lists": study_record.lists(found),
    "meta_learner": stacking_settings(run.config),
    "stacks": any(m in STACKING for _, m in found.methods.values()),
    "ranking": shapes.ranking(found, tables["models"]),
    "table6": shapes.by_class(tables["table6"], "iou"),
    "table7": {
      words: shapes.by_class(tables["table7"], metric)
      for metric, words in _TABLE_7
    },
    "table8": shapes.ablation(tables["table8"]) if found.ablations else None,
    "wilcoxon": shapes.tests(tables["wilcoxon"]),
    "surfaces": shapes.surfaces(found, tables["surface"]),
    "files": _files(run.folder),
    "flags": _flags(found, facts),
    "against_members": _against_members(found),
    "taken_for": _taken_for(found),
    "map_words": _map_words(found),
    "without_maps": [m for m in found.shown if not found.label_maps.get(m)],
    "MEAN_ROWS": MEAN_ROWS,
    **_pictures(found, tables["models"]),
  }


_TABLE_7 = (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall"))


def _headline(
  found: Found, models: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
  """Returns (words, row of models.csv) of the best model and the baselines."""
  rows = {
    row["model"]: row for row in models if row["labelling"] == found.labelling
  }
  best = (f"{found.best}, the best on validation data", rows[found.best])
  others = [
    (f"{name}, baseline", rows[name])
    for name in found.baselines
    if name != found.best
  ]
  return [best, *others]


def _flags(found: Found, facts: Facts) -> dict[str, list[str]]:
  """Returns {study: what was remarked}, of all studies as far as known."""
  cached = contents.study_flags(found.run, facts, ())
  return cached | contents.study_flags(found.run, facts, found.studies)


def _against_members(found: Found) -> list[dict[str, Any]]:
  """Returns each ensemble against its best member, on the same patients."""
  return ensemble_members.of_study(
    *(found.results, found.members, list(found.methods), found.labelling),
    **found.bootstrap,
  )


def _taken_for(found: Found) -> list[tuple[str, dict[str, Any]]]:
  """Returns which class is taken for which by each shown model."""
  views = [
    (m, exchanges.view(found.results[m], MEAN, found.labelling))
    for m in found.compared
  ]
  return [(model, view) for model, view in views if view is not None]


def _map_words(found: Found) -> str:
  """Returns which label maps were kept."""
  maker = "the fold model that did not see the patient"
  if study_record.is_held_out(found):
    maker = "the folds’ averaged scores"
  return f"{found.labelling} labelling of {maker}"


def _files(folder: Path) -> list[str]:
  """Returns what stands beside the page, as relative links."""
  paths = [*folder.glob("tables/*.*"), *folder.glob("figures/*.png")]
  names = sorted(p.relative_to(folder).as_posix() for p in paths)
  return [*(n for n in names if "/." not in n), "study.json"]


def _pictures(
  found: Found, models: Sequence[Mapping[str, Any]]
) -> dict[str, Picture | None]:
  """Returns Figures 7 to 9, None where there is nothing to draw of."""
  slices, sizes = figures.draw_figure7(found), None
  if found.methods:
    sizes = pictures.chart(
      lambda theme: figures.draw_figure9(found, models, theme),
      alt="Line charts of mean IoU by ensemble, a line a method.",
      caption="Mean foreground IoU of the ensembles by their number of "
      "networks, the fold models’ mean; bars: one standard deviation over the "
      "folds to each side. Level lines: single networks.",
    )
  boxes = pictures.chart(
    lambda theme: figures.draw_figure8(found, theme),
    alt="Box plots of the studies’ IoU, a panel a class and a box a model.",
    caption=f"IoU of the evaluated studies by class ({found.labelling}), the "
    "fold models averaged first. Box: quartiles and median; whiskers: the "
    "furthest study within 1.5 box lengths; dots: studies beyond. A star: "
    f"p < .05 against {found.reference}; filled where it survives Holm’s "
    "correction. Each panel has its own scale.",
  )
  shown = slices and pictures.slices_picture(
    slices,
    "Slices with truth and the segmentations of "
    + ", ".join(m for m in found.shown if found.label_maps.get(m)),
    "Of the first evaluated studies, the slice with the most classes: not "
    f"chosen by score. {_map_words(found)}. Superior is up, anterior (A) left; "
    "the bar is 5 cm long.",
  )
  return {"figure7": shown, "figure8": boxes, "figure9": sizes}
