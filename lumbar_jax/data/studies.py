"""A study: what one scanning session of one patient gives us, as paths."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumbar_jax.choices import check_choice


@dataclasses.dataclass(frozen=True)
class Study:
  """One imaging session.

  Attributes:
    patient: identifier that splits are made by, e.g. "sub-001".
    session: identifier of the session within the patient, e.g. "ses-01".
    images: {channel name ("T2w", "T1w"): NIfTI path}.
    mask: NIfTI path of the truth, or None.
    metadata: what the source knows: {"participant": row of participants.tsv,
      "T2w": JSON sidecar, ...}. Values are strings or numbers.
    split: "train" or "test" where the user's manifest fixes it, else None.
    fold: validation fold where the user's manifest fixes it, else None.
  """

  patient: str
  session: str
  images: Mapping[str, Path]
  mask: Path | None = None
  metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  split: str | None = None
  fold: int | None = None

  def __post_init__(self):
    check_choice(
      f"the split of {self.name}", self.split, (None, "train", "test")
    )

  @property
  def name(self) -> str:
    """Unique name, usable as a file name."""
    return f"{self.patient}_{self.session}" if self.session else self.patient
