"""A network's twin at work in PyTorch: forward passes and train steps.

Done the ways a PyTorch user would: channels_last, as many threads as we have,
eagerly and by `torch.compile`. The quickest that works is the peer.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from absl import logging
from torch import Tensor, nn

from lumbar_jax import hardware
from lumbar_jax.benchmarks.peer import make_peer
from lumbar_jax.benchmarks.timing import Work

Module = nn.Module | Callable[[Tensor], Tensor]

# {name in config.benchmark.peer_ways: module -> what runs}
WAYS: dict[str, Callable[[nn.Module], Module]] = {
  "eager": lambda module: module,
  "compile": torch.compile,
  # Inductor folds the weights, BatchNorm's too: of forward passes alone.
  "freeze": lambda module: torch.compile(module, options={"freezing": True}),
  "max-autotune": lambda module: torch.compile(module, mode="max-autotune"),
}
INFERENCE_ONLY = ("freeze",)

OPTIMIZERS = {  # with the constants of training/optimizers.py
  "adam": lambda p, rate: torch.optim.Adam(p, rate, eps=1e-7, fused=True),
  "rmsprop": lambda p, rate: torch.optim.RMSprop(p, rate, 0.9, eps=1e-7),
  "adadelta": lambda p, rate: torch.optim.Adadelta(p, rate, 0.95, eps=1e-7),
}


def settle() -> str:
  """Gives PyTorch the threads and the arithmetic that we have.

  Returns:
    The device's name, "cuda" or "cpu".
  """
  torch.set_num_threads(hardware.num_cores())
  if not torch.cuda.is_available():
    return "cpu"
  torch.backends.cudnn.benchmark = True
  torch.backends.cuda.matmul.allow_tf32 = True  # as XLA does by default
  torch.backends.cudnn.allow_tf32 = True
  return "cuda"


def _work(step: Callable[[], Any]) -> Work:
  if torch.cuda.is_available():
    return Work(step, lambda _: torch.cuda.synchronize())
  return Work(step, lambda _: None)


def _images(images: np.ndarray, device: str) -> Tensor:
  """Returns [b h w c] as [b c h w], channels_last."""
  tensor = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
  return tensor.contiguous(memory_format=torch.channels_last)


def _mixed(device: str, dtype: str):
  return torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")


def _twin(net: Any, variables: Mapping[str, Any], images: np.ndarray):
  twin = make_peer(net, variables, images.shape[-1])
  return twin.to(settle(), memory_format=torch.channels_last)


def forward_ways(
  net: Any,
  variables: Mapping[str, Any],
  images: np.ndarray,
  dtype: str,
  ways: Sequence[str],
) -> dict[str, Work]:
  """Returns ways to compute softmax scores [b k h w] of images [b h w c].

  Args:
    net: one of our networks, with its variables.
    variables: its linen variables.
    images: a batch.
    dtype: float32, or bfloat16 by autocast.
    ways: names in `WAYS`.
  """
  twin, device = _twin(net, variables, images).eval(), settle()
  placed = _images(images, device)

  def forward(module):
    def step():
      with torch.inference_mode(), _mixed(device, dtype):
        return torch.softmax(module(placed).float(), dim=1)

    return step

  return {f"torch {way}": _work(forward(WAYS[way](twin))) for way in ways}


def train_ways(
  net: Any,
  variables: Mapping[str, Any],
  batch: Mapping[str, np.ndarray],
  optimizer: tuple[str, float],
  dtype: str,
  ways: Sequence[str],
) -> dict[str, Work]:
  """Returns ways to take train steps; each step's result is its loss.

  Args:
    net: one of our networks, with its variables.
    variables: its linen variables; every way starts from them.
    batch: images [b h w c] and labels [b h w].
    optimizer: (name in `OPTIMIZERS`, learning rate).
    dtype: float32, or bfloat16 by autocast.
    ways: names in `WAYS`.
  """
  twin, device = _twin(net, variables, batch["images"]).train(), settle()
  images = _images(batch["images"], device)
  labels = torch.from_numpy(batch["labels"]).long().to(device)

  def training(way):
    own = copy.deepcopy(twin)
    module = WAYS[way](own)
    update = OPTIMIZERS[optimizer[0]](own.parameters(), optimizer[1])

    def step():
      update.zero_grad(set_to_none=True)
      with _mixed(device, dtype):
        logits = module(images)
      loss = F.cross_entropy(logits.float(), labels)
      loss.backward()
      update.step()
      return loss.detach()

    return step

  trained = [way for way in ways if way not in INFERENCE_ONLY]
  return {f"torch {way}": _work(training(way)) for way in trained}


def scores(found: Tensor) -> np.ndarray:
  """Returns [b k h w] as [b h w k]."""
  return found.permute(0, 2, 3, 1).cpu().numpy()


def usable(
  ways: Mapping[str, Work],
  expected: Sequence[np.ndarray],
  read: Callable[[Tensor], np.ndarray],
  tolerance: float,
) -> tuple[dict[str, Work], float]:
  """Returns the ways that work, and their largest difference from ours.

  Args:
    ways: PyTorch's.
    expected: what we computed, call after call.
    read: a way's result as an array like ours.
    tolerance: largest mean difference allowed.

  Raises:
    ValueError: a way computes something else: there is nothing to compare.
  """
  found, error = {}, 0.0
  for name, work in ways.items():
    try:
      results = [read(work()) for _ in expected]
    except Exception as problem:  # whatever a compiler may raise
      reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
      logging.warning("%s does not work here: %s", name, reason[:200])
      continue
    pairs = zip(results, expected, strict=True)
    apart = [np.abs(theirs - ours) for theirs, ours in pairs]
    mean = max(float(difference.mean()) for difference in apart)
    if not mean <= tolerance:
      raise ValueError(
        f"{name} differs from ours by {mean:.3g}, more than {tolerance:g}"
      )
    found[name] = work
    error = max(error, *(float(difference.max()) for difference in apart))
  return found, error
