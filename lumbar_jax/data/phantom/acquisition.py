"""From anatomy to image: partial volume, texture, receive field, noise."""

import dataclasses
from typing import Any

import numpy as np

from lumbar_jax.anatomy import PHANTOM
from lumbar_jax.data.phantom.canvas import Fields
from lumbar_jax.data.phantom.chart import Noise
from lumbar_jax.data.phantom.motion import Motion
from lumbar_jax.data.phantom.presets import Preset
from lumbar_jax.data.phantom.scanner import SLICE_FILL, Grid
from lumbar_jax.data.phantom.shapes import Anatomy
from lumbar_jax.data.phantom.tissues import ID, Body


def _subsampled(fields: Fields, count: tuple[int, int]) -> Fields:
  """Spreads fields [h w] to in-plane sub-samples [rows columns h w].

  The fields are smooth at the scale of a pixel, so their slopes suffice; the
  threads of the cauda are finer and are taken at the pixel's centre.
  """
  shape = fields.s.shape
  offsets = [
    ((np.arange(n) + 0.5) / n - 0.5).astype(np.float32).reshape(-1, 1, 1)
    for n in count
  ]
  down, along = offsets[0][:, None], offsets[1][None]
  spread = {}
  for field in dataclasses.fields(Fields):
    value = getattr(fields, field.name)
    if field.name == "strands":
      spread[field.name] = np.broadcast_to(value, (*count, *shape))
      continue
    slope_down, slope_along = np.gradient(value)
    spread[field.name] = value + down * slope_down + along * slope_along
  return Fields(**spread)


def _majority(labels: np.ndarray) -> np.ndarray:
  """Returns the most frequent label of [samples h w]; ties: the lower one."""
  votes = np.zeros((PHANTOM.num_classes, labels[0].size), np.uint8)
  columns = np.arange(labels[0].size)
  for sample in labels.reshape(len(labels), -1):
    votes[sample, columns] += 1
  return votes.argmax(0).astype(np.uint8).reshape(labels.shape[1:])


def _slice(anatomy, grid, motion, signal, texture, samples, index):
  """Samples one slice: (signal, its texture's amplitude, label), [h w]."""
  total = np.zeros(grid.shape[1:], np.float32)
  grain = np.zeros_like(total)
  labels = []
  through = ((np.arange(samples[0]) + 0.5) / samples[0] - 0.5) * SLICE_FILL
  for offset in through:
    points = np.stack(np.broadcast_arrays(*grid.plane(index + offset)), -1)
    points = np.moveaxis(motion.t1w_to_t2w(points), -1, 0)
    canvas = anatomy.paint(_subsampled(anatomy.fields(points), samples[1:]))
    values = signal[canvas.tissue, canvas.label]
    total += values.mean((0, 1))
    grain += (values * texture[canvas.tissue]).mean((0, 1))
    labels.append(canvas.label.reshape(-1, *total.shape))
  return (
    total / samples[0],
    grain / samples[0],
    _majority(np.concatenate(labels)),
  )


def _receive_field(rng, points, strength: float, saturation: float):
  """Returns the coil's sensitivity and the saturation band's share, [h w].

  A spine coil lies under the back; a band in front of the spine often takes
  the signal (and the motion artefacts) of the bowel away.
  """
  x, y, z = (p / 100 for p in points)
  slope = rng.normal(0, 0.35 * strength, 4)
  smooth = slope[0] * x + slope[1] * z + slope[2] * z * z + slope[3] * y * z
  coil = np.exp(-(y + 0.2) * strength * rng.uniform(0.6, 1.6) + smooth)
  edge = rng.uniform(45, 60) / 100
  band = 1 - saturation / (1 + np.exp(-(y - edge) / 0.05))
  return (coil * band).astype(np.float32)


def _grain(noise: Noise, points: np.ndarray, channel: int) -> np.ndarray:
  """Returns tissue texture: one part is common to all images, two are not."""
  at = np.moveaxis(points, -1, 0).astype(np.float32)
  shared, own = noise.at(at, 2.0, 6), noise.at(at, 1.1, channel)
  return 0.6 * (shared + own + noise.at(at, 9.0, channel + 1))


def acquire(
  anatomy: Anatomy,
  body: Body,
  grid: Grid,
  sidecar: dict[str, Any],
  motion: Motion,
  preset: Preset,
  rng: np.random.Generator,
  grain_channel: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Makes an image and the labels on its grid.

  Args:
    anatomy: the patient, at rest in the T2w image.
    body: the patient's tissues.
    grid: where to sample.
    sidecar: RepetitionTime and EchoTime in seconds.
    motion: of the patient at this acquisition.
    preset: supersampling, texture, bias, signal-to-noise ratio.
    rng: numpy Generator of bias and noise.
    grain_channel: which noise field makes this image's own texture.

  Returns:
    int16 [n h w] image and uint8 [n h w] PHANTOM labels.
  """
  tr_ms, te_ms = (
    1000 * sidecar[name] for name in ("RepetitionTime", "EchoTime")
  )
  signal = body.signal(tr_ms, te_ms)
  image = np.zeros(grid.shape, np.float32)
  labels = np.zeros(grid.shape, np.uint8)
  coil_seed = int(rng.integers(2**31))
  for index in range(grid.shape[0]):
    value, grain, labels[index] = _slice(
      anatomy, grid, motion, signal, body.texture, preset.supersampling, index
    )
    points = np.stack(np.broadcast_arrays(*grid.plane(index)), -1)
    noise = _grain(anatomy.noise, motion.t1w_to_t2w(points), grain_channel)
    value += preset.texture * noise * grain
    coil = _receive_field(
      np.random.default_rng(coil_seed),
      np.moveaxis(points, -1, 0),
      preset.bias,
      anatomy.patient.saturation,
    )
    image[index] = np.maximum(value, 0) * coil
  return _digitise(image, signal, preset, rng), labels


def _digitise(image, signal, preset: Preset, rng) -> np.ndarray:
  """Adds Rician noise and scales to the scanner's whole numbers."""
  marrow = signal[ID["marrow"]].mean()
  sigma = marrow / rng.uniform(*preset.signal_to_noise)
  real, imaginary = rng.standard_normal((2, *image.shape), np.float32) * sigma
  magnitude = np.hypot(image + real, imaginary)
  scale = rng.uniform(180, 420) / marrow
  return np.clip(np.rint(magnitude * scale), 0, 32767).astype(np.int16)
