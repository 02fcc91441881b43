"""What the tests of this folder ask of tiny networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def images(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


@functools.lru_cache
def abstract(net, *shape):
  """Shapes of (outputs, variables) for images of this shape."""
  image = jax.ShapeDtypeStruct(shape, jnp.float32)
  return jax.eval_shape(net.init_with_output, jax.random.key(0), image)


def unused_parameters(net, *shape):
  """Names of the parameters on which no output of the network depends.

  Nothing is computed: the traced computation is walked from its results back.
  """
  found = abstract(net, *shape)[1]
  rest = {k: v for k, v in found.items() if k != "params"}

  def outputs(params, rest, image):
    outputs = net.apply({"params": params, **rest}, image)
    return outputs.logits, outputs.auxiliary

  image = jax.ShapeDtypeStruct(shape, jnp.float32)
  jaxpr = jax.make_jaxpr(outputs)(found["params"], rest, image).jaxpr
  needed = {id(variable) for variable in jaxpr.outvars}
  for equation in reversed(jaxpr.eqns):
    if any(id(variable) in needed for variable in equation.outvars):
      needed.update(id(variable) for variable in equation.invars)
  places = jax.tree_util.tree_leaves_with_path(found["params"])
  return [
    "/".join(str(entry.key) for entry in place)
    for (place, _), variable in zip(places, jaxpr.invars, strict=False)
    if id(variable) not in needed
  ]


def equations(jaxpr):
  """Yields the equations of a jaxpr and of those that it calls."""
  for equation in jaxpr.eqns:
    yield equation
    for name in ("jaxpr", "call_jaxpr"):
      inner = equation.params.get(name)
      if inner is not None:
        yield from equations(getattr(inner, "jaxpr", inner))
