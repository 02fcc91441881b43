"""Measures what `config.model.remat` saves of a train step's memory.

  python experiments/measure_memory.py [--names=U1,UMD,UVDD,FCN] [--batch=1,4]

Prints a markdown table. Working memory is XLA's own figure: all buffers of the
compiled step but its state and batch. The peak is the process' largest
resident set after one step, Python, XLA's compiler and the state included (on a
GPU: what JAX held there); each is measured in a process of its own. Input and
weights are zeros: memory does not depend on values.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

import jax
import jax.numpy as jnp
from absl import app, flags

from lumbar_jax import config, models
from lumbar_jax.benchmarks.memory import peak_mib
from lumbar_jax.training.engine import make_engine
from lumbar_jax.training.optimizers import make_optimizer

_NAMES = flags.DEFINE_list("names", ["U1", "UMD", "UVDD", "FCN"], "networks")
_BATCH = flags.DEFINE_list("batch", ["1", "4"], "patches in a batch")
_REMAT = flags.DEFINE_list("remat", ["False", "True"], "config.model.remat")
_WIDTH = flags.DEFINE_integer("width", 64, "channels of the first level")
_SIZE = flags.DEFINE_integer("size", 256, "rows and columns of a patch")
_HERE = flags.DEFINE_bool("here", False, "measure one case in this process")

CLASSES, CHANNELS = 12, 2


def measure(name: str, batch: int, remat: bool) -> dict[str, float]:
  """Returns working memory and peak in MiB."""
  settings = config.default()
  settings.data.patch_size = size = _SIZE.value
  settings.training.batch_size = batch
  net = models.build(name, CLASSES, width=_WIDTH.value, remat=remat)
  row = models.topology(name)
  optimizer = make_optimizer(row.optimizer, row.learning_rate)
  engine = make_engine(net, optimizer, settings)
  patches = {
    "images": jnp.zeros((batch, size, size, CHANNELS)),
    "labels": jnp.zeros((batch, size, size), jnp.int32),
  }
  step = engine.train_step.lower(engine.abstract, patches).compile()
  state = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype, device=x.sharding), engine.abstract
  )
  jax.block_until_ready(step(state, patches))
  return {
    "working": step.memory_analysis().temp_size_in_bytes / 2**20,
    "peak": peak_mib(),
  }


def measure_apart(name: str, batch: str, remat: str) -> dict[str, float]:
  """Measures in a fresh process, whose peak is this case's alone."""
  flags_ = [f"--{f}={flags.FLAGS[f].value}" for f in ("width", "size")]
  case = [f"--names={name}", f"--batch={batch}", f"--remat={remat}", "--here"]
  done = subprocess.run(
    [sys.executable, __file__, *case, *flags_],
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  if _HERE.value:
    case = _NAMES.value[0], int(_BATCH.value[0]), _REMAT.value[0] == "True"
    print(json.dumps(measure(*case)))
    return
  print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}\n")
  print("| network | batch | remat | working MiB | peak MiB |")
  print("|---|---|---|---|---|")
  for name in _NAMES.value:
    for batch in _BATCH.value:
      for remat in _REMAT.value:
        found = measure_apart(name, batch, remat)
        print(
          f"| {name} | {batch} | {remat} | {found['working']:.0f} "
          f"| {found['peak']:.0f} |",
          flush=True,
        )


if __name__ == "__main__":
  app.run(main)
