"""What the software costs on this machine, beside PyTorch where it is here.

Data   none: random patches, a phantom study, random weights
Peer   PyTorch, if `pip install -r requirements-benchmark.txt` was run (on a GPU
       PyTorch and jax[cuda...] for the same CUDA version); without it the
       peer's figures are empty
Cost   cpu (default): one to two hours on 2 cores; gpu: half an hour and 10 GB
       of disk; quick: minutes, and its figures mean nothing
Score  time / PyTorch's time below 1: see experiments/results

  python launch.py --config=configs/benchmark.py --workdir=runs/benchmark
  python launch.py --config=configs/benchmark.py:gpu --workdir=runs/benchmark \\
      --config.benchmark.only='train_step|forward/U1'

A case is known by its name, such as forward/UMD/float32/batch8; `only` picks
some. WORKDIR/benchmark.json keeps the last result of each case and device, so
that cases can be measured one by one, and machines side by side. Let nothing
else run meanwhile: each record says how many processes wanted a core.
"""

from lumbar_jax import config as config_lib
from lumbar_jax.variants import pick_variant


def get_config(variant="cpu"):
  variants = {"cpu": _cpu, "gpu": _gpu, "quick": _quick}
  change = pick_variant(variants, variant, __file__)
  config = config_lib.default()
  config.mode = "benchmark"
  change(config)
  return config


def _cpu(config):
  del config  # the defaults are for a CPU


def _gpu(config):
  config.data.num_workers = 8
  config.benchmark.update(
    studies=("U1", "E4", "E12x3"),
    study_repeats=5,
    dtypes=("float32", "bfloat16"),
    train_batches=(20, 64),
    num_steps=40,
    repeats=9,
  )


def _quick(config):
  config.data.update(patch_size=64, patch_stride=48)
  config.model.width = 4
  config.benchmark.update(
    networks=("U1", "FCN"),
    studies=("U1",),
    forward_batches=(1, 2),
    num_members=2,
    num_slices=3,
    slice_px=96,
    num_studies=4,
    repeats=2,
    study_repeats=1,
    peer_ways=("eager",),
  )
