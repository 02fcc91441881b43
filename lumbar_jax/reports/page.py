"""The templates' common ground: how a report is put together and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from lumbar_jax.files import write_text

NAMES_SHOWN = 40  # patients of a part
_TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, template: str, context: Mapping[str, Any]) -> Path:
  """Writes a page atomically.

  Args:
    path: the file.
    template: its name in `templates/`.
    context: everything that the template names.

  Returns:
    The file's path.
  """
  text = _environment().get_template(template).render(context)
  text = text.encode("utf-8", "backslashreplace").decode("utf-8")
  write_text(path, text)
  return path


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  filters = {"score": score, "span": _span, "plain": _plain, "names": _names}
  environment.filters |= filters | {"mm": _mm, "p": _p, "change": _change}
  return environment


def score(value: float) -> str:
  """Returns "0.912", or a dash for NaN (an absent class)."""
  return "–" if np.isnan(value) else f"{value:.3f}"


def _mm(value: float) -> str:
  """Returns "3.25", or a dash for NaN (no distance was measured)."""
  return "–" if np.isnan(value) else f"{value:.2f}"


def _p(value: float) -> str:
  """Returns ".031", "<.001" as p-values are written, or a dash for NaN."""
  if np.isnan(value):
    return "–"
  if value < 0.0005:
    return "<.001"
  return f"{value:.3f}".removeprefix("0")


def _change(value: float) -> str:
  """Returns "+0.003" or "−0.002", nothing but 0 if it rounds to that."""
  if np.isnan(value):
    return "–"
  text = f"{value:+.3f}".replace("-", "−")
  return "0" if float(f"{value:.3f}") == 0 else text


def _span(row: Mapping[str, Any], name: str) -> str:
  """Returns "0.893–0.931", or nothing without an interval."""
  low, high = row[f"{name}_low"], row[f"{name}_high"]
  return "" if np.isnan(low) else f"{low:.3f}–{high:.3f}"


def _plain(value: Any) -> str:
  """Returns a config value as one would write it."""
  if isinstance(value, list | tuple):
    return ", ".join(map(_plain, value)) or "none"
  return "(empty)" if value == "" else str(value)


def _names(names: Sequence[str]) -> str:
  """Returns names with commas; of many only the first."""
  more = len(names) - NAMES_SHOWN
  shown = ", ".join(names[:NAMES_SHOWN])
  return f"{shown} and {more} more (see splits.json)" if more > 0 else shown
