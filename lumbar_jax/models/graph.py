"""The graph of a network's blocks, read from its traced computation.

A block is a top-level submodule (or named scope); Flax writes its name into
every equation. Nothing is computed and no parameters are made.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from lumbar_jax.models import operations
from lumbar_jax.models.receptive_field import Field, input_field

INPUT, OUTPUT = "input", "output"  # of edges; no blocks
_LOOPS = ("scan", "while", "cond")


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureMap:
  """A value that depends on the image.

  Attributes:
    shape: (b, h, w, c).
    field: what its pixels see; None where no rule is known.
    block: whose result it is; None between blocks.
    sources: the blocks' maps that it is made of; itself if a block's.
  """

  shape: tuple[int, ...]
  field: Field | None
  block: str | None
  made_of: tuple["FeatureMap", ...] = ()

  @property
  def sources(self) -> tuple["FeatureMap", ...]:
    return (self,) if self.block else self.made_of


@dataclasses.dataclass(frozen=True)
class Edge:
  """A block reads a map of another, as it is or pooled, joined ...

  Attributes:
    map: what the other block gave.
    target: the block that reads it, or "output".
    shape: of what is read, after pooling and joining.
  """

  map: FeatureMap
  target: str
  shape: tuple[int, ...]

  @property
  def source(self) -> str:
    return self.map.block


@dataclasses.dataclass
class Graph:
  """Blocks in order of execution, and what flows between them.

  Attributes:
    macs: {block: multiply-accumulates}, those between blocks under "".
    kinds: {block: name of its module's class}; its own name if it has none.
    edges: in the order in which they are read.
    variables: shapes of the network's variables.
    logits: the network's result.
  """

  macs: dict[str, int]
  kinds: dict[str, str]
  edges: list[Edge]
  variables: dict[str, Any]
  logits: FeatureMap | None = None

  def outputs(self, block: str) -> list[FeatureMap]:
    """Returns the maps of a block that others read, the largest first."""
    maps = [edge.map for edge in self.edges if edge.source == block]
    return sorted(dict.fromkeys(maps), key=lambda found: -found.shape[1])


class _Reader:
  """Follows the image through a jaxpr."""

  def __init__(self, graph: Graph):
    self.graph = graph

  def read(self, jaxpr, arguments, block: str | None = None) -> list:
    """Returns the maps (or None) of a jaxpr's outputs, given its inputs'."""
    known = {}

    def look_up(variable):
      literal = isinstance(variable, Literal)
      return None if literal else known.get(variable)

    known.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
      maps = [look_up(variable) for variable in equation.invars]
      if any(found is not None for found in maps):
        results = self._equation(equation, maps, block or _block(equation))
        known.update(zip(equation.outvars, results, strict=True))
    return [look_up(variable) for variable in jaxpr.outvars]

  def _equation(self, equation, maps, block: str | None) -> list:
    inner = _inner(equation)
    if inner is not None and not operations.layer_name(equation):
      return self.read(inner, maps, block)
    maps = [found for found in maps if found is not None]
    macs = operations.macs(equation)
    self.graph.macs[block or ""] = self.graph.macs.get(block or "", 0) + macs
    for found in maps:
      if block and found.block != block:
        self.connect(found, block)
    field = operations.field(equation, [found.field for found in maps])
    sources = dict.fromkeys(s for found in maps for s in found.sources)
    return [
      FeatureMap(variable.aval.shape, field, block, tuple(sources))
      for variable in equation.outvars
    ]

  def connect(self, found: FeatureMap, target: str) -> None:
    """Notes that a block reads a map, once for each map it is made of."""
    for source in found.sources:
      known = {(edge.map, edge.target) for edge in self.graph.edges}
      if (source, target) not in known:
        self.graph.edges.append(Edge(source, target, found.shape))


def _inner(equation):
  """Returns the jaxpr that an equation calls, if it calls one."""
  if equation.primitive.name in _LOOPS:
    raise NotImplementedError(
      f"a network with {equation.primitive.name} cannot be summarised"
    )
  for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
    if name in equation.params:
      inner = equation.params[name]
      return getattr(inner, "jaxpr", inner)
  return None


def _block(equation) -> str | None:
  """Returns the block of a name stack "UNet/UNet._encode/encoder_1/conv_1"."""
  parts = str(equation.source_info.name_stack).split("/")[1:]
  modules = [part for part in parts if "." not in part]
  return modules[0] if modules else None


def _jaxpr(net: nn.Module, variables: Any, images: Any):
  """Returns a forward pass' jaxpr and {block: its module's class}."""
  kinds = {}

  def note(call, args, kwargs, context):
    if len(context.module.path) == 1:
      kinds[context.module.path[0]] = type(context.module).__name__
    return call(*args, **kwargs)

  def forward(variables, images):
    outputs = net.apply(variables, images)
    return outputs.logits, outputs.auxiliary

  with nn.intercept_methods(note):
    return jax.make_jaxpr(forward)(variables, images).jaxpr, kinds


def trace(net: nn.Module, shape: tuple[int, int, int, int]) -> Graph:
  """Reads the graph of a network of `models.build` in evaluation.

  Args:
    net: the network.
    shape: of the images, (b, h, w, c).

  Raises:
    InputError: the network cannot take images of this size.
  """
  if getattr(net, "remat", False):
    net = net.clone(remat=False)  # its wrappers would be the blocks' kinds
  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  variables = jax.eval_shape(net.init, jax.random.key(0), images)
  jaxpr, kinds = _jaxpr(net, variables, images)
  graph = Graph({}, kinds, [], dict(variables))
  reader = _Reader(graph)
  image = FeatureMap(shape, input_field(), INPUT)
  results = reader.read(jaxpr, [None] * (len(jaxpr.invars) - 1) + [image])
  for found in results:
    reader.connect(found, OUTPUT)
  graph.logits = results[0]
  for block in graph.macs:  # a named scope is of its own kind
    graph.kinds.setdefault(block, block)
  return graph
