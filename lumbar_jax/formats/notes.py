"""What is doubtful about a file and does not stop its use."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Note:
  """Something to look at.

  Attributes:
    problem: what is the matter, with the value in it.
    remedy: what was done about it, or what the user can do.
  """

  problem: str
  remedy: str
