"""What an ensemble is, as data: its members and how they are combined.

Paper 000, sections 4.2 and 5.4; Table 4 is `TABLE_4`.
"""

import dataclasses
import re
from collections.abc import Sequence

from lumbar_jax.choices import check_choice
from lumbar_jax.errors import InputError

TABLE_4: dict[str, tuple[str, ...]] = {
  "E4": ("UAD", "UMD", "UQD", "UDD"),
  "E5": ("UD", "UAD", "UMD", "UAMD", "UDD2"),
  "E6": ("UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD"),
  "E7": ("UD", "UAD", "UMD", "UAMD", "UVMD", "UQD", "UDD2"),
  "E8": ("FCN", "UD", "UAD", "UMD", "UAMD", "UVMD", "UQD", "UDD2"),
  "E9": (*("UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD", "UQD", "UDD", "UMDD"),),
  "E10": (
    *("UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD", "UQD", "UDD", "UMDD"),
    "UDD2",
  ),
  "E11": (
    *("U1", "UA", "UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD", "UQD", "UDD"),
    "UMDD",
  ),
  "E12": (
    *("U1", "UA", "UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD", "UQD", "UDD"),
    *("UMDD", "UDD2"),
  ),
  "E13": (
    *("FCN", "U1", "UA", "UD", "UAD", "UMD", "UAMD", "UVMD", "UVDD", "UQD"),
    *("UDD", "UMDD", "UDD2"),
  ),
}

AVERAGING = ("arithmetic", "geometric")
INPUTS = {"N": "normalised scores", "T": "tensors before the classifier"}
MERGES = {"A": "average", "C": "concatenate", "S": "add"}
STACKING = tuple(f"{i}{m}D" for i in INPUTS for m in MERGES)
METHODS = (*AVERAGING, *STACKING)


@dataclasses.dataclass(frozen=True)
class Ensemble:
  """An ensemble.

  Attributes:
    name: of its members' list, such as E12.
    members: names of its members.
    method: one of `METHODS`.
    weights: of the members in an averaging; empty: equal.
    left_out: the member that an ablation leaves out; empty: none.
  """

  name: str
  members: tuple[str, ...]
  method: str
  weights: tuple[float, ...] = ()
  left_out: str = ""

  def __post_init__(self):
    """Checks the method; `check` looks at the rest.

    Raises:
      InputError: no such method.
    """
    check_choice(f"the method of ensemble {self.name}", self.method, METHODS)

  @property
  def title(self) -> str:
    """E12-NAD, and without UMD: E12-NAD-without-UMD."""
    suffix = f"-without-{self.left_out}" if self.left_out else ""
    return f"{self.name}-{self.method}{suffix}"

  @property
  def is_stacking(self) -> bool:
    """Whether it has a meta-learner to train."""
    return self.method in STACKING

  @property
  def reads_features(self) -> bool:
    """Whether it reads the tensors before the classifier, not the scores."""
    return self.is_stacking and self.method[0] == "T"

  def without(self, member: str) -> "Ensemble":
    """Returns the ensemble without one member (Table 8)."""
    place = self.members.index(member)
    rest = self.members[:place] + self.members[place + 1 :]
    weights = self.weights[:place] + self.weights[place + 1 :]
    return dataclasses.replace(
      self, members=rest, weights=weights, left_out=member
    )


def check(ensemble: Ensemble) -> Ensemble:
  """Returns a usable ensemble.

  Raises:
    InputError: no or repeated members, or weights that do not fit.
  """
  title = f"ensemble {ensemble.title}"
  if not ensemble.members:
    raise InputError(f"{title} has no members", "name some")
  twice = [m for m in ensemble.members if ensemble.members.count(m) > 1]
  if twice:
    raise InputError(
      f"{title} names {twice[0]} more than once",
      "name each member once, or give weights",
    )
  _check_weights(ensemble, title)
  return ensemble


def _check_weights(ensemble: Ensemble, title: str) -> None:
  weights = ensemble.weights
  if weights and ensemble.is_stacking:
    raise InputError(
      f"{title}: a meta-learner takes no weights",
      f"leave them out, or give one of the methods {', '.join(AVERAGING)}",
    )
  if weights and len(weights) != len(ensemble.members):
    raise InputError(
      f"{title}: {len(weights)} weights for {len(ensemble.members)} members",
      "give one weight for each member",
    )
  if weights and (min(weights) < 0 or not 0 < sum(weights) < float("inf")):
    raise InputError(
      f"{title}: weights {', '.join(map(str, weights))}",
      "they must not be negative, nor all zero",
    )


def custom_name(members: Sequence[str]) -> str:
  """Returns a name for a list of members: a folder can be called so."""
  text = "+".join(members)
  return re.sub(r"[^\w.+-]", "_", text)
