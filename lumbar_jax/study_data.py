"""What all runs of a study share: the division of the patients, the data."""

from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import copy_file, read_json, write_json
from lumbar_jax.runs import Run


def share_data(root: Run, run: Run) -> None:
  """Gives a run the study's division of the patients and record of the data.

  Raises:
    InputError: it has others.
  """
  for name in ("splits.json", "environment.json"):
    if not (run.folder / name).is_file():
      copy_file(root.folder / name, run.folder / name)
  ours, _ = read_splits(root.folder / "splits.json")
  theirs, _ = read_splits(run.folder / "splits.json")
  if (ours.test, ours.folds) != (theirs.test, theirs.folds):
    raise InputError(
      "this run divides the patients otherwise than its study",
      "delete it, so that it is trained on the study's division",
      path=run.folder,
    )
  path = run.folder / "environment.json"
  ours, theirs = (
    read_json(place, ["studies"])
    for place in (root.folder / "environment.json", path)
  )
  if ours["studies"] != theirs["studies"]:
    raise InputError(
      "this run was trained on other data than its study's",
      "delete it, so that it is trained anew",
      path=run.folder,
    )
  if not ours.keys() <= theirs.keys():  # an older version's
    write_json(path, {**ours, **theirs})
