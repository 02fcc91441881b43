"""Tables 1 and 2 and Figures 18 and 19 of paper 002, for your own data.

  python experiments/paper_002.py --workdir=runs/review [--pictures]

Of a study's folder (configs/review_study.py) or a run's (configs/review.py):
prints each network's Dice, mIoU, FN rate, FP rate and recall, and its Dice by
class, by two rules (pooled, and slice by slice as the paper seems to have
done), beside the paper's values; writes tables/table1 and table2 (.csv, .tex)
and figures/figure19.png (curves). Needs nothing but what evaluation counted;
--pictures draws figures/figure18.png too, and needs the data.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import app, flags

from lumbar_jax.errors import InputError
from lumbar_jax.reports import review_figures, review_tables
from lumbar_jax.reports.paper_comparison import compare_table, data_lines
from lumbar_jax.reports.study_tables import PHANTOM_NOTE
from lumbar_jax.reports.style import save_png
from lumbar_jax.runs import Run, load_run

_WORKDIR = flags.DEFINE_string("workdir", None, "a study's or a run's folder")
_LABELLING = flags.DEFINE_enum(
  "labelling", "MAP", ["MAP", "TH"], "MAP (the highest score) is the paper's"
)
_PICTURES = flags.DEFINE_bool("pictures", False, "draw Figure 18 too")
_THEIRS = (
  "MRSpineSeg: 200\npatients, 40 of them validated on, T2w slices of 880 x 880."
)
_RULES = """\
Rules: pooled counts the pixels of all studies together; by slice averages
slices, and a class that is absent from both counts 1. So, it seems, did the
paper, whose values stand beside both."""


def tables(run: Run, labelling: str) -> str:
  """Writes Tables 1 and 2 of a folder and returns them as text.

  Raises:
    InputError: nothing is evaluated there.
  """
  names, folder = run.scheme.names, run.folder / "tables"
  scores = review_tables.scores_of(review_tables.load_models(run), labelling)
  note = PHANTOM_NOTE if run.config.data.source == "phantom" else ""
  review_tables.write_table1(folder, scores, note)
  review_tables.write_table2(folder, scores, names, note)
  data = run.config.data
  texts = [
    data_lines({n: data[n] for n in ("source", "root", "manifest")}, _THEIRS),
    *("", _RULES, ""),
  ]
  for number in (1, 2):
    rows = review_tables.comparable(number, scores, names)
    texts.append(compare_table(number, *rows))
  return "\n".join(texts)


def figures(run: Run, *, pictures: bool) -> list[Path]:
  """Writes Figure 19, and 18 if asked for; returns the files.

  Raises:
    InputError: Figure 18 of what is no study, or of data that are not there.
  """
  drawn = {}
  histories = review_figures.load_histories(run)
  if histories:
    drawn["figure19"] = review_figures.draw_figure19(histories, run.scheme)
  if pictures:
    from lumbar_jax import study

    if run.config.mode != "study":
      raise InputError(
        "only a study keeps the label maps of Figure 18",
        "leave out --pictures, or run configs/review_study.py",
        path=run.folder,
      )
    found = study.gather(study.open_study(run.folder, run.config))
    drawn["figure18"] = review_figures.draw_figure18(found)
  paths = []
  for name, figure in drawn.items():
    if figure is not None:
      paths.append(run.folder / "figures" / f"{name}.png")
      save_png(paths[-1], figure)
  return paths


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  try:
    run = load_run(_WORKDIR.value)
    print(tables(run, _LABELLING.value))
    print(f"Written: {run.folder / 'tables'}/table1.*, table2.*")
    for path in figures(run, pictures=_PICTURES.value):
      print(f"Written: {path}")
  except InputError as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flag_as_required("workdir")
  app.run(main)
