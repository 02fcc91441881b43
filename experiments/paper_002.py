"""Tables 1 to 3 and Figures 18 and 19 of paper 002, for your own data.

  python experiments/paper_002.py --workdir=runs/review [--pictures] [--memory]

Of a study's folder (configs/review_study.py) or a run's (configs/review.py):
prints each network's Dice, mIoU, FN rate, FP rate and recall, and its Dice by
class, by two rules (pooled, and slice by slice as the paper seems to have
done), beside the paper's values; and what each network costs at the size it was
trained at. Writes tables/table1 and table2 (.csv, .tex), table3.csv and
figures/figure19.png (curves). Needs nothing but what evaluation counted;
--pictures draws figures/figure18.png too, and needs the data. --memory compiles
each network, for its peak of memory.
"""

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app, flags

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.reports import review_costs, review_figures, review_tables
from lumbar_jax.reports.paper_comparison import compare_table, data_lines
from lumbar_jax.reports.study_tables import PHANTOM_NOTE
from lumbar_jax.reports.style import save_png
from lumbar_jax.runs import Run, load_run

_WORKDIR = flags.DEFINE_string("workdir", None, "a study's or a run's folder")
_LABELLING = flags.DEFINE_enum(
  "labelling", "MAP", ["MAP", "TH"], "MAP (the highest score) is the paper's"
)
_PICTURES = flags.DEFINE_bool("pictures", False, "draw Figure 18 too")
_MEMORY = flags.DEFINE_bool("memory", False, "Table 3: compile, for the memory")
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


def costs(run: Run, *, memory: bool) -> None:
  """Writes and prints Table 3 of a folder's networks.

  Args:
    run: a study, or one network's run.
    memory: compile the networks, for the peak of a forward pass.
  """
  config, size = run.config, run.config.data.patch_size
  image = (size, size, len(config.data.channels))
  names = (config.model.name,)
  if config.mode == "study":
    names = tuple(config.study.networks)
  classes, width = run.scheme.num_classes, config.model.width
  print(
    f"Table 3: {size} x {size} x {image[2]}, {classes} classes, width {width} "
    "(printed: 880 x 880 x 1, 20, 64)\n"
  )
  nets = ((n, models.build(n, classes, size, width=width)) for n in names)
  show = functools.partial(print, flush=True)
  found = review_costs.count_all(nets, image, show, memory=memory)
  review_costs.write_table3(run.folder / "tables" / "table3.csv", found)


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
    costs(run, memory=_MEMORY.value)
    print(f"\nWritten: {run.folder / 'tables'}/table1.*, table2.*, table3.csv")
    for path in figures(run, pictures=_PICTURES.value):
      print(f"Written: {path}")
  except InputError as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flag_as_required("workdir")
  app.run(main)
