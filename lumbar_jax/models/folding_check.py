"""Does a folded network give what the network gives? For any of `names()`.

Everything that could hide a fault is random: parameters, and statistics whose
means are not 0 and whose variances are far from 1.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lumbar_jax import models
from lumbar_jax.models.inference import fold

TOLERANCE = 1e-4  # of the largest score; rounding of float32 alone is below
LEAST_AGREEMENT = 0.999  # of the pixels, where two scores may be equal


@dataclasses.dataclass(frozen=True)
class Difference:
  """What folding changes in a network's results.

  Attributes:
    shape: of the images.
    num_folded: normalisations that are folded.
    error: largest difference of any map, relative to that map's largest value.
    agreement: share of pixels with the same label.
  """

  shape: tuple[int, ...]
  num_folded: int
  error: float
  agreement: float

  @property
  def equal(self) -> bool:
    return self.error <= TOLERANCE and self.agreement >= LEAST_AGREEMENT

  def __str__(self) -> str:
    return (
      f"images {' x '.join(map(str, self.shape))}, {self.num_folded} folded, "
      f"differs by {self.error:.1e}, {100 * self.agreement:.3f} % labels equal"
    )


def random_variables(
  net: nn.Module, shape: tuple[int, ...], seed: int = 0
) -> dict[str, Any]:
  """Returns linen variables as after a training that went anywhere.

  Kernels and scales are small: the deepest networks would overflow otherwise.

  Args:
    net: the network.
    shape: (b, h, w, c) of images.
    seed: of what is drawn.
  """
  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  found = dict(jax.eval_shape(net.init, jax.random.key(0), images))
  rng = np.random.default_rng(seed)

  def fill(path, leaf):
    values = rng.standard_normal(leaf.shape)
    match path[-1].key:
      case "var":
        values = np.exp(values)
      case "scale":
        values = 0.6 + 0.2 * values
      case "kernel":
        values /= np.sqrt(np.prod(leaf.shape[:-1]))
      case _:
        values *= 0.3
    return values.astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, found)


def build(name: str, width: int, size: int, **overrides: Any):
  """Returns a narrow network, and images [1 h w 2] that are hard on it.

  Args:
    name: one of `models.names()`.
    width: of the network.
    size: about that many rows. Columns are 32 more, where they need not be as
      many; both are odd where the network takes such.
    **overrides: of `models.build`.
  """
  multiple = models.module(name).size_multiple
  fields = {f.name for f in dataclasses.fields(models.module(name))}
  square = "image_size" in fields
  if square and "TransUNet" in name:
    multiple = 16
  rows = max(size // multiple, 1) * multiple
  rows += (rows + 1) % 2 if multiple == 1 else 0
  columns = rows if square else rows + 32
  net = models.build(name, 4, rows, width=width, **overrides)
  shape = (1, rows, columns, 2)
  images = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
  return net, images


def compare(net: nn.Module, images: np.ndarray) -> Difference:
  """Compares all results of a network with those of its folded form.

  Args:
    net: any network.
    images: [b h w c].
  """
  variables = random_variables(net, images.shape)
  folded, smaller = fold(net, variables, images.shape)

  @jax.jit
  def both(variables, smaller, images):
    plain = net.apply(variables, images, train=False)
    return plain, folded.apply(smaller, images)

  plain, ours = both(variables, smaller, images)
  errors = jax.tree.map(
    lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(a).max()), plain, ours
  )
  same = plain.logits.argmax(-1) == ours.logits.argmax(-1)
  return Difference(
    *(images.shape, len(folded.norms)),
    error=max(jax.tree.leaves(errors)),
    agreement=float(same.mean()),
  )
