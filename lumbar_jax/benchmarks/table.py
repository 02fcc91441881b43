"""Benchmark records for people: a markdown table, and a small chart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lumbar_jax.benchmarks.records import Record

HEAD = ("case", "ours", "beside", "of", "ours / beside", "range", "note")
STAGES = (  # of a study, then of a process' start, in their order
  *("start", "load", "read", "register", "prepare", "network", "reconstruct"),
  *("label", "overlay", "write", "other"),
  *("import", "config", "device", "initial weights", "first train step"),
  "first scores",
)
TORCH = "torch"  # what the peers' names begin with that are PyTorch's


def figure(value: float | None, unit: str = "s") -> str:
  """Writes "1.23 s", "4.5 ms", "84 patches/s"; "" of None."""
  if value is None:
    return ""
  if unit == "s" and abs(value) < 1:
    return f"{value * 1e3:.3g} ms"
  return f"{value:.3g} {unit}" if abs(value) < 1000 else f"{value:.0f} {unit}"


def _row(record: Record) -> tuple[str, ...]:
  unit = record.get("unit", "s")
  names = ("ours_s", "peer_s") if unit == "s" else ("ours", "peer_value")
  ours, beside = (figure(record.get(name), unit) for name in names)
  ratio, spread = record["ratio"], record.get("ratio_range")
  return (
    record["name"],
    ours,
    beside,
    record["peer"] or "",
    "" if ratio is None else f"{ratio:.2f}",
    "{:.2f} to {:.2f}".format(*spread) if spread else "",
    record.get("note", ""),
  )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  lines = [head, ["---"] * len(head), *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_table(records: Sequence[Record]) -> str:
  """Returns markdown: a table for each device, and one of the stages."""
  parts = []
  for device in dict.fromkeys(record["device"] for record in records):
    own = [record for record in records if record["device"] == device]
    parts += [_caption(device, own), _markdown(HEAD, list(map(_row, own)))]
    staged = [record for record in own if record.get("stages")]
    if staged:
      parts += ["Seconds by stage:", _stages(staged)]
  return "\n\n".join(parts)


def _caption(device: str, records: Sequence[Record]) -> str:
  versions = records[-1].get("versions", {})
  text = ", ".join(f"{name} {number}" for name, number in versions.items())
  loads = [record["load"] for record in records if "load" in record]
  load = f"; load average {min(loads):.1f} to {max(loads):.1f}" if loads else ""
  return f"**{device}** ({text}{load})"


def _stages(records: Sequence[Record]) -> str:
  known = dict.fromkeys(name for r in records for name in r["stages"])
  names = [name for name in STAGES if name in known]
  names += [name for name in known if name not in STAGES]
  rows = [
    (r["name"], *(_seconds(r["stages"].get(name)) for name in names))
    for r in records
  ]
  return _markdown(("case", *names), rows)


def _seconds(value: float | None) -> str:
  return "" if value is None else f"{value:.2f}"


def draw(records: Sequence[Record]) -> Any | None:
  """Draws our time over PyTorch's, a bar a case; shorter is quicker.

  Returns:
    A matplotlib figure; None where nothing was measured beside PyTorch.
  """
  from matplotlib.figure import Figure

  from lumbar_jax.reports.style import LIGHT, style

  rows = [
    record
    for record in records
    if record["ratio"] is not None and record["peer"].startswith(TORCH)
  ][::-1]
  if not rows:
    return None
  devices = dict.fromkeys(record["device"] for record in rows)
  labels = [
    r["name"] if len(devices) == 1 else f"{r['name']}\n{r['device']}"
    for r in rows
  ]
  ratios = [record["ratio"] for record in rows]
  with style():
    canvas = Figure(figsize=(6.6, 0.9 + 0.26 * len(rows) * len(devices)))
    axes = canvas.subplots()
    colors = [LIGHT.accent if r <= 1 else LIGHT.muted for r in ratios]
    bars = axes.barh(range(len(rows)), ratios, 0.62, color=colors)
    axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3)
    axes.axvline(1, color=LIGHT.ink, lw=1)
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xlim(0, 1.12 * max(1.0, *ratios))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("time / PyTorch's time (1: as quick; shorter: quicker)")
    axes.set_title(", ".join(devices))
  return canvas


def write(folder: str | Path, records: Sequence[Record]) -> str:
  """Writes benchmark.md and benchmark.png; returns the table."""
  from lumbar_jax.files import write_text

  text = format_table(records)
  write_text(Path(folder) / "benchmark.md", text + "\n")
  save_chart(Path(folder) / "benchmark.png", records)
  return text


def save_chart(path: str | Path, records: Sequence[Record]) -> bool:
  """Writes the chart; returns whether there was anything to draw."""
  from lumbar_jax.reports.style import save_png

  canvas = draw(records)
  if canvas is not None:
    save_png(path, canvas)
  return canvas is not None
