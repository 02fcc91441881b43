"""Whether the scores of several runs can be combined."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lumbar_jax.data.splits_file import read_splits
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.runs import Run

if TYPE_CHECKING:
  from lumbar_jax.ensembles.folder import Member

# What has to be the same in all members, or their scores cannot be combined.
SHARED_FIELDS = (
  *("data.channels", "data.registration", "data.registration_bound_mm"),
  *("data.normalisation", "data.spacing_mm", "data.image_size"),
  *("data.patch_size", "data.patch_stride", "data.num_folds"),
)


def _field(run: Run, name: str) -> Any:
  value = run.config
  for part in name.split("."):
    value = value[part]
  return value


def check_members(members: Sequence["Member"]) -> None:
  """Checks that scores of the members can be combined.

  Raises:
    InputError: other classes, channels, preparation, patches or patients'
      division; it names the two members and what differs.
  """
  first = members[0]
  for other in members[1:]:
    pairs = {"classes": (first.run.scheme.names, other.run.scheme.names)}
    for name in SHARED_FIELDS:
      pairs[f"config.{name}"] = (
        _field(first.run, name),
        _field(other.run, name),
      )
    pairs["division of the patients (splits.json)"] = (
      _division(first.run),
      _division(other.run),
    )
    pairs["data (environment.json)"] = (_data(first.run), _data(other.run))
    for what, (ours, theirs) in pairs.items():
      if ours != theirs:
        raise InputError(
          f"members {first.name} and {other.name} differ in {what}: "
          f"{_short(ours)} and {_short(theirs)}",
          "combine runs of one data set, prepared and divided alike",
          path=other.run.folder,
        )


def _division(run: Run):
  splits, _ = read_splits(run.folder / "splits.json")
  return splits.test, splits.folds


def _data(run: Run) -> dict[str, str]:
  """Returns the digests of what a run was trained on."""
  path = run.folder / "environment.json"
  if not path.is_file():
    return {}
  return read_json(path, ["studies"])["studies"]


def _short(value: Any) -> str:
  text = str(value)
  return text if len(text) < 80 else text[:77] + "..."
