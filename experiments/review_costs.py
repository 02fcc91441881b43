"""Table 3 of paper 002 rebuilt: parameters, FLOPs and memory of its networks.

  python experiments/review_costs.py [--only=REGEX] [--memory] [--csv=FILE]

FLOPs by the rule that the paper used (torchstat 0.0.7 on one 880 x 880 image),
found by its reproducing the printed figures: multiply-accumulates and biases of
convolutions, multiply-accumulates of dense layers, two for each element of a
batch normalisation, one for each input of a ReLU, PReLU or pooling. (One that
the published code calls several times counts there once, here each time: a
tenth of a percent at most.) Matrix products of attention, softmax, resizing,
transposed convolutions and layer normalisations do not count, nor do parameters
outside such layers (position embeddings). Beside them what the networks really
cost: all multiply-accumulates, and with --memory the peak of a forward pass as
XLA allocates it here (the paper's "Memory" is the sum of all layers' outputs).

Where the printed table differs: its PSPNet has a ResNet34, not a ResNet101; its
memory of MiniSeg is ten times too large; PSANet's parameters and memory fit the
published network, its FLOPs do not; Inf-Net and TransUNet come within .2 %. Its
millions of parameters are cut off, not rounded.
"""

import contextlib
import csv
import io
import math
import re
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import flax.linen as nn
import jax
import jax.numpy as jnp
from absl import app, flags

from lumbar_jax import models
from lumbar_jax.files import write_text
from lumbar_jax.models.review.layers import PReLU
from lumbar_jax.models.summary import summarize
from lumbar_jax.reports.paper_002 import paper_values

_ONLY = flags.DEFINE_string("only", "", "regular expression of names")
_MEMORY = flags.DEFINE_bool("memory", False, "compile, for the peak of memory")
_CSV = flags.DEFINE_string("csv", "", "a file to write the table to as well")
_SIZE = flags.DEFINE_integer("size", 880, "rows and columns of the image")

CLASSES = 20
POOLINGS = (
  *("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool"),
  *("global_avg_pool", "global_max_pool"),
)
# {network: {"parameters", "flops", "memory_gb": as the paper has them}}
PRINTED: dict[str, dict[str, float]] = {}
for line in paper_values(3):
  PRINTED.setdefault(line["model"], {})[line["metric"]] = line["value"]


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
  """Returns a network's FLOPs by the rule above; nothing is computed."""
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
  """Returns what a compiled forward pass allocates, with its parameters."""
  images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), images)
  forward = jax.jit(lambda v, x: net.apply(v, x).logits)
  found = forward.lower(variables, images).compile().memory_analysis()
  return (
    found.temp_size_in_bytes
    + found.argument_size_in_bytes
    + found.output_size_in_bytes
  )


def row(name: str) -> list[str]:
  """Returns a line of the table."""
  image = (_SIZE.value, _SIZE.value, 1)
  fixed = {"image_size": _SIZE.value} if name in ("PSANet", "TransUNet") else {}
  net = models.build(name, CLASSES, **fixed)
  summary, printed = summarize(net, image), PRINTED[name]
  memory = f"{peak_bytes(net, image) / 2**30:.2f}" if _MEMORY.value else ""
  return [
    name,
    f"{summary.params / 1e6:.3f}",
    f"{printed['parameters'] / 1e6:g}",
    f"{published_flops(net, image) / 1e9:.2f}",
    f"{printed['flops'] / 1e9:g}",
    f"{summary.macs / 1e9:.2f}",
    memory,
  ]


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  titles = (
    *("network", "parameters M", "printed", "published-rule GFLOPs"),
    *("printed", "GMACs", "peak GiB"),
  )
  print("| " + " | ".join(titles) + " |")
  print("|---" + "|---:" * (len(titles) - 1) + "|", flush=True)
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(titles)
  for name in PRINTED:
    if re.search(_ONLY.value, name):
      cells = row(name)
      writer.writerow(cells)
      print("| " + " | ".join(cells) + " |", flush=True)
  if _CSV.value:
    write_text(_CSV.value, text.getvalue())


if __name__ == "__main__":
  app.run(main)
