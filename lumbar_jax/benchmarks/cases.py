"""A case: one measurement by its name, made in a process of its own."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def of_networks(
  kind: str,
  measure: Callable[..., list[Record]],
  networks: Iterable[str],
  dtypes: Iterable[str],
  batches: Iterable[int],
) -> Iterator[Case]:
  """Yields a case for each network, type and batch size.

  Args:
    kind: the first part of the cases' names.
    measure: see `Case`; it takes `name`, `dtype` and `batch`.
    networks: names.
    dtypes: what convolutions compute in.
    batches: images in one pass.
  """
  for name, dtype, batch in itertools.product(networks, dtypes, batches):
    yield Case(
      f"{kind}/{name}/{dtype}/batch{batch}",
      measure,
      dict(name=name, dtype=dtype, batch=batch),
    )
