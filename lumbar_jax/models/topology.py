"""The topologies of papers 000 and 004 as data: a row each.

A letter of a U-Net's name is a block (paper 000, section 5.2): A attention
gates, D deep supervision, M multi-kernel input, V VGG16 encoder, Q dense
blocks.
To add a topology, add a row; to add a block, see `block_table`.
"""

import dataclasses

from lumbar_jax.choices import check_bool, check_choice, check_number
from lumbar_jax.models.block_table import ENCODERS, FUSIONS
from lumbar_jax.models.layers import ACTIVATIONS

OPTIMIZERS = ("adam", "rmsprop", "adadelta")


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What a row of Table 3 says of any network; all there is to say of FCN8.

  Attributes:
    activation: of the hidden convolutions, relu or prelu.
    optimizer: adam, rmsprop or adadelta.
    learning_rate: its initial (and only) learning rate.
    prelu_per_pixel: PReLU slopes by position, as Keras' default.
  """

  activation: str = "relu"
  optimizer: str = "adam"
  learning_rate: float = 3.3e-4
  prelu_per_pixel: bool = False

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them has a value that it cannot have.
    """
    check_choice("activation", self.activation, ACTIVATIONS)
    check_choice("optimizer", self.optimizer, OPTIMIZERS)
    check_number("learning_rate", self.learning_rate, 0, above=True)
    check_bool("prelu_per_pixel", self.prelu_per_pixel)


@dataclasses.dataclass(frozen=True)
class Topology(Recipe):
  """A U-Net's row of Table 3, and the readings that the paper leaves open.

  Attributes:
    encoder: U, V or Q: the convolution block of the descending branch, a
      letter of `block_table.ENCODERS`, which says what the ascending branch
      has: Q where this is Q, else U.
    multi_kernel: M before the first encoder block.
    fusion: what joins the branches: "skip", "attention", "ds1" or "ds2", of
      `block_table.FUSIONS`.
    ds3: DS.v3 between the decoder and the classification block.
    up_kernel: width of the transposed convolutions; 3 in the author's code.
    multi_kernel_depth: convolutions in a branch of M, 1 or 2.
    multi_kernel_divisor: a branch of M has width / divisor channels.
    gate_divisor: an attention gate has w_n / divisor inner channels.
    vgg_cap: the V bottleneck has 8 m channels (VGG16's 512), not 16 m.
    vgg_norm: batch normalisation inside V blocks.
    ds3_from_bottleneck: DS.v3 starts at T_5 instead of T_4.
  """

  encoder: str = "U"
  multi_kernel: bool = False
  fusion: str = "skip"
  ds3: bool = False
  up_kernel: int = 3
  multi_kernel_depth: int = 1
  multi_kernel_divisor: int = 1
  gate_divisor: int = 2
  vgg_cap: bool = False
  vgg_norm: bool = False
  ds3_from_bottleneck: bool = False

  def __post_init__(self):
    """Checks the fields.

    Raises:
      InputError: one of them has a value that it cannot have.
    """
    super().__post_init__()
    check_choice("encoder", self.encoder, ENCODERS)
    check_choice("fusion", self.fusion, FUSIONS)
    check_choice("up_kernel", self.up_kernel, (2, 3))
    check_choice("multi_kernel_depth", self.multi_kernel_depth, (1, 2))
    for name in ("multi_kernel_divisor", "gate_divisor"):
      check_number(name, getattr(self, name), 1, whole=True)
    for name in (
      *("multi_kernel", "ds3", "vgg_cap", "vgg_norm", "ds3_from_bottleneck"),
    ):
      check_bool(name, getattr(self, name))


# Paper 000, Table 3; UVAD and UVD are of the 2020 slides.
TOPOLOGIES: dict[str, Recipe] = {
  "FCN": Recipe(),
  "U1": Topology(optimizer="adadelta", learning_rate=1.0),
  "UA": Topology(fusion="attention"),
  "UD": Topology(ds3=True),
  "UAD": Topology(
    fusion="attention", ds3=True, optimizer="rmsprop", learning_rate=1e-3
  ),
  "UMD": Topology(multi_kernel=True, ds3=True),
  "UAMD": Topology(multi_kernel=True, fusion="attention", ds3=True),
  "UVMD": Topology(encoder="V", multi_kernel=True, ds3=True),
  "UVDD": Topology(encoder="V", fusion="ds1", ds3=True, activation="prelu"),
  "UQD": Topology(encoder="Q", ds3=True),
  "UDD": Topology(fusion="ds1", ds3=True),
  "UMDD": Topology(multi_kernel=True, fusion="ds1", ds3=True),
  "UDD2": Topology(fusion="ds2", ds3=True),
  "UVAD": Topology(
    encoder="V", fusion="attention", ds3=True, activation="prelu"
  ),
  "UVD": Topology(encoder="V", ds3=True, activation="prelu"),
}
