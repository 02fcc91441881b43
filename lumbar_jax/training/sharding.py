"""One mesh (data, member) over the devices of all processes.

In training the batch is split over its data axis and the state is whole; in an
ensemble the members are split over the other one (`ensembles.members`).
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lumbar_jax.errors import InputError


def grid(devices: Sequence[jax.Device], num_members: int = 1) -> Mesh:
  """Returns a mesh with the axes "data" and "member".

  Devices keep their order, process by process, so that each process holds a
  run of rows of whatever is split over "data" (see `process_share`).

  Args:
    devices: a multiple of `num_members`.
    num_members: devices along "member".
  """
  ordered = sorted(devices, key=lambda device: device.process_index)
  return Mesh(
    np.array(ordered).reshape(-1, num_members),
    ("data", "member"),
    axis_types=(AxisType.Auto,) * 2,
  )


def process_share(mesh: Mesh) -> tuple[int, int]:
  """Returns (this process' place, number) among those of a mesh.

  Raises:
    InputError: they have unequally many devices, so no equal shares of a batch.
  """
  owners = [device.process_index for device in mesh.devices.flat]
  processes = sorted(set(owners))
  if len({owners.count(process) for process in processes}) > 1:
    counts = ", ".join(str(owners.count(process)) for process in processes)
    raise InputError(
      f"the processes have {counts} devices",
      "give all of them equally many",
    )
  return processes.index(jax.process_index()), len(processes)


def make_mesh(batch_size: int, devices=None) -> Mesh:
  """Returns a mesh of all devices along "data".

  Raises:
    InputError: the batch cannot be split evenly.
  """
  devices = jax.devices() if devices is None else devices
  if batch_size % len(devices):
    near = max(1, round(batch_size / len(devices))) * len(devices)
    raise InputError(
      f"config.training.batch_size {batch_size} cannot be split over "
      f"{len(devices)} devices",
      f"give a multiple of {len(devices)}, for example {near}",
    )
  return grid(devices)


def replicated(mesh: Mesh) -> NamedSharding:
  """Whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
  """First axis split over the devices of the data axis."""
  return NamedSharding(mesh, PartitionSpec("data"))


# XLA for CPUs removes the barriers of jax.checkpoint before it merges common
# subexpressions, so that nothing would be recomputed: `config.model.remat`
# would save no memory. GPUs keep the barriers.
_COMPILER_OPTIONS = {"cpu": {"xla_disable_hlo_passes": "cse_barrier_expander"}}


# Initialisation runs once: more optimisation than this takes several times as
# long to compile (U1 on a CPU: 13 s against 4 s) and gives the same bits.
_RUN_ONCE = {"cpu": {"xla_backend_optimization_level": 1}}


def jit_create(create, mesh: Mesh):
  """Compiles what makes a fresh state, whole on every device of a mesh."""
  return jax.jit(
    create,
    out_shardings=replicated(mesh),
    compiler_options=_RUN_ONCE.get(mesh.devices.flat[0].platform),
  )


def jit_train_step(step, mesh: Mesh):
  """Compiles a train step for a mesh; the old state's memory is reused."""
  whole, parts = replicated(mesh), split(mesh)
  return jax.jit(
    step,
    in_shardings=(whole, parts),
    out_shardings=(whole, whole),
    donate_argnums=0,
    compiler_options=_COMPILER_OPTIONS.get(mesh.devices.flat[0].platform),
  )


def jit_eval_step(step, mesh: Mesh):
  """Compiles an evaluation step for a mesh."""
  whole, parts = replicated(mesh), split(mesh)
  return jax.jit(step, in_shardings=(whole, parts), out_shardings=whole)


def put_batch(batch, mesh: Mesh):
  """Sends a process' share of a batch to the devices."""
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(split(mesh), x), batch
  )
