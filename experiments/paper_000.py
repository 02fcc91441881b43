"""A study's tables beside paper 000's.

  python experiments/paper_000.py --workdir=runs/study

Prints Tables 6, 7 and 8 as far as the study wrote them (`tables/tableN.csv`):
our value, the paper's and the difference for each model, labelling and class
that both have. Says first which data ours are of; costs nothing.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app, flags

from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.reports.paper_000 import TABLES
from lumbar_jax.reports.paper_comparison import compare_table, data_lines
from lumbar_jax.reports.paper_tables import read_paper_table

_WORKDIR = flags.DEFINE_string("workdir", None, "a study's folder")


def report(folder: Path) -> str:
  """Returns the text for a study's folder.

  Raises:
    InputError: no study, or one without tables.
  """
  path = folder / "study.json"
  try:
    data = read_json(path)["data"]
  except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
    raise InputError(
      f"not a study's folder ({type(error).__name__}: {error})",
      "give the --workdir of a --mode=study",
      path=path,
    ) from error
  paths = {n: folder / "tables" / f"table{n}.csv" for n in TABLES}
  texts = [
    compare_table(number, read_paper_table(path))
    for number, path in paths.items()
    if path.is_file()
  ]
  if not texts:
    raise InputError(
      "no table6.csv, table7.csv or table8.csv",
      "run --mode=study to its end",
      path=folder / "tables",
    )
  return "\n".join([data_lines(data), "", *texts])


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  try:
    print(report(Path(_WORKDIR.value)))
  except InputError as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flag_as_required("workdir")
  app.run(main)
