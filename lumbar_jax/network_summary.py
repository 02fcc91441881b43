"""What `launch.py --mode=summary` shows of a network; no data are needed."""

from pathlib import Path
from typing import Any

from absl import logging

from lumbar_jax import anatomy
from lumbar_jax import config as config_lib
from lumbar_jax.errors import InputError
from lumbar_jax.runs import Run, load_run


def summarise(config: Any, workdir: Path | None) -> None:
  """Logs a network's blocks and costs, and draws its diagram.

  Args:
    config: of the network, or None where the run in `workdir` is meant.
    workdir: where the diagram goes; ./summary by default.

  Raises:
    InputError: neither of them, or a bad config.
  """
  from lumbar_jax.models.summary import format_table, summarize
  from lumbar_jax.reports import diagram
  from lumbar_jax.training.networks import build_network

  run = _described(config, workdir)
  name, data = run.config.model.name, run.config.data
  image = (data.patch_size, data.patch_size, len(data.channels))
  found = summarize(build_network(run), image)
  size = " x ".join(map(str, image))
  logging.info("%s for patches of %s\n%s", name, size, format_table(found))
  figure = diagram.draw(found, name)
  if figure is None:
    logging.info("there is no diagram for networks of this kind")
  else:
    paths = diagram.write(figure, run.folder / name)
    logging.info("diagram: %s", ", ".join(map(str, paths)))


def _described(config: Any, workdir: Path | None) -> Run:
  """Returns the run of --config, begun or not, or the one in --workdir."""
  if config is None and workdir is None:
    raise InputError(
      "--config is missing",
      "give --config=configs/NAME.py, or the --workdir of a run",
    )
  if config is None:
    return load_run(workdir)
  config = config.copy_and_resolve_references()
  data = config.data  # no slice is cut here: any size of patches will do
  data.patch_stride = min(data.patch_stride, data.patch_size)
  config_lib.validate(config)
  scheme = anatomy.load_scheme(config.data.scheme)
  return Run(workdir or Path("summary"), config, scheme)
