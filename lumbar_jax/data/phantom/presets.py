"""How large, how fine and how hard a phantom data set is."""

import dataclasses

from lumbar_jax.errors import InputError, did_you_mean

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Channel:
  """What may be drawn for one of the two images.

  Times, angles and counts are the ranges of paper 000, Table 1.
  """

  repetition_time_ms: Range
  echo_time_ms: Range
  echo_train_length: Range
  flip_angle_deg: Range
  matrix_px: tuple[int, ...]  # one is drawn; repeats make it likelier
  pixel_spacing_mm: Range


@dataclasses.dataclass(frozen=True)
class Preset:
  """Everything that decides what `write_dataset` writes, but the seed.

  Attributes:
    num_patients: written unless the caller says otherwise.
    num_slices: fewest and most, both included.
    slice_spacing_mm: between slice centres.
    field_of_view_mm: side of the image, before the pixel spacing is clipped.
    supersampling: sub-samples of a voxel along (slice, row, column).
    max_rotation_deg: of T1w against T2w.
    max_translation_mm: of T1w against T2w, length of the vector.
    signal_to_noise: marrow signal over the noise's standard deviation.
    texture: relative standard deviation of the signal inside a tissue.
    variation: relative spread of T1, T2 and proton density between patients.
    bias: relative strength of the receive field's inhomogeneity.
    anatomy: scale of the deviations from the mean anatomy.
    lift_mm: how far the image's centre lies above that of a lumbar image, which
      shows T12 and seldom T11; with a tall field of view, up to T9.
  """

  num_patients: int
  num_slices: tuple[int, int]
  slice_spacing_mm: Range
  field_of_view_mm: Range
  supersampling: tuple[int, int, int]
  t2w: Channel
  t1w: Channel
  max_rotation_deg: float = 3.0
  max_translation_mm: float = 5.0
  signal_to_noise: Range = (14.0, 30.0)
  texture: float = 0.12
  variation: float = 0.08
  bias: float = 0.45
  anatomy: float = 1.0
  lift_mm: Range = (0.0, 0.0)


def _channels(matrices, spacings) -> dict[str, Channel]:
  """Returns both channels with Table 1's sequence parameters."""
  return {
    "t2w": Channel(
      (2000.0, 10172.214),
      (84.544, 145.0),
      (13, 36),
      (90.0, 170.0),
      matrices[0],
      spacings[0],
    ),
    "t1w": Channel(
      (300.0, 764.38),
      (6.824, 17.424),
      (2, 10),
      (80.0, 160.0),
      matrices[1],
      spacings[1],
    ),
  }


# Of paper 002's data: 12 to 15 slices, T10 in some patients and T9 in few. The
# anatomy ends 190 mm above L3, which is as high as the images may reach.
_TALL = {
  "slice_spacing_mm": (4.0, 4.8),
  "field_of_view_mm": (296.0, 316.0),
  "lift_mm": (0.0, 36.0),
}

PRESETS = {
  "tiny": Preset(
    num_patients=8,
    num_slices=(8, 8),
    slice_spacing_mm=(5.4, 6.0),
    field_of_view_mm=(250.0, 270.0),
    supersampling=(2, 2, 2),
    **_channels(((104, 112, 120), (96, 104, 112)), ((2.0, 2.6), (2.0, 2.7))),
  ),
  "demo": Preset(
    num_patients=14,
    num_slices=(8, 10),
    slice_spacing_mm=(4.6, 5.8),
    field_of_view_mm=(260.0, 280.0),
    supersampling=(2, 2, 2),
    **_channels(((192, 192, 200), (176, 192)), ((1.3, 1.5), (1.3, 1.6))),
  ),
  "paper": Preset(
    num_patients=75,
    num_slices=(8, 14),
    slice_spacing_mm=(3.6, 6.0),
    field_of_view_mm=(260.0, 300.0),
    supersampling=(2, 2, 2),
    **_channels(
      (
        (320, 384, 512, 512, 512, 512, 640, 768, 1024),
        (320, 384, 512, 512, 512, 640, 800),
      ),
      ((0.3704, 1.0), (0.4688, 1.0)),
    ),
  ),
  "tall": Preset(
    num_patients=25,
    num_slices=(12, 15),
    supersampling=(2, 2, 2),
    **_TALL,
    **_channels(((256, 256, 288), (224, 256)), ((1.0, 1.3), (1.1, 1.5))),
  ),
  "tall_tiny": Preset(
    num_patients=8,
    num_slices=(12, 12),
    supersampling=(1, 1, 1),
    **_TALL,
    **_channels(((104, 112, 120), (96, 104)), ((2.5, 3.1), (2.8, 3.3))),
  ),
}


def get_preset(preset: str | Preset) -> Preset:
  """Returns a preset by its name (a `Preset` passes through).

  Raises:
    InputError: no such preset.
  """
  if isinstance(preset, Preset):
    return preset
  if preset not in PRESETS:
    raise InputError(
      f"unknown phantom preset {preset!r}",
      did_you_mean(preset, PRESETS) + f"give one of {', '.join(PRESETS)}",
    )
  return PRESETS[preset]
