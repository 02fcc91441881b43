"""What this process runs on, as far as the operating system says."""

import contextlib
import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_LIMITS = (
  Path("/sys/fs/cgroup/memory.max"),
  Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
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


def memory_gb() -> float:
  """Returns the memory that this process may use, in GB; 0 if not known."""
  found = []
  with contextlib.suppress(AttributeError, OSError, ValueError):  # not POSIX
    found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
  for path in _LIMITS:  # a container's
    try:
      found.append(int(path.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such file, or "max"
      continue
  return min(found) / 1e9 if found else 0.0


def describe() -> str:
  """Returns all devices, cores and the memory in a line; asks JAX."""
  import jax

  devices = jax.devices()
  kinds = dict.fromkeys(f"{d.device_kind} ({d.platform})" for d in devices)
  text = f"{len(devices)} x {', '.join(kinds)}"
  if devices[0].platform == "cpu":
    text = f"{len(devices)} x CPU ({cpu_model()})"
  else:
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
      text += f", {stats['bytes_limit'] / 1e9:.0f} GB each"
  if jax.process_count() > 1:
    text += f" in {jax.process_count()} processes"
  return f"{text}; {num_cores()} cores, {memory_gb():.0f} GB of memory"


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
