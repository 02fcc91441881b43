"""A case: one measurement by its name, made in a process of its own."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from lumbar_jax.benchmarks.records import Record


@dataclasses.dataclass(frozen=True)
class Case:
  """One measurement.

  Attributes:
    name: parts with slashes between, such as "forward/U1/float32/batch8".
    measure: function (config, scratch folder, name, **arguments) -> records; of
      a module's top level, for it is called in another process.
    arguments: its further arguments.
  """

  name: str
  measure: Callable[..., list[Record]]
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
