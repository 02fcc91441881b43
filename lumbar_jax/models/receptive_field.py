"""Which pixels of the input a pixel of a feature map sees, along one axis.

Up-sampling makes this differ from pixel to pixel, so the first and last input
pixel are kept for every pixel of a period instead of one size for the map.
Araujo et al. 2019 (distill.pub) have the rules for chains without up-sampling.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

_PERIOD = 1024  # input pixels; a multiple of every network's down-sampling


@dataclasses.dataclass(frozen=True)
class Window:
  """What one pixel of an operation's output sees of its input, on an axis.

  Output i sees the inputs p with 0 <= upsampling p - (stride i - pad) < size.

  Attributes:
    size: width of the kernel, dilation included.
    stride: of the output.
    pad: zeros before the (up-sampled) input.
    upsampling: stride of a transposed convolution.
  """

  size: int
  stride: int = 1
  pad: int = 0
  upsampling: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
  """The first and last input pixel that each pixel of a map sees.

  Attributes:
    low: [pixels of a period], may be negative: nothing is cut at borders.
    high: the same, included.
  """

  low: np.ndarray
  high: np.ndarray

  @property
  def size(self) -> int:
    """Width of the widest pixel's field, in input pixels."""
    return int((self.high - self.low).max()) + 1

  def at(self, pixel: int) -> tuple[int, int]:
    """Returns the first and the last input pixel that a pixel sees."""
    return int(self._take(self.low, pixel)), int(self._take(self.high, pixel))

  def _take(self, ends: np.ndarray, pixels) -> np.ndarray:
    """Reads beyond the period, where everything repeats a period further."""
    whole, rest = np.divmod(pixels, len(ends))
    return ends[rest] + _PERIOD * whole

  def through(self, window: Window) -> "Field | None":
    """Returns the field after an operation; None where no rule holds."""
    length, rest = divmod(len(self.low) * window.upsampling, window.stride)
    if rest or not length or window.size < window.upsampling:
      return None
    first = np.arange(length) * window.stride - window.pad
    last = first + window.size - 1
    return Field(
      self._take(self.low, -(-first // window.upsampling)),
      self._take(self.high, last // window.upsampling),
    )

  def shifted(self, start: int) -> "Field":
    """Returns the field of a map whose first `start` pixels are cut off."""
    pixels = np.arange(len(self.low)) + start
    return Field(self._take(self.low, pixels), self._take(self.high, pixels))


def input_field() -> Field:
  """Returns the field of the input itself."""
  pixels = np.arange(_PERIOD)
  return Field(pixels, pixels)


def join(fields: Sequence[Field | None]) -> Field | None:
  """Returns what a pixel sees through any of several maps of one size."""
  known = [field for field in fields if field is not None]
  if len(known) < len(fields) or len({len(f.low) for f in known}) != 1:
    return None
  return Field(
    np.minimum.reduce([field.low for field in known]),
    np.maximum.reduce([field.high for field in known]),
  )
