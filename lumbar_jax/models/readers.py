"""Who reads what in a network's traced computation.

Flax' layers are met as it calls them. Their inputs and results are marked by
names in the computation (`checkpoint_name`: it changes nothing), which is then
walked: every value that an equation reads is counted. Nothing is computed.
"""

import collections
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Literal

Path = tuple[str, ...]
# Equations that compute another computation's results, once, from operands in
# its order. A value inside of any other (a loop, a branch) counts as unknown.
_CALLS = {
  *("jit", "pjit", "closed_call", "core_call"),
  *("checkpoint", "remat", "remat2"),
}
_MARK = "name"  # the equation of `checkpoint_name`


class _Marks:
  """Marks convolutions' results and normalisations' inputs while tracing."""

  def __init__(self):
    self.convs: dict[str, Path] = {}
    self.norms: dict[str, Path] = {}
    self.epsilons: dict[Path, float] = {}

  def __call__(self, call, args, kwargs, context):
    """Calls a layer; an interceptor of Flax."""
    module = context.module
    if context.method_name != "__call__":
      return call(*args, **kwargs)
    if type(module) is nn.Conv:  # what derives from it may change its kernel
      label = f"result {len(self.convs)} of a convolution"
      self.convs[label] = module.path
      return checkpoint_name(call(*args, **kwargs), label)
    if not _is_fixed_norm(module, args, kwargs):
      return call(*args, **kwargs)
    label = f"input {len(self.norms)} of a normalisation"
    result = call(checkpoint_name(args[0], label), *args[1:], **kwargs)
    if result.dtype == args[0].dtype:  # else it is a cast as well
      self.norms[label] = module.path
      self.epsilons[module.path] = module.epsilon
    return result


def _is_fixed_norm(module, args, kwargs) -> bool:
  """Whether a call is a scale and an offset of the last axis, no more."""
  if (
    type(module) is not nn.BatchNorm
    or len(args) != 1
    or set(kwargs) - {"use_running_average"}
  ):
    return False
  running = kwargs.get("use_running_average")
  running = module.use_running_average if running is None else running
  return running is True and module.axis in (-1, args[0].ndim - 1)


class _Counts:
  """Counts the reads of a computation's values, and of its variables.

  Attributes:
    pairs: {label of a normalisation: label of the convolution} where the one is
      all that reads the other's result.
    reads: {place of a variable: equations that read it}.
  """

  def __init__(self, marks: _Marks):
    self.marks = marks
    self.pairs: dict[str, str] = {}
    self.reads: collections.Counter = collections.Counter()

  def walk(self, jaxpr, places: Mapping[Any, Any]) -> None:
    """Reads a jaxpr, of which some values are variables: {value: place}."""
    users = collections.defaultdict(list)
    for equation in jaxpr.eqns:
      for value in equation.invars:
        if not isinstance(value, Literal):
          users[value].append(equation)
    for value in jaxpr.outvars:
      if not isinstance(value, Literal):
        users[value].append(None)
    for equation in jaxpr.eqns:
      self._pair(equation, users)
      self._descend(equation, places)

  def _pair(self, equation, users) -> None:
    if _label(equation) not in self.marks.convs:
      return
    readers = users[equation.outvars[0]]
    if len(readers) == 1 and _label(readers[0]) in self.marks.norms:
      self.pairs[_label(readers[0])] = _label(equation)

  def _descend(self, equation, places) -> None:
    inner = _called(equation)
    found = [
      None if isinstance(value, Literal) else places.get(value)
      for value in equation.invars
    ]
    if inner is None:
      self.reads.update(place for place in found if place is not None)
      return
    inside = zip(inner.invars, found, strict=True)
    self.walk(inner, {value: p for value, p in inside if p is not None})


def _label(equation) -> str | None:
  if equation is None or equation.primitive.name != _MARK:
    return None
  return equation.params["name"]


def _called(equation):
  """Returns the jaxpr of a call within which layers can be, else None."""
  if equation.primitive.name not in _CALLS:
    return None
  inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
  inner = getattr(inner, "jaxpr", inner)
  marked = any(_label(inside) or _called(inside) for inside in inner.eqns)
  return inner if marked else None  # a rewritten layer is one equation


def _place(collection: str, path: Path, name: str) -> tuple[str, ...]:
  return (collection, *path, name)


def sole_readers(
  net: nn.Module, variables: Any, shape: tuple[int, ...]
) -> dict[Path, tuple[float, Path]]:
  """Finds normalisations that are all that reads a convolution's result.

  A pair is left out wherever something else could depend on the convolution:
  its result is also a skip, joined, or given by the network; the convolution or
  the normalisation is applied twice; their variables are read elsewhere; they
  lie in a loop or a branch; the normalisation casts, or takes no fixed
  statistics.

  Args:
    net: a network.
    variables: its linen variables, or their shapes.
    shape: (b, h, w, c) of some images.

  Returns:
    {a normalisation's path: (its epsilon, the convolution's path)}.
  """
  marks = _Marks()

  def forward(variables, images):
    return net.apply(variables, images, train=False)

  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  with nn.intercept_methods(marks):
    jaxpr = jax.make_jaxpr(forward)(variables, images).jaxpr
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  places = {
    value: tuple(entry.key for entry in place)
    for value, (place, _) in zip(jaxpr.invars, leaves, strict=False)
  }
  shapes = {places[value]: value.aval.shape for value in places}
  counts = _Counts(marks)
  counts.walk(jaxpr, places)
  pairs = {
    marks.norms[norm]: marks.convs[conv] for norm, conv in counts.pairs.items()
  }
  return {
    norm: (marks.epsilons[norm], conv)
    for norm, conv in pairs.items()
    if _read_once(norm, conv, counts.reads) and _fit(norm, conv, shapes)
  }


def _read_once(norm: Path, conv: Path, reads: Mapping[Path, int]) -> bool:
  """Whether nobody else reads the variables of the two layers."""
  ours = [_place("params", conv, name) for name in ("kernel", "bias")]
  ours += [_place("params", norm, name) for name in ("scale", "bias")]
  ours += [_place("batch_stats", norm, name) for name in ("mean", "var")]
  return all(reads.get(place, 0) <= 1 for place in ours)


def _fit(norm: Path, conv: Path, shapes: Mapping[Path, Any]) -> bool:
  """Whether each channel of the convolution has one mean, and no more."""
  mean = shapes.get(_place("batch_stats", norm, "mean"), ())
  kernel = shapes.get(_place("params", conv, "kernel"), ())
  return mean == kernel[-1:]
