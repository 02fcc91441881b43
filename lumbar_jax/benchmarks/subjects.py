"""What is measured: networks with random weights, random patches.

Weights are drawn without running the network (whose initialisation takes longer
to compile than most cases to run). Times and memory do not depend on values, as
long as no activation vanishes.
"""

import importlib.util
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lumbar_jax import anatomy, models
from lumbar_jax.models.summary import summarize
from lumbar_jax.runs import Run
from lumbar_jax.training.networks import abstract_variables, build_network


def make_run(
  config: Any, folder: str | Path, name: str, dtype: str = "float32"
) -> Run:
  """Returns a run of one network with otherwise a config's settings.

  Args:
    config: of the benchmark.
    folder: of the run; nothing is written.
    name: of the network.
    dtype: what it computes in.
  """
  own = config.copy_and_resolve_references()
  own.model.name, own.training.dtype = name, dtype
  return Run(Path(folder), own, anatomy.load_scheme(own.data.scheme))


def network(run: Run, *, train: bool = False) -> nn.Module:
  """Returns a run's network, without dropout where it is to be trained.

  What dropout leaves out cannot be compared with a peer.
  """
  net = build_network(run)
  return net.clone(dropout=(0.0,) * len(net.dropout)) if train else net


def image_shape(config: Any) -> tuple[int, int, int]:
  """Returns (h, w, c) of a patch."""
  size = config.data.patch_size
  return size, size, len(config.data.channels)


def random_variables(run: Run, seed: int = 0) -> dict[str, Any]:
  """Returns variables for a run's network: He's kernels, plain statistics."""
  size, _, channels = image_shape(run.config)
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return np.ones(leaf.shape, leaf.dtype)
    if len(leaf.shape) < 2:  # biases, means
      return np.zeros(leaf.shape, leaf.dtype)
    deviation = np.sqrt(2 / np.prod(leaf.shape[:-1]))
    values = rng.standard_normal(leaf.shape, np.float32) * deviation
    return values.astype(leaf.dtype)

  shapes = abstract_variables(build_network(run), size, channels)
  return jax.tree_util.tree_map_with_path(draw, shapes)


def random_batch(
  config: Any, num_classes: int, batch: int, seed: int = 0
) -> dict[str, np.ndarray]:
  """Returns images [b h w c] float32 and labels [b h w] int32."""
  rng, shape = np.random.default_rng(seed), image_shape(config)
  return {
    "images": rng.standard_normal((batch, *shape), np.float32),
    "labels": rng.integers(0, num_classes, (batch, *shape[:2]), np.int32),
  }


def operations(run: Run, batch: int) -> float:
  """Returns the operations of a forward pass: two a multiply-accumulate."""
  return 2.0 * batch * summarize(network(run), image_shape(run.config)).macs


def names(config: Any) -> tuple[str, ...]:
  """Returns the networks of `config.benchmark.networks`, all if it is empty."""
  return tuple(config.benchmark.networks) or models.names()


def has_torch() -> bool:
  """Whether there is a PyTorch to compare with."""
  return importlib.util.find_spec("torch") is not None


def has_peer(net: nn.Module) -> bool:
  """Whether PyTorch is here and has a twin of a network."""
  if not has_torch():
    return False
  from lumbar_jax.benchmarks import peer

  return peer.has_peer(net)


def tolerance(dtype: str) -> float:
  """Returns how far two ways to compute the same may be apart, in the mean.

  GPUs multiply float32 in TF32, with 10 bits of mantissa; bfloat16 has 7.
  Scores of networks with other weights are about .1 apart.
  """
  if dtype == "bfloat16":
    return 3e-2
  return 1e-4 if jax.default_backend() == "cpu" else 5e-3
