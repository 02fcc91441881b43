"""A simulator of sagittal lumbar MR studies with exact truth.

A test bed for everything between a study and its report: no patient data are
needed. What is measured on it is about the phantom, and says so.

    presets -> patient, tissues, scanner -> shapes -> acquisition -> MIDS tree
"""

from lumbar_jax.data.phantom.dataset import write_dataset
from lumbar_jax.data.phantom.motion import Motion
from lumbar_jax.data.phantom.presets import PRESETS, Preset, get_preset
from lumbar_jax.data.phantom.simulation import (
  Protocol,
  Simulation,
  draw_protocol,
  simulate,
)
from lumbar_jax.data.phantom.tissues import spin_echo

__all__ = [
  "PRESETS",
  "Motion",
  "Preset",
  "Protocol",
  "Simulation",
  "draw_protocol",
  "get_preset",
  "simulate",
  "spin_echo",
  "write_dataset",
]
