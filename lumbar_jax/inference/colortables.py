"""Label tables for the viewers in which masks are opened."""

from pathlib import Path

from lumbar_jax.anatomy import Scheme, write_dseg_tsv
from lumbar_jax.escaping import one_line
from lumbar_jax.files import write_text

_ITKSNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Where:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def _rows(scheme: Scheme):
  """Yields (number in the file, name, (r, g, b), opacity 0 or 1)."""
  structures = zip(scheme.indices, scheme.structures, strict=True)
  for number, structure in structures:
    # One line, and no quote within quotes: else the table cannot be read.
    name = one_line(structure.name).replace('"', "'")
    yield number, name, structure.rgb, int(number != 0)


def itksnap(scheme: Scheme) -> str:
  """Returns an ITK-SNAP label description file (Import Label Descriptions)."""
  rows = [
    f"{number:5d} {r:5d} {g:4d} {b:4d} {opaque:8d} {opaque:2d} {opaque:2d}"
    f'    "{name}"\n'
    for number, name, (r, g, b), opaque in _rows(scheme)
  ]
  return _ITKSNAP_HEAD + "".join(rows)


def slicer(scheme: Scheme) -> str:
  """Returns a 3D Slicer colour table (number, name, r, g, b, a)."""
  rows = [
    f"{number} {name.replace(' ', '_')} {r} {g} {b} {255 * opaque}\n"
    for number, name, (r, g, b), opaque in _rows(scheme)
  ]
  return f"# Color table: lumbar_jax, {scheme.name}\n" + "".join(rows)


def write_tables(folder: str | Path, scheme: Scheme) -> None:
  """Writes `dseg.tsv`, `itksnap_labels.txt` and `slicer_colors.ctbl`."""
  folder = Path(folder)
  write_dseg_tsv(folder / "dseg.tsv", scheme)
  write_text(folder / "itksnap_labels.txt", itksnap(scheme))
  write_text(folder / "slicer_colors.ctbl", slicer(scheme))
