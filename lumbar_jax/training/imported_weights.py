"""Weights of a ResNet from elsewhere, for the backbones of paper 002.

Users who have them can so start from ImageNet; the paper itself does not. The
names are those of torchvision's ResNets, which timm's share; a deep stem may be
named as in timm (conv1.0 ...) or as in hszhao/semseg (conv1, conv2, conv3). The
file's classifier is left out. Images need no ImageNet normalisation: the first
batch normalisation sees to their scale once trained.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lumbar_jax.errors import InputError

BACKBONE = "backbone"  # the module's name in every network that has one
_LEAVES = {
  ("params", "kernel"): "weight",
  ("params", "scale"): "weight",
  ("params", "bias"): "bias",
  ("batch_stats", "mean"): "running_mean",
  ("batch_stats", "var"): "running_var",
}
_ANCHOR = "layer1.0.conv1.weight"  # what stands before is all names' prefix
_FIRST = ("conv1.weight", "conv1.0.weight")  # sees the images
_LEFT_OUT = ("fc.", "last_linear.")  # the classifier, here and there
# Deep stems of hszhao/semseg: their bn3 is what others call bn1.
_SEMSEG_STEM = {
  "conv1": "conv1.0",
  "bn1": "conv1.1",
  "conv2": "conv1.3",
  "bn2": "conv1.4",
  "conv3": "conv1.6",
  "bn3": "bn1",
}


def torch_name(path: tuple[str, ...]) -> str:
  """Returns a leaf's name in a state dict.

  Args:
    path: (collection, "backbone", module ..., leaf).
  """
  modules = [re.sub(r"_(\d+)$", r".\1", name) for name in path[2:-1]]
  return ".".join((*modules, _LEAVES[path[0], path[-1]]))


def adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
  """Makes a first convolution fit images of another number of channels.

  Each channel gets the sum over the file's channels, divided by the number of
  ours: where all our channels show one image, the result is that of this image
  repeated to the file's channels. For one channel that is timm's rule too; for
  two, timm would take the file's first two filters.

  Args:
    kernel: [rows columns c m].
    channels: of our images.

  Returns:
    [rows columns channels m]; unchanged if that is the file's.
  """
  if kernel.shape[2] == channels:
    return kernel
  share = kernel.sum(axis=2, keepdims=True) / channels
  return np.repeat(share, channels, axis=2)


def _without_prefix(state: Mapping[str, Any], path) -> dict[str, Any]:
  """Returns the ResNet's arrays, by torchvision's names."""
  ends = [name for name in state if f".{name}".endswith(f".{_ANCHOR}")]
  if len(ends) != 1:
    raise InputError(
      f"{len(ends)} arrays are named {_ANCHOR}, with or without a prefix",
      "the file shall have one ResNet with torchvision's or timm's names",
      path=path,
    )
  prefix = ends[0].removesuffix(_ANCHOR)
  found = {
    name.removeprefix(prefix): array
    for name, array in state.items()
    if name.startswith(prefix) and not name.endswith("num_batches_tracked")
  }
  if "conv3.weight" not in found:
    return found
  renamed = {}
  for name, array in found.items():
    module, _, leaf = name.rpartition(".")
    renamed[f"{_SEMSEG_STEM.get(module, module)}.{leaf}"] = array
  return renamed


def _fitting(
  value: np.ndarray, name: str, shape: tuple[int, ...], path
) -> np.ndarray:
  """Returns an array in our layout and precision, if it has our shape."""
  value = np.asarray(value, np.float32)
  if value.ndim == 4:
    value = value.transpose(2, 3, 1, 0)  # [out in rows columns]
  if value.ndim == 4 and name in _FIRST:
    value = adapt_channels(value, shape[2])
  if value.shape != shape:
    raise InputError(
      f"{name} is {value.shape} there, {shape} here, as [rows columns in out]",
      "published weights fit config.model.width=64 and the same depth",
      path=path,
    )
  return np.ascontiguousarray(value)


def replace_backbone(
  variables: Mapping[str, Any],
  state: Mapping[str, np.ndarray],
  path: str | os.PathLike,
) -> dict[str, Any]:
  """Returns variables whose backbone has a state dict's weights.

  Args:
    variables: of a network of paper 002 with a ResNet (or Res2Net).
    state: the arrays of a file by their names.
    path: of the file, for messages.

  Raises:
    InputError: the network has no ResNet, or names the first array that the
      file lacks, has too much, or has in another shape.
  """
  if "layer4" not in variables["params"].get(BACKBONE, {}):
    raise InputError(
      "config.model.backbone_weights is given, but the network has no ResNet",
      "leave it empty",
    )
  arrays = _without_prefix(state, path)

  def replace(place, leaf):
    names = tuple(str(entry.key) for entry in place)
    if names[1] != BACKBONE:
      return leaf
    name = torch_name(names)
    if name not in arrays:
      raise InputError(
        f"there is no {name}, which the backbone has",
        "another depth, stem or kind of ResNet? (in timm's ResNet-D, shortcuts "
        "are averaged before their convolution; here they are not)",
        path=path,
      )
    return _fitting(arrays.pop(name), name, leaf.shape, path)

  replaced = jax.tree_util.tree_map_with_path(replace, dict(variables))
  rest = [name for name in arrays if not name.startswith(_LEFT_OUT)]
  if rest:
    raise InputError(
      f"the backbone has no {rest[0]}",
      "another depth, stem or kind of ResNet?",
      path=path,
    )
  return replaced
