"""Members of one topology: their parameters stacked, applied all at once.

Stacked parameters are the interface; how they are batched (`vmap`, `map` or a
`loop`) changes the time and nothing else.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lumbar_jax.arrays import Images
from lumbar_jax.choices import check_choice
from lumbar_jax.errors import InputError
from lumbar_jax.timing import interleave
from lumbar_jax.training import sharding

BATCHINGS = ("loop", "map", "vmap")
# XLA's CPU backend turns a vmapped convolution into a slow grouped one.
# Measured by --mode=benchmark (members); other backends: at first use.
MEASURED = {"cpu": "loop"}
_REPEATS = 3


@struct.dataclass
class MemberOutputs:
  """What a member gives an ensemble.

  Attributes:
    scores: [b h w k] float32, softmax.
    features: [b h w m], what T reads: the input of the classification block;
      the logits of a network without one (FCN8); None where not asked for.
  """

  scores: jax.Array
  features: jax.Array | None = None


def stack(variables: Sequence[Any]) -> Any:
  """Stacks trees of one structure leaf by leaf: r trees -> leaves [r ...].

  Raises:
    InputError: trees of different networks.
  """
  first = jax.tree.map(jnp.shape, variables[0])
  for other in variables[1:]:
    if jax.tree.map(jnp.shape, other) != first:
      raise InputError(
        "members of different networks cannot be stacked",
        "group them by network first",
      )
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *variables)


@jax.jit
def unstack(stacked: Any) -> list[Any]:
  """Returns the r trees of a stacked one."""
  size = jax.tree.leaves(stacked)[0].shape[0]
  return [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(size)]


def forward(
  net: nn.Module, with_features: bool, variables: Any, images: Images
) -> MemberOutputs:
  """Returns one member's outputs."""
  outputs = net.apply(variables, images, train=False)
  logits = outputs.logits.astype(jnp.float32)
  features = None
  if with_features:
    features = logits if outputs.features is None else outputs.features
  return MemberOutputs(jax.nn.softmax(logits, axis=-1), features)


def _looped(apply, stacked, images):
  found = [apply(variables, images) for variables in unstack(stacked)]
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def _batched(apply, batching, stacked, images):
  if batching == "vmap":
    return jax.vmap(apply, in_axes=(0, None))(stacked, images)
  if batching == "map":
    return jax.lax.map(lambda variables: apply(variables, images), stacked)
  return _looped(apply, stacked, images)


forward_jit = jax.jit(forward, static_argnums=(0, 1))


def _apply(net, with_features, batching, mesh, stacked, images):
  if batching == "loop" and mesh is None:  # compiles a single member, once
    apply = functools.partial(forward_jit, net, with_features)
    return _looped(apply, stacked, images)
  return _compiled(net, with_features, batching, mesh, stacked, images)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(net, with_features, batching, mesh, stacked, images):
  apply = functools.partial(forward, net, with_features)
  work = functools.partial(_batched, apply, batching)
  if mesh is None:
    return work(stacked, images)
  split, rows = PartitionSpec("member"), image_spec(mesh, images)
  return jax.shard_map(
    work,
    mesh=mesh,
    in_specs=(split, rows),
    out_specs=PartitionSpec("member", *rows),
    check_vma=False,
  )(stacked, images)


def image_spec(mesh: Mesh, images: Images) -> PartitionSpec:
  """Returns how a batch lies on a mesh: split over "data" where it can be."""
  even = images.shape[0] % mesh.shape["data"] == 0
  return PartitionSpec("data") if even else PartitionSpec()


def member_mesh(num_members: int, devices=None) -> Mesh | None:
  """Returns a mesh (data, member), None where one device does it.

  As many devices as divide the members evenly lie along "member"; what is left
  of the process' devices splits the batch.
  """
  devices = jax.local_devices() if devices is None else devices
  size = max(n for n in range(1, len(devices) + 1) if num_members % n == 0)
  if size == 1:
    return None
  whole = len(devices) // size * size
  return sharding.grid(devices[:whole], size)


def place(stacked: Any, mesh: Mesh | None) -> Any:
  """Puts stacked variables on the devices that will use them."""
  if mesh is None:
    return jax.device_put(stacked, jax.local_devices()[0])
  return jax.device_put(stacked, NamedSharding(mesh, PartitionSpec("member")))


def apply_stacked(
  net: nn.Module,
  stacked: Any,
  images: Images,
  *,
  with_features: bool = False,
  batching: str = "auto",
  mesh: Mesh | None = None,
) -> MemberOutputs:
  """Applies stacked members to one batch.

  Args:
    net: their network.
    stacked: variables with leaves [r ...], see `stack` and `place`.
    images: [b h w c], the same for all.
    with_features: whether to return the features too.
    batching: one of `BATCHINGS`, or "auto": the quickest on this backend.
    mesh: from `member_mesh`; each device then computes its own members.

  Returns:
    Outputs with leaves [r b h w ...], the same for every batching up to
    float32 rounding.

  Raises:
    InputError: an unknown batching.
  """
  check_choice("batching", batching, ("auto", *BATCHINGS))
  if batching == "auto":
    batching = choose_batching(net, stacked, images, with_features)
  return _apply(net, with_features, batching, mesh, stacked, images)


_CHOSEN: dict[Any, str] = {}  # (backend, network) -> batching


def choose_batching(
  net: nn.Module, stacked: Any, images: Images, with_features: bool = False
) -> str:
  """Returns the quickest batching: known for this backend, or measured now."""
  backend = jax.default_backend()
  if jax.tree.leaves(stacked)[0].shape[0] == 1:
    return "loop"
  if backend in MEASURED:
    return MEASURED[backend]
  key = (backend, net)
  if key not in _CHOSEN:
    times = time_batchings(net, stacked, images, with_features)
    _CHOSEN[key] = min(times, key=times.get)
    text = ", ".join(f"{name} {t * 1e3:.1f} ms" for name, t in times.items())
    logging.info("batching of members on %s: %s", backend, text)
  return _CHOSEN[key]


def time_batchings(
  net: nn.Module,
  stacked: Any,
  images: Images,
  with_features: bool = False,
  repeats: int = _REPEATS,
) -> dict[str, float]:
  """Returns {batching: median seconds}, repeats interleaved."""

  def apply(batching):
    return jax.block_until_ready(
      _apply(net, with_features, batching, None, stacked, images)
    )

  ways = {name: functools.partial(apply, name) for name in BATCHINGS}
  times = interleave(ways, repeats)
  return {name: float(np.median(found)) for name, found in times.items()}
