"""Table 3 of paper 002: what its networks cost, by its rule and in truth.

FLOPs by the rule that the paper used (torchstat 0.0.7 on one 880 x 880 image),
found by its reproducing the printed figures: multiply-accumulates and biases of
convolutions, multiply-accumulates of dense layers, two for each element of a
batch normalisation, one for each input of a ReLU, PReLU or pooling. (One that
the published code calls several times counts there once, here each time: a
tenth of a percent at most.) Matrix products of attention, softmax, resizing,
transposed convolutions and layer normalisations do not count, nor do parameters
outside such layers (position embeddings).

Where the printed table differs: its PSPNet has a ResNet34, not a ResNet101; its
memory of MiniSeg is ten times too large; PSANet's parameters and memory fit the
published network, its FLOPs do not; Inf-Net and TransUNet come within .2 %. Its
millions of parameters are cut off, not rounded. Its "Memory" is the sum of all
layers' outputs.
"""

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.evaluation.tables import write_table
from lumbar_jax.models.review.layers import PReLU
from lumbar_jax.models.summary import summarize
from lumbar_jax.reports.paper_002 import paper_values

POOLINGS = (
  *("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool"),
  *("global_avg_pool", "global_max_pool"),
)
# {network: {"parameters", "flops", "memory_gb": as the paper has them}}
PRINTED: dict[str, dict[str, float]] = {}
for line in paper_values(3):
  PRINTED.setdefault(line["model"], {})[line["metric"]] = line["value"]
# {column of the table: its title}
TITLES = {
  "network": "network",
  "parameters_m": "parameters M",
  "printed_parameters_m": "printed",
  "published_rule_gflops": "published-rule GFLOPs",
  "printed_gflops": "printed",
  "gmacs": "GMACs",
  "peak_gib": "peak GiB",
}


class Counter:
  """Counts by the paper's rule while a network is traced."""

  def __init__(self):
    self.flops = 0
    self._seen: set[tuple[str, ...]] = set()

  def layer(self, call, args, kwargs, context):
    """Counts a layer that is a module, once (as torchstat does)."""
    result, module = call(*args, **kwargs), context.module
    if context.method_name == "__call__" and module.path not in self._seen:
      self.flops += self._of(module, args[0], result)
      self._seen.add(module.path)
    return result

  @staticmethod
  def _of(module: nn.Module, x, y) -> int:
    if isinstance(module, nn.Conv):
      taps = math.prod(module.kernel_size)
      per_output = taps * x.shape[-1] // module.feature_group_count
      return y.size * (per_output + module.use_bias)
    if isinstance(module, nn.Dense):
      return y.size * x.shape[-1]
    if isinstance(module, nn.BatchNorm):
      return 2 * x.size
    return x.size if isinstance(module, PReLU) else 0

  def watch(self, function):
    """Returns a function that counts its input's elements."""

    def counted(x, *args, **kwargs):
      self.flops += x.size
      return function(x, *args, **kwargs)

    return counted


def published_flops(net: nn.Module, image: tuple[int, int, int]) -> int:
  """Returns a network's FLOPs by the rule above; nothing is computed.

  Args:
    net: any network.
    image: (h, w, c).
  """
  counter = Counter()
  with contextlib.ExitStack() as stack:
    watched = [(nn, "relu")] + [
      (module, name)
      for key, module in list(sys.modules.items())
      if key.startswith("lumbar_jax.models.")
      for name in POOLINGS
      if hasattr(module, name)
    ]
    for module, name in watched:
      new = counter.watch(getattr(module, name))
      stack.enter_context(mock.patch.object(module, name, new))
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    counter.flops, counter._seen = 0, set()
    with nn.intercept_methods(counter.layer):
      jax.eval_shape(lambda v, x: net.apply(v, x).logits, variables, images)
  return counter.flops


def peak_bytes(net: nn.Module, image: tuple[int, int, int]) -> int:
  """Returns what a compiled forward pass of one image allocates here.

  Parameters and the result included; it is compiled, which takes a while, and
  not run.
  """
  images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), images)
  forward = jax.jit(lambda v, x: net.apply(v, x).logits)
  found = forward.lower(variables, images).compile().memory_analysis()
  return (
    found.temp_size_in_bytes
    + found.argument_size_in_bytes
    + found.output_size_in_bytes
  )


@dataclasses.dataclass(frozen=True)
class Costs:
  """A network's line of the table.

  Attributes:
    network: its name.
    parameters: that are trained.
    flops: by the paper's rule.
    macs: all multiply-accumulates.
    peak_bytes: see `peak_bytes`; None where it was not asked for.
  """

  network: str
  parameters: int
  flops: int
  macs: int
  peak_bytes: int | None = None

  def cells(self) -> dict[str, str]:
    """Returns {column of `TITLES`: what stands there}, "" for nothing."""
    printed = PRINTED.get(self.network)
    peak = self.peak_bytes
    return {
      "network": self.network,
      "parameters_m": f"{self.parameters / 1e6:.3f}",
      "printed_parameters_m": f"{printed['parameters'] / 1e6:g}"
      if printed
      else "",
      "published_rule_gflops": f"{self.flops / 1e9:.2f}",
      "printed_gflops": f"{printed['flops'] / 1e9:g}" if printed else "",
      "gmacs": f"{self.macs / 1e9:.2f}",
      "peak_gib": "" if peak is None else f"{peak / 2**30:.2f}",
    }


def costs(
  name: str, net: nn.Module, image: tuple[int, int, int], *, memory: bool
) -> Costs:
  """Counts what a network costs for one image.

  Args:
    name: under which the paper has it.
    net: the network.
    image: (h, w, c).
    memory: compile it too, for the peak of memory.
  """
  summary = summarize(net, image)
  return Costs(
    *(name, summary.params, published_flops(net, image), summary.macs),
    peak_bytes(net, image) if memory else None,
  )


def count_all(
  networks: Iterable[tuple[str, nn.Module]],
  image: tuple[int, int, int],
  show: Callable[[str], None],
  *,
  memory: bool,
) -> list[Costs]:
  """Counts the table's networks, showing each line when it is there.

  Args:
    networks: (name, network).
    image: (h, w, c).
    show: takes lines of text, the heading's first.
    memory: see `costs`.
  """
  dashes = "|---" + "|---:" * (len(TITLES) - 1) + "|"
  show(f"| {' | '.join(TITLES.values())} |\n{dashes}")
  found = []
  for name, net in networks:
    found.append(costs(name, net, image, memory=memory))
    show(line_of(found[-1]))
  return found


def line_of(found: Costs) -> str:
  """Returns a network's line of the table."""
  return f"| {' | '.join(found.cells().values())} |"


def write_table3(path: Path, found: Iterable[Costs]) -> None:
  """Writes the table as .csv."""
  write_table(path, tuple(TITLES), [each.cells() for each in found])
