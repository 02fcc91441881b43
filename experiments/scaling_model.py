"""A model on paper of training on many devices: what moves, how long it takes.

  python experiments/scaling_model.py [--network=U1] [--rate=84,840]
      [--devices=1,8,64] [--batch=4,20,64]

Prints markdown tables. Nothing is measured here but the numbers of parameters
and BatchNorm layers, which are read off the networks.

A step of N devices with b patches each, patches computed at a given rate:

  compute   b / rate
  gradients each device sends 2 (N - 1) / N x 4 bytes a parameter (ring
            all-reduce), at its link's bandwidth, after 2 (N - 1) latencies
  BatchNorm 2 all-reduces a layer (forward and backward) of a few kilobytes:
            2 ceil(log2 N) latencies each (tree). XLA's compiled step of U1 on
            two CPU devices has 38 all-reduces, 33 of them below 200 numbers

Efficiency is compute over the whole: at worst nothing overlaps; at best the
gradients travel during the backward pass (two thirds of the compute) and only
what is left over is waited for. BatchNorm's sums can never overlap.
"""

import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import jax.numpy as jnp
from absl import app, flags

from lumbar_jax import models

_NETWORK = flags.DEFINE_string("network", "U1", "whose gradients are summed")
_RATE = flags.DEFINE_list("rate", ["84", "840"], "patches/s of one device")
_DEVICES = flags.DEFINE_list("devices", ["2", "8", "32", "128"], "N")
_BATCH = flags.DEFINE_list("batch", ["4", "20", "64"], "patches a device, b")
_IMAGES = flags.DEFINE_integer("images", 124_800, "patches in an epoch")

SIZE, CHANNELS, CLASSES = 256, 2, 12
# {name: (bytes/s of one device, seconds of latency)}
LINKS = {
  "NVLink 450 GB/s": (450e9, 5e-6),
  "InfiniBand 50 GB/s": (50e9, 10e-6),
  "InfiniBand 25 GB/s": (25e9, 10e-6),
  "10 GbE 1.25 GB/s": (1.25e9, 50e-6),
}
# Bytes of a pixel: float32 channels and a uint8 mask as stored; float32
# channels and int32 labels as sent to a device.
STORED, SENT = 4 * CHANNELS + 1, 4 * CHANNELS + 4


def counts(name: str) -> tuple[int, int]:
  """Returns a network's parameters and BatchNorm layers."""
  net = models.build(name, CLASSES)
  images = jnp.zeros((1, SIZE, SIZE, CHANNELS))
  shapes = jax.eval_shape(net.init, jax.random.key(0), images)
  leaves = jax.tree.leaves(shapes["params"])
  layers = len(jax.tree.leaves(shapes.get("batch_stats", {}))) // 2
  return sum(leaf.size for leaf in leaves), layers


def gradient_bytes(parameters: int, devices: int) -> float:
  """Returns what each device sends in a step."""
  return 2 * (devices - 1) / devices * 4 * parameters


def waits(
  parameters: int, layers: int, devices: int, link: tuple[float, float]
) -> tuple[float, float]:
  """Returns seconds for (gradients, BatchNorm) in a step."""
  bandwidth, latency = link
  gradients = gradient_bytes(parameters, devices) / bandwidth
  gradients += 2 * (devices - 1) * latency
  return gradients, 2 * layers * 2 * math.ceil(math.log2(devices)) * latency


def efficiency(compute: float, gradients: float, sums: float) -> tuple:
  """Returns (worst, best) shares of the time that is computing."""
  left_over = max(0.0, gradients - compute * 2 / 3)
  return (
    compute / (compute + gradients + sums),
    compute / (compute + left_over + sums),
  )


def _row(*cells) -> None:
  print("| " + " | ".join(map(str, cells)) + " |")


def show_moved(parameters: int, layers: int) -> None:
  """Prints bytes and times of a step's communication."""
  _row("devices", "MB sent by each", *(f"{name}, ms" for name in LINKS))
  _row("---:", "---:", *("---:" for _ in LINKS))
  for devices in map(int, _DEVICES.value):
    times = [waits(parameters, layers, devices, x) for x in LINKS.values()]
    _row(
      devices,
      f"{gradient_bytes(parameters, devices) / 1e6:.0f}",
      *(f"{1e3 * g:.1f} + {1e3 * s:.1f}" for g, s in times),
    )


def show_efficiency(parameters: int, layers: int) -> None:
  """Prints the efficiency, worst to best, for each link."""
  _row("patches/s", "b", "devices", *LINKS)
  _row("---:", "---:", "---:", *("---:" for _ in LINKS))
  for rate in map(float, _RATE.value):
    for batch in map(int, _BATCH.value):
      for devices in map(int, _DEVICES.value):
        found = [
          efficiency(batch / rate, *waits(parameters, layers, devices, link))
          for link in LINKS.values()
        ]
        cells = (
          f"{100 * worst:.0f}-{100 * best:.0f} %" for worst, best in found
        )
        _row(f"{rate:g}", batch, devices, *cells)


def show_data() -> None:
  """Prints what storage and buses have to deliver."""
  patch, sent = STORED * SIZE**2, SENT * SIZE**2
  whole = 1e-9 * patch * _IMAGES.value
  print(
    f"A patch is {patch / 1e3:.0f} kB as stored and {sent / 1e3:.0f} kB as "
    f"sent to a device; {_IMAGES.value} of them are {whole:.1f} GB "
    f"({4 * whole:.0f} GB if they are slices of twice the side).\n"
  )
  _row("patches/s a device", "devices", "from storage, GB/s",
       "to each device, GB/s", "an epoch")  # fmt: skip
  _row("---:", "---:", "---:", "---:", "---:")
  for rate in map(float, _RATE.value):
    for devices in (1, *map(int, _DEVICES.value)):
      seconds = _IMAGES.value / (rate * devices)
      _row(
        f"{rate:g}",
        devices,
        f"{rate * devices * patch / 1e9:.2f}",
        f"{rate * sent / 1e9:.2f}",
        f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min",
      )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  parameters, layers = counts(_NETWORK.value)
  print(
    f"{_NETWORK.value}: {parameters} parameters, {4e-6 * parameters:.0f} MB of "
    f"gradients, {layers} BatchNorm layers\n\n"
    "### What moves in a step (ms: gradients + BatchNorm)\n"
  )
  show_moved(parameters, layers)
  print("\n### Efficiency, nothing overlapping to all that can\n")
  show_efficiency(parameters, layers)
  print("\n### Data\n")
  show_data()


if __name__ == "__main__":
  app.run(main)
