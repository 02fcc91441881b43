"""How the reports' figures look, and their way into a page."""

import dataclasses
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave

from lumbar_jax.files import atomic_path

DPI = 110


@dataclasses.dataclass(frozen=True)
class Theme:
  """Colours of the page that a chart stands on."""

  paper: str
  ink: str
  muted: str
  rule: str
  grid: str
  accent: str


LIGHT = Theme("#ffffff", "#1d2127", "#667080", "#dfe2e7", "#eceef1", "#0b5cad")
DARK = Theme("#141414", "#e6e8eb", "#98a1ad", "#454a52", "#26292d", "#6db3ff")


@contextmanager
def style(theme: Theme = LIGHT, formulas: bool = False) -> Iterator[None]:
  """Draws with the reports' fonts and a theme's colours inside the block.

  Args:
    theme: colours.
    formulas: whether $...$ is a formula; names from files may hold a $.
  """
  switched_off = ("axes.spines.top", "axes.spines.right", "legend.frameon")
  settings = {
    "figure.facecolor": theme.paper,
    "axes.facecolor": theme.paper,
    "font.size": 8.5,
    "text.color": theme.ink,
    "axes.labelcolor": theme.muted,
    "axes.edgecolor": theme.rule,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": theme.grid,
    "xtick.labelcolor": theme.ink,
    "ytick.labelcolor": theme.ink,
    "text.parse_math": formulas,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
  }
  with mpl.rc_context(settings | dict.fromkeys(switched_off, False)):
    yield


def to_png(figure: Figure, dpi: int = DPI) -> bytes:
  """Returns a figure as PNG, the same bytes for the same figure."""
  file = io.BytesIO()
  figure.savefig(
    file,
    format="png",
    dpi=dpi,
    bbox_inches="tight",
    pad_inches=0.08,
    facecolor=figure.get_facecolor(),
    metadata={"Software": None},
  )
  return file.getvalue()


def save_png(path: str | os.PathLike, figure: Figure, dpi: int = DPI) -> None:
  """Writes a figure as a PNG file atomically."""
  with atomic_path(path) as scratch:
    scratch.write_bytes(to_png(figure, dpi))


def to_jpeg(path: str | os.PathLike, quality: int = 85) -> bytes:
  """Returns a PNG file as JPEG, a fraction of its size."""
  file = io.BytesIO()
  options = {"quality": quality}
  imsave(file, imread(path), format="jpeg", pil_kwargs=options)
  return file.getvalue()
