"""Our networks' twins in PyTorch, with our weights, carried over by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lumbar_jax.benchmarks.torch_networks import TorchFCN8, TorchUNet
from lumbar_jax.models.fcn import FCN8
from lumbar_jax.models.topology import Topology
from lumbar_jax.models.unet import UNet

_LEAVES = {
  "kernel": "weight",
  "scale": "weight",
  "alpha": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


def _tensor(path: tuple[str, ...], leaf: Any) -> Tensor:
  """Returns a leaf of ours in PyTorch's layout."""
  value = np.asarray(leaf, np.float32)
  if path[-1] == "kernel":
    if path[-2].startswith("up_"):  # flipped, and [in out rows columns]
      value = value[::-1, ::-1].transpose(2, 3, 0, 1)
    else:
      value = value.transpose(3, 2, 0, 1)
  return torch.from_numpy(value.copy())


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()):
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _leaves(value, (*path, name))
    else:
      yield (*path, name), value


def has_peer(net: Any) -> bool:
  """Whether there is a PyTorch twin of one of our networks."""
  row = isinstance(net, UNet) and isinstance(net.topology, Topology)
  return (row and not any(net.dropout)) or isinstance(net, FCN8)


def make_peer(
  net: Any, variables: Mapping[str, Any], channels: int
) -> nn.Module:
  """Returns the PyTorch twin of one of our networks, with its weights.

  Args:
    net: a `UNet` without dropout, or an `FCN8`.
    variables: its linen variables.
    channels: of the images.

  Raises:
    KeyError: a weight that the twin does not have, or that it lacks.
  """
  twin = (TorchUNet if isinstance(net, UNet) else TorchFCN8)(net, channels)
  state = {
    ".".join((*path[:-1], _LEAVES[path[-1]])): _tensor(path, leaf)
    for collection in variables.values()
    for path, leaf in _leaves(collection)
  }
  own = {k for k in twin.state_dict() if not k.endswith("num_batches_tracked")}
  if own != set(state):
    raise KeyError(f"weights differ: {sorted(own ^ set(state))[:5]}")
  twin.load_state_dict(state, strict=False)
  return twin
