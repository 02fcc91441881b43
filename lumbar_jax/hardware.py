"""What this process runs on, as far as the operating system says."""

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def _cpu_field(*names: str) -> str:
  """Returns a field of the first processor, "" where there is none."""
  try:
    lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
  except OSError:  # not Linux
    return ""
  for line in lines:
    name, _, value = line.partition(":")
    if name.strip() in names:
      return value.strip()
  return ""


def cpu_model() -> str:
  """Returns the processor's name, or its architecture."""
  return _cpu_field("model name") or platform.processor() or platform.machine()


def cpu_features() -> str:
  """Returns the processor's instruction sets, "" where they are not known."""
  return _cpu_field("flags", "Features")


def num_cores() -> int:
  """Returns how many processors this process may use."""
  try:
    return len(os.sched_getaffinity(0))
  except AttributeError:  # not Linux
    return os.cpu_count() or 1


def device_name() -> str:
  """Returns the first accelerator's name, or the processor's with its cores."""
  import jax

  device = jax.devices()[0]
  if device.platform != "cpu":
    return device.device_kind
  return f"{cpu_model()}, {num_cores()} cores"


def graphics_cards() -> list[str]:
  """Returns the names of NVIDIA's cards, as the driver tells without using one.

  JAX is not asked: that would take a card's memory.
  """
  names = []
  for path in sorted(_NVIDIA.glob("*/information")):
    try:
      text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
      continue
    fields = dict(
      line.split(":", 1) for line in text.splitlines() if ":" in line
    )
    names.append(fields.get("Model", "an NVIDIA card").strip())
  return names
