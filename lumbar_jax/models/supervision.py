"""Deep supervision blocks DS.v1, DS.v2 and DS.v3 (paper 000, 4.1.4, Fig. 5).

Each maps a list of feature maps, finest level first, each half as large as the
one before, to maps of `features` channels.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from lumbar_jax.models.layers import LayerStyle, conv, max_pool, upsample


class DeepSupervision(nn.Module):
  """S_n = conv1(C_n) + upsample(S_{n+1}), from the coarsest level up.

  On the encoder's outputs C_1..C_5 this is DS.v1, whose S_1..S_4 replace the
  skip connections; on the decoder's T_1..T_4 it is DS.v3, whose Z_1 is the
  input of the classification block.
  """

  features: int
  style: LayerStyle

  @nn.compact
  def __call__(self, maps: Sequence[jax.Array]) -> list[jax.Array]:
    signals: list[jax.Array] = []
    for level in range(len(maps), 0, -1):
      s = conv(self.features, 1, self.style, name=f"level_{level}")(
        maps[level - 1]
      )
      signals.insert(0, s + upsample(signals[0]) if signals else s)
    return signals


def deep_supervision_v2(signals: Sequence[jax.Array]) -> list[jax.Array]:
  """DS.v2: S_1 = P_1, S_n = P_n + maxpool(S_{n-1}).

  Args:
    signals: P_1, P_2 ... of `DeepSupervision` ("prevS" in the text).

  Returns:
    S_1, S_2 ...; it has no parameters of its own.
  """
  combined = [signals[0]]
  for signal in signals[1:]:
    combined.append(signal + max_pool(combined[-1]))
  return combined
