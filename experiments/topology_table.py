"""Writes the table of all networks, docs/topologies.md.

Also UMD's diagram, docs/UMD.png.

  python experiments/topology_table.py

Nothing in it is typed: it is what the topologies and their summaries give now.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

from absl import app

from lumbar_jax import anatomy, models
from lumbar_jax import config as config_lib
from lumbar_jax.files import write_text
from lumbar_jax.models.summary import Row, Summary, summarize
from lumbar_jax.reports import diagram
from lumbar_jax.reports.diagram_legend import describe, is_known, sign

PATH = ROOT / "docs" / "topologies.md"
PICTURE = "UMD"
_ACTIVATIONS = {"relu": "ReLU", "prelu": "PReLU"}
_OPTIMIZERS = {"adam": "Adam", "rmsprop": "RMSprop", "adadelta": "Adadelta"}
_TEXT = """# Topologies

<!-- Written by experiments/topology_table.py; do not edit. -->

The networks of `models/topology.py` with their own settings, at patches of
{image} and {classes} classes. MACs are multiply-accumulates of convolutions in
one forward pass of one image; the receptive field is how many pixels of the
input one pixel of the output can see along an axis. Blocks are named in the
order of execution:

{legend}

{table}

`python launch.py --mode=summary --config=configs/midas.py:NAME` lists a
network block by block and draws it:

![{picture}: blocks, sizes and what flows between them]({picture}.png)
"""
_HEAD = """\
| name | blocks | activation | optimizer, rate | parameters | GMACs | field px |
|---|---|---|---|---:|---:|---:|
"""
_EVERYWHERE = ("Activation", "TransposedConv")  # and "classify"


def summaries() -> tuple[dict[str, Summary], tuple[int, int, int], int]:
  """Returns every network's summary, the image's shape and the classes."""
  data = config_lib.default().data
  image = (data.patch_size, data.patch_size, len(data.channels))
  classes = anatomy.load_scheme(data.scheme).num_classes
  found = {
    name: summarize(models.build(name, classes), image)
    for name in models.names("000")
  }
  return found, image, classes


def _blocks(summary: Summary) -> list[Row]:
  """Returns the blocks, without what every network has."""
  return [
    row
    for row in summary.rows
    if row.kind not in _EVERYWHERE and row.block != "classify"
  ]


def _legend(found: dict[str, Summary]) -> str:
  rows = [row for summary in found.values() for row in _blocks(summary)]
  lines = [f"- {describe(row)}" for row in rows if is_known(row)]
  return "\n".join(dict.fromkeys(lines))


def _row(name: str, summary: Summary) -> str:
  recipe = models.topology(name)
  cells = (
    name,
    ", ".join(dict.fromkeys(sign(row)[0] for row in _blocks(summary))),
    _ACTIVATIONS[recipe.activation],
    f"{_OPTIMIZERS[recipe.optimizer]}, {recipe.learning_rate:g}",
    f"{summary.params:,}",
    f"{summary.macs / 1e9:.2f}",
    str(summary.receptive_field_px or "-"),
  )
  return f"| {' | '.join(cells)} |"


def table(found: dict[str, Summary]) -> str:
  """Returns the table, a line a network."""
  return _HEAD + "\n".join(_row(name, found[name]) for name in found)


def page(found: dict[str, Summary], image, classes: int) -> str:
  """Returns the text of docs/topologies.md."""
  return _TEXT.format(
    image=" x ".join(map(str, image)),
    classes=classes,
    legend=_legend(found),
    table=table(found),
    picture=PICTURE,
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  found, image, classes = summaries()
  write_text(PATH, page(found, image, classes))
  figure = diagram.draw(found[PICTURE], PICTURE)
  picture, drawing = diagram.write(figure, PATH.parent / PICTURE)
  drawing.unlink()
  print(f"wrote {PATH} and {picture}")


if __name__ == "__main__":
  app.run(main)
